"""The batch jobs of each provider against the simulator: life cycle, troubles, and finding a job again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from llmtop.adapters.http_batches import BatchTransport
from llmtop.adapters.providers.catalog import batch_provider, wire_format
from llmtop.adapters.secrets import Secret
from llmtop.adapters.simulator import SimulatedProvider, load_profile, reference_of
from llmtop.batch_jobs import (
    BatchProvider,
    FetchBroken,
    JobInput,
    LineReply,
    RemoteBatch,
    StrayLine,
    failure_of,
    is_ambiguous,
)
from llmtop.model import Answer, ChatRequest, ProviderError, RawReply

KEY = "sk-simulated-1234"
HOUSES = {
    "azure": "/azure/openai/v1",
    "groq": "/groq/openai/v1",
    "together": "/together/v1",
    "mistral": "/mistral/v1",
}
"""Servers that speak OpenAI's format, and where the simulator speaks like them."""
KINDS = ["openai", "anthropic", "gemini", *HOUSES]


@dataclass
class Bench:
    """A simulator whose time passes by hand, and one provider's batch jobs on it."""

    server: SimulatedProvider
    jobs: BatchProvider
    folder: Path
    clock: list[float]

    def job(self, number: int, **more: Any) -> JobInput:
        """Write the input of a job."""
        form = self.jobs.form
        requests = [
            ChatRequest(
                "sim-small", ({"role": "user", "content": f"Rain {n}"},), max_output_tokens=400, **more
            )
            for n in range(number)
        ]
        lines = [self.jobs.line(f"c-{n}", request) for n, request in enumerate(requests)]
        content = form.before + form.between.join(lines) + form.after
        path = self.folder / "input.jsonl"
        path.write_bytes(content)
        return JobInput(path, len(content), number, "sim-small")

    async def created(self, number: int = 10, tag: str = "r1-003", **more: Any) -> RemoteBatch:
        """Create a job that must succeed."""
        job = self.job(number, **more)
        return sound(await self.jobs.create(job, sound(await self.jobs.upload(job)), tag))

    async def ended(self, batch: RemoteBatch) -> RemoteBatch:
        """Look at a job until it has ended."""
        for _ in range(100):
            seen = sound(await self.jobs.get(batch.id))
            if seen.is_terminal:
                return seen
        raise AssertionError(f"still {seen}")

    async def fetched(self, batch: RemoteBatch) -> tuple[dict[str, Any], int]:
        """Return id -> reply, and how many lines could not be read."""
        rows = [row async for row in self.jobs.fetch(batch)]
        strays = sum(isinstance(row, StrayLine) for row in rows)
        return {row.custom_id: row.reply for row in rows if isinstance(row, LineReply)}, strays


def sound(value: Any) -> Any:
    assert not isinstance(value, ProviderError), value
    return value


Open = Callable[..., Any]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def opened(kind: str, folder: Path, **settings: Any) -> AsyncIterator[Bench]:
    clock = [1000.0]
    profile = load_profile({"profile": "instant", "batch_s": 0.0, "require_key": KEY} | settings)
    async with SimulatedProvider(profile, clock=lambda: clock[0]) as server:
        base_url = server.base_url if kind == "openai" else server.root_url + HOUSES.get(kind, "")
        spoken: Any = ("openai", kind) if kind in HOUSES else (kind, None)
        format_ = wire_format(spoken[0], base_url, spoken[1])
        async with BatchTransport(
            base_url, Secret(KEY), format_.key_headers, {}, 5.0, 5.0, 1 << 24, is_proxied=False
        ) as transport:
            yield Bench(server, batch_provider(format_, transport, 86_400.0), folder, clock)


@pytest.fixture
def bench(kind: str, tmp_path: Path) -> Callable[..., Any]:
    return lambda **settings: opened(kind, tmp_path, **settings)


async def test_a_job_goes_up_ends_and_every_id_has_its_own_answer(bench: Open, kind: str) -> None:
    async with bench(batch_line_s=1.0) as it:
        batch = await it.created(10)
        running = sound(await it.jobs.get(batch.id))
        it.clock[0] += 11
        ended = await it.ended(batch)
        replies, strays = await it.fetched(ended)

    assert not batch.is_terminal
    assert running.state == "in_progress"
    shown = (None, None) if kind == "together" else (10, 10)
    assert (ended.state, ended.requests, ended.done) == ("completed", *shown)
    assert abs((ended.created_at or 0) - time.time()) < 60
    assert (ended.expires_at or 0) > (ended.created_at or 0)
    assert (set(replies), strays) == ({f"c-{n}" for n in range(10)}, 0)
    for custom_id, reply in replies.items():
        assert isinstance(reply, Answer)
        assert reference_of(f"Rain {custom_id[2:]}") in reply.text
        assert reply.usage is not None
        assert reply.usage.output_tokens > 0


async def test_errors_of_lines_have_their_names(bench: Open) -> None:
    lines = {"http_400": 0.25, "http_429": 0.25, "http_500": 0.25, "length": 0.25}
    async with bench(batch_lines=lines) as it:
        replies, _ = await it.fetched(await it.ended(await it.created(40)))

    named = Counter((reply.error.type, reply.is_final) for reply in replies.values())
    assert set(named) == {
        ("bad_request", True), ("rate_limit", False), ("server_error", False), ("truncated", True),
    }  # fmt: skip
    assert all(reply.usage for reply in replies.values() if reply.error.type == "truncated")


async def test_strange_lines_are_told_apart_and_hold_nothing_up(bench: Open) -> None:
    lines = {"missing": 0.1, "duplicate": 0.1, "unknown": 0.1, "malformed": 0.2}
    async with bench(batch_lines=lines) as it:
        ended = await it.ended(await it.created(60))
        rows = [row async for row in it.jobs.fetch(ended)]

    ids = Counter(row.custom_id for row in rows if isinstance(row, LineReply))
    assert ids["nobody-sent-this"] >= 1
    assert 2 in ids.values()
    assert any(isinstance(row, StrayLine) and row.number > 0 for row in rows)
    assert len([each for each in ids if each.startswith("c-")]) < 60


async def test_a_creation_whose_answer_is_lost_is_ambiguous_and_found_again(bench: Open, kind: str) -> None:
    for trouble in ("create_lost_reset", "create_lost_500"):
        async with bench(batch_troubles={trouble: 1.0}, batch_trouble_first=1) as it:
            job = it.job(3)
            file_id = sound(await it.jobs.upload(job))
            since = time.time() - 60

            failed = await it.jobs.create(job, file_id, "r1-004")
            (found,) = sound(await it.jobs.newest(since))

            assert isinstance(failed, ProviderError)
            assert is_ambiguous(failed)
            assert found.requests in (3, 0, None)
            assert found.tag == ("r1-004" if it.jobs.limits.has_tag else None)
            assert found.input_file == (None if kind in ("anthropic", "gemini") else file_id)


async def test_a_creation_that_is_refused_is_not_ambiguous(bench: Open) -> None:
    async with bench(batch_troubles={"create_429": 1.0}) as it:
        job = it.job(3)

        failed = await it.jobs.create(job, sound(await it.jobs.upload(job)), "t")

        assert isinstance(failed, ProviderError)
        assert failed.outcome.is_refusal
        assert not is_ambiguous(failed)
        assert sound(await it.jobs.newest(0.0)) == ()


async def test_an_expired_job_keeps_what_its_provider_keeps(bench: Open) -> None:
    async with bench(batch_troubles={"expires": 1.0}) as it:
        batch = await it.created(10)
        it.clock[0] += 3 * 86_400
        ended = await it.ended(batch)
        replies, _ = await it.fetched(ended)

    kinds = Counter("answer" if isinstance(reply, Answer) else reply.error.type for reply in replies.values())
    assert ended.state == "expired"
    assert kinds == ({"answer": 5, "expired": 5} if it.jobs.limits.keeps_partial else {})
    assert not any(reply.is_final for reply in replies.values() if isinstance(reply, ProviderError))


async def test_a_cancelled_job_ends_as_such(bench: Open) -> None:
    async with bench(batch_line_s=1.0, batch_cancelling_s=2.0) as it:
        batch = await it.created(10)
        it.clock[0] += 4.5

        cancelling = sound(await it.jobs.cancel(batch.id))
        it.clock[0] += 3
        ended = await it.ended(batch)
        replies, _ = await it.fetched(ended)

    assert not cancelling.is_terminal
    assert ended.state == "cancelled"
    done = sum(isinstance(reply, Answer) for reply in replies.values())
    assert done == (4 if it.jobs.limits.keeps_partial else 0)


@pytest.mark.parametrize("trouble", ["results_cut", "results_late"])
async def test_results_that_break_off_or_are_late_are_whole_at_the_next_fetch(
    bench: Open, trouble: str
) -> None:
    async with bench(batch_troubles={trouble: 1.0}) as it:
        ended = await it.ended(await it.created(30))

        with pytest.raises(FetchBroken) as broken:
            await it.fetched(ended)
        replies, _ = await it.fetched(ended)

    assert broken.value.error.error.type in ("connection", "bad_request")
    assert len(replies) == 30


async def test_results_that_are_short_end_in_a_cut_or_with_ids_missing(bench: Open) -> None:
    async with bench(batch_troubles={"results_short": 1.0}) as it:
        ended = await it.ended(await it.created(30))

        try:
            first, _ = await it.fetched(ended)
        except FetchBroken as broken:
            assert broken.error.error.type == "connection"
            first = {}
        replies, _ = await it.fetched(ended)

    assert len(first) < len(replies) == 30


async def test_a_young_job_may_be_unknown_for_a_moment(bench: Open) -> None:
    async with bench(batch_troubles={"young_404": 1.0, "listed_late": 1.0}) as it:
        batch = await it.created(2)
        unknown = await it.jobs.get(batch.id)
        unlisted = sound(await it.jobs.newest(0.0))
        it.clock[0] += 5

        assert isinstance(unknown, ProviderError)
        assert unknown.error.http_status == 404
        assert unlisted == ()
        assert [each.id for each in sound(await it.jobs.newest(0.0))] == [batch.id]


async def test_a_list_of_many_pages_is_read_back_to_a_moment(
    bench: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("openai", "anthropic", "gemini", "mistral"):
        monkeypatch.setattr(f"llmtop.adapters.providers.batches.{module}._PAGE", 2)
    async with bench() as it:
        ids = []
        for count in range(1, 6):
            ids.append((await it.created(count)).id)
            it.clock[0] += 100
        created_at = sound(await it.jobs.get(ids[2])).created_at

        found = sound(await it.jobs.newest(created_at))

    assert [each.id for each in found] == ids[:1:-1]


async def test_results_are_gone_after_the_retention(bench: Open) -> None:
    async with bench(batch_retention_s=100.0) as it:
        ended = await it.ended(await it.created(2))
        it.clock[0] += 200
        later = sound(await it.jobs.get(ended.id))

        assert ended.results
        if later.results:
            with pytest.raises(FetchBroken):
                await it.fetched(later)


async def test_a_refused_key_is_named_and_not_shown(bench: Open) -> None:
    async with bench(require_key="sk-another-9999", echo_key=True) as it:
        failed = await it.jobs.newest(0.0)

    assert isinstance(failed, ProviderError)
    assert failed.outcome.is_stop
    assert KEY not in failed.error.message


async def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    async with opened("openai", tmp_path, batch_enqueued_tokens=1) as it:
        batch = await it.ended(await it.created(3))

    assert (batch.state, batch.error_code, batch.is_queue_full) == ("failed", "token_limit_exceeded", True)


async def test_a_faulty_file_of_gemini_fails_its_job_by_the_name_of_the_error(tmp_path: Path) -> None:
    async with opened("gemini", tmp_path) as it:
        job = it.job(2)
        job.path.write_bytes(job.path.read_bytes() + b"no json\n")
        file_id = sound(await it.jobs.upload(replace(job, size_bytes=job.path.stat().st_size)))
        batch = await it.ended(sound(await it.jobs.create(job, file_id, "r1-1")))

    assert (batch.state, batch.error_code) == ("failed", "INVALID_ARGUMENT")
    assert failure_of(batch).outcome.is_stop


async def test_requests_with_a_temperature_go_to_anthropic_under_the_version_that_takes_it(
    tmp_path: Path,
) -> None:
    async with opened("anthropic", tmp_path) as it:
        replies, _ = await it.fetched(await it.ended(await it.created(3, temperature=0.5)))

    assert all(isinstance(reply, Answer) for reply in replies.values())


async def test_a_file_of_an_earlier_process_tells_the_version_that_its_requests_need(tmp_path: Path) -> None:
    async with opened("anthropic", tmp_path) as earlier:
        job = earlier.job(3, temperature=0.5)
    async with opened("anthropic", tmp_path) as it:
        batch = sound(await it.jobs.create(job, None, "r1-003"))
        replies, _ = await it.fetched(await it.ended(batch))

    assert all(isinstance(reply, Answer) for reply in replies.values())
    assert len(replies) == 3


@pytest.mark.parametrize(
    ("more", "version"),
    [
        ({}, "2026-10-21"),
        ({"schema": {"properties": {"temperature": {"type": "number"}}}}, "2026-10-21"),
        ({"extra": {"top_k": 3}}, "2023-06-01"),
    ],
)
async def test_only_a_sampling_parameter_of_a_request_needs_the_older_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], version: str
) -> None:
    sent: list[str] = []

    async def call(self: Any, method: str, path: str, body: Any, headers: dict[str, str]) -> RawReply:
        sent.append(headers["anthropic-version"])
        return RawReply(500, {}, b"{}")

    async with opened("anthropic", tmp_path) as it:
        job = it.job(3, response_format="schema" if "schema" in more else "text", **more)
        monkeypatch.setattr(BatchTransport, "call", call)
        await it.jobs.create(job, None, "t")

    assert sent == [version]


async def test_an_address_in_an_answer_is_asked_at_our_own_host_only(tmp_path: Path) -> None:
    async with opened("anthropic", tmp_path) as it:
        ended = await it.ended(await it.created(2))
        (url,) = ended.results
        elsewhere = url.replace("127.0.0.1", "example.invalid")

        replies, _ = await it.fetched(RemoteBatch(ended.id, ended.state, "ended", results=(elsewhere,)))

    assert len(replies) == 2
