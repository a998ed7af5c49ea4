"""Items that cannot be done fail with their reason, and never hold up the others or the run."""

from __future__ import annotations

import time

import pytest
from whole_runs import Desk, each_once, simulator


async def test_items_that_the_provider_refuses_are_in_the_output_with_the_reason_and_the_run_ends_with_7(
    desk: Desk,
) -> None:
    ids = desk.items(20)
    (desk.folder / "items.jsonl").open("a").write('{"id": "long", "text": "' + "rain " * 3000 + '"}\n')
    async with simulator(blocked_pattern="id: m-3$", context_tokens=2000) as server:
        config = desk.config(server.base_url)
        said = await desk.llmtop("run", config)

        assert said.code == 7
        assert desk.written_ids() == each_once([*ids, "long"])
        failed = {result["id"]: result["error"] for result in desk.results() if result["status"] != "done"}
        assert {each: (error["type"], error["http_status"]) for each, error in failed.items()} == {
            "m-3": ("content_filter", 400),
            "long": ("context_length", 400),
        }
        assert all(error["message"] for error in failed.values())
        assert server.books.received == 21
        assert (await desk.llmtop("run", config, "--exit-zero")).code == 0
        assert server.books.received == 21


@pytest.mark.parametrize("kind", ["http_500", "html_200", "reset_before"])
async def test_an_item_that_always_fails_does_not_hold_the_others(desk: Desk, kind: str) -> None:
    ids = desk.items(200)
    async with simulator(latency_s=0.005, always_fail="^m-(0|50|199)$", always_fail_kind=kind) as server:
        config = desk.config(server.base_url, retry={"max_attempts": 3, "max_wait": "0.1s"})
        began = time.monotonic()
        async with desk.engine(config) as (run,):
            await run.settled()
            assert (run.counts.done, run.counts.failed) == (197, 3)
            assert run.exit_code == 7
        assert time.monotonic() - began < 6
    assert desk.written_ids() == each_once(ids)
    sends = {result["attempts"] for result in desk.results() if result["status"] == "failed"}
    # a kept-alive connection that ended may have been idle for too long: three in a row are for nothing
    assert sends <= set(range(3, 13)) if kind == "reset_before" else sends == {3}


@pytest.mark.parametrize("kind", ["hang", "drip", "blank_lines"])
async def test_an_item_that_hangs_or_drips_is_ended_by_the_timeout(desk: Desk, kind: str) -> None:
    ids = desk.items(6)
    latency = {"latency_s": 5.0} if kind == "blank_lines" else {}
    always = "" if kind == "blank_lines" else "^m-2$"
    faults = {"blank_lines": 1.0} if kind == "blank_lines" else {}
    async with simulator(
        always_fail=always,
        always_fail_kind="http_500" if not always else kind,
        drip_s=0.05,
        faults=faults,
        **latency,
    ) as server:
        config = desk.config(
            server.base_url,
            provider={"timeout": "0.4s"},
            retry={"max_attempts": 2, "max_wait": "0.05s"},
        )
        async with desk.engine(config) as (run,):
            await run.settled()
            assert run.exit_code == 7
    failed = {
        result["id"]: result["error"]["type"] for result in desk.results() if result["status"] == "failed"
    }
    assert set(failed.values()) == {"timeout"}
    assert set(failed) == ({"m-2"} if always else set(ids))
    assert desk.written_ids() == each_once(ids)


async def test_a_provider_that_spoils_a_third_of_its_answers_still_gets_every_item_done_and_right(
    desk: Desk,
) -> None:
    ids = desk.items(150)
    kinds = (
        "http_500",
        "http_529",
        "reset_before",
        "reset_after_headers",
        "cut_body",
        "cut_gzip",
        "truncated",
    )
    kinds += ("malformed", "empty_body", "html_200", "error_in_200", "no_choices", "null_content", "gzip")
    kinds += ("blank_content", "wrong_content_type", "missing_usage", "nonsense_usage")
    async with simulator(faults=dict.fromkeys(kinds, 0.015), latency_s=0.002) as server:
        config = desk.config(
            server.base_url,
            execution={"concurrency": 16},
            retry={"max_attempts": 20, "max_wait": "0.05s"},
        )
        async with desk.engine(config) as (run,):
            await run.settled()
            assert run.exit_code == 0
        assert sum(server.books.faults.values()) > 20
    assert desk.written_ids() == each_once(ids)
    assert all(f"{result['id']}" in result["output"] for result in desk.results())
