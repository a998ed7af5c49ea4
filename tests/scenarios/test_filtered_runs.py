"""What filters reject, ask again and let pass, counted over whole runs: packed, by batch, over a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from whole_runs import Desk, each_once, simulator, until

from llmtop.run.opened import StartOptions

_FUSSY = """
[[filters]]
use = "normalise"
[[filters]]
use = "python"
call = "own.py:check"
on_reject = "retry"
max_asks = 3
"""
_FUNCTION = """
from pathlib import Path

def check(text, fields):
    number = int(fields["id"].removeprefix("m-"))
    seen = Path(__file__).with_name(f"seen-{number}")
    if number % 10 == 0:
        return {"reject": "never good enough"}
    if number % 2 and not seen.exists():
        seen.touch()
        return {"reject": "not at first"}
    return text + " !"
"""
ITEMS, NEVER, AT_FIRST = 40, 4, 20
"""`check` rejects every answer to one item in ten, and the first one to each odd item."""


def fussy(desk: Desk, base_url: str, **tables: Any) -> Path:
    (desk.folder / "own.py").write_text(_FUNCTION)
    config = desk.config(base_url, **tables)
    config.write_text(config.read_text() + _FUSSY)
    return config


async def finished(desk: Desk, config: Path) -> int | None:
    """Run it to its end; return its exit code."""
    async with desk.engine(config, start=StartOptions(allow_code=True)) as (run,):
        await run.settled()
    return run.exit_code


async def counted(desk: Desk) -> dict[str, Any]:
    """What `show` says of the function."""
    _, function = (await desk.llmtop("show", "latest", "--json")).data["filters"]
    return {name: function[name] for name in ("use", "hits", "changed", "rejected", "asked_again")}


@pytest.mark.parametrize("way", ["alone", "packed", "batch"])
async def test_rejections_that_were_asked_again_are_counted_beside_the_final_ones(
    desk: Desk, way: str
) -> None:
    ids = desk.items(ITEMS)
    tables: dict[str, Any] = {"packed": {"execution": {"items_per_request": 8}}}.get(way, {})
    if way == "batch":
        tables = {"execution": {"mode": "batch"}, "batch": {"look_for": "0s", "poll_interval": "10ms"}}
    async with simulator(batch_s=0.02) as server:
        config = fussy(desk, server.base_url, **tables)

        assert await finished(desk, config) == 7

        assert desk.written_ids() == each_once(ids)
        hits = (ITEMS - NEVER) + 3 * NEVER + AT_FIRST
        assert await counted(desk) == {
            "use": "python",
            "hits": hits,
            "changed": ITEMS - NEVER,
            "rejected": NEVER,
            "asked_again": AT_FIRST + 2 * NEVER,
        }
        words = (await desk.llmtop("show", "latest")).out
        assert f", {'batch' if way == 'batch' else 'realtime'}\n" in words
        assert f"filter     python: hits {hits}, changed 36, rejected 4, asked again 28" in words


async def test_a_killed_run_still_knows_what_was_asked_again(desk: Desk) -> None:
    ids = desk.items(ITEMS)
    async with simulator(latency_s=0.1) as server:
        config = fussy(desk, server.base_url)
        process = await desk.started("run", config, "--allow-code")
        await until(lambda: server.books.served >= 12)
        process.kill()
        await process.communicate()
        before = await counted(desk)
        server.change({"latency_s": 0.0})

        await finished(desk, config)

        after = await counted(desk)
    assert desk.written_ids() == each_once(ids)
    assert before["asked_again"] > 0
    kept = desk.rows("SELECT COUNT(*) FROM asked_again")[0][0]
    assert before["asked_again"] < after["asked_again"] == kept
    assert (after["changed"], after["rejected"]) == (ITEMS - NEVER, NEVER)


async def test_compare_says_what_was_asked_again_by_rule(desk: Desk) -> None:
    desk.items(ITEMS)
    async with simulator() as server:
        await finished(desk, fussy(desk, server.base_url))
        plain = desk.config(server.base_url, name="plain", output={"path": "plain.jsonl"})
        await finished(desk, plain)

        compared = await desk.llmtop("compare", "job", "plain", "--json")
        table = await desk.llmtop("compare", "job", "plain")

    first, second = compared.data
    assert first["asked_again_by"] == {"python": AT_FIRST + 2 * NEVER}
    assert second["asked_again_by"] == {}
    assert [line.split() for line in table.out.splitlines() if line.startswith("asked again")] == [
        ["asked", "again", "28", "0"]
    ]
