"""Results are read line by line, however the pieces come, and a cut is never taken for an end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.providers.batches import MistralBatches, OpenAIBatches
from llmtop.adapters.providers.batches.wire import (
    count_or_none,
    moment_or_none,
    result_lines,
)
from llmtop.adapters.providers.openai import openai_format
from llmtop.batch_jobs import (
    FetchBroken,
    JobInput,
    LineReply,
    RemoteBatch,
    StrayLine,
    failure_of,
    is_ambiguous,
)
from llmtop.model import Answer, ItemError, Outcome, ProviderError, RawReply

FORMAT = openai_format(None)


@dataclass
class Pieces:
    """A body that comes in pieces, and may break off."""

    pieces: list[bytes]
    error: Exception | None = None

    @property
    async def blocks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.error is not None:
            raise self.error


class Wire:
    """A provider that answers one GET."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def call(self, method: str, path: str, body: Any = b"", headers: Any = None) -> RawReply:
        raise NotImplementedError

    @asynccontextmanager
    async def stream(self, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Any]:
        yield self._answer

    def file(self, path: Path, before: bytes = b"", after: bytes = b"") -> Any:
        raise NotImplementedError


async def read(answer: Any) -> list[Any]:
    return [row async for row in result_lines(Wire(answer), FORMAT, "/x", 0.0)]


class Broke(Exception):
    """As `http_batches` tells of a body that broke off."""

    def __init__(self) -> None:
        self.error = ProviderError(ItemError("connection", "it broke off"), Outcome.FAULT)


rows_and_cuts = st.tuples(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3), min_size=1, max_size=6),
    st.lists(st.integers(0, 400), max_size=12),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.booleans(),
)


@given(rows_and_cuts)
async def test_the_rows_are_the_same_however_the_body_is_cut_into_pieces(
    case: tuple[list[dict[str, str]], list[int], str, bool],
) -> None:
    rows, cuts, end, has_last_end = case
    body = end.join(json.dumps(row) for row in rows).encode() + (end.encode() if has_last_end else b"")
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:stop] for start, stop in pairwise(edges)]

    assert await read(Pieces(pieces)) == rows


@given(st.integers(1, 60))
async def test_a_body_that_ends_in_the_middle_of_a_line_is_a_cut(size: int) -> None:
    whole = b'{"custom_id": "a"}\n{"custom_id": "b", "response": {"status_code": 200}}'
    body = whole[: min(18 + 1 + size, len(whole) - 1)]
    if body.endswith(b"\n"):
        return

    with pytest.raises(FetchBroken):
        await read(Pieces([body]))


async def test_a_broken_line_is_put_aside_with_its_number() -> None:
    found = await read(Pieces([b'{"a": 1}\n{"a": \n[1]\n\xff\n\n{"a": 2}\n']))

    assert [row.number if isinstance(row, StrayLine) else row for row in found] == [
        {"a": 1}, 2, 3, 4, {"a": 2},
    ]  # fmt: skip


async def test_what_broke_off_or_was_refused_has_its_name() -> None:
    with pytest.raises(FetchBroken) as broke:
        await read(Pieces([b'{"a": 1}\n'], Broke()))
    with pytest.raises(FetchBroken) as refused:
        await read(RawReply(404, {}, b'{"error": {"message": "No such File object"}}'))
    with pytest.raises(FetchBroken) as unsent:
        await read(Broke().error)

    assert broke.value.error.error.message == "it broke off"
    assert refused.value.error.error.http_status == 404
    assert unsent.value.error.error.type == "connection"


async def test_a_bug_while_reading_is_not_taken_for_a_fault_of_the_network() -> None:
    with pytest.raises(ZeroDivisionError):
        await read(Pieces([], ZeroDivisionError()))


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (3, 3),
        ("12", 12),
        (0, 0),
        (-1, None),
        ("-1", None),
        (True, None),
        (1.5, None),
        (None, None),
        ("²", None),
    ],
)
def test_a_count_may_be_text(value: object, count: int | None) -> None:
    assert count_or_none(value) == count


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1795200020, 1795200020.0),
        ("2026-11-20T18:00:20.000000+00:00", 1795197620.0),
        ("2026-11-20T18:00:20Z", 1795197620.0),
        ("2026-11-20T18:00:20", None),
        ("soon", None),
        (0, None),
        (None, None),
        (True, None),
        (1e300, None),
    ],
)
def test_a_moment_is_epoch_seconds_or_a_time_with_its_zone(value: object, moment: float | None) -> None:
    assert moment_or_none(value) == moment


class Recorder:
    """A provider that answers each call from a list, and remembers what it was asked."""

    def __init__(self, *bodies: Any, status: int = 200) -> None:
        self._bodies = list(bodies)
        self._status = status
        self.asked: list[tuple[str, str, Any]] = []

    async def call(self, method: str, path: str, body: Any = b"", headers: Any = None) -> RawReply:
        self.asked.append((method, path, body))
        return RawReply(self._status, {}, json.dumps(self._bodies.pop(0)).encode())

    def stream(self, path: str, headers: Any = None) -> Any:
        raise NotImplementedError

    def file(self, path: Path, before: bytes = b"", after: bytes = b"") -> bytes:
        return before + path.read_bytes() + after


async def test_together_is_asked_in_its_own_words(tmp_path: Path) -> None:
    shown = {
        "id": "j-1",
        "status": "IN_PROGRESS",
        "input_file_id": "file-1",
        "created_at": "2026-11-20T18:00:20Z",
    }
    wire = Recorder({"id": "file-1"}, {"job": shown, "warning": ""}, [shown], {**shown, "status": "EXPIRED"})
    jobs = OpenAIBatches(wire, openai_format("https://api.together.ai/v1"), 86_400.0)
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"{}\n")
    job = JobInput(path, 3, 1, "some/model")

    file_id = await jobs.upload(job)
    created = await jobs.create(job, "file-1", "tag")
    listed = await jobs.newest(0.0)
    ended = await jobs.get("j-1")

    assert not jobs.limits.has_tag
    assert file_id == "file-1"
    assert wire.asked[0][1] == "/files/upload"
    for word in (b"batch-api", b'name="file_name"', b'name="file_type"'):
        assert word in wire.asked[0][2]
    assert json.loads(wire.asked[1][2]) == {
        "input_file_id": "file-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "model_id": "some/model",
    }
    assert isinstance(created, RemoteBatch)
    assert (created.id, created.state, created.created_at) == ("j-1", "in_progress", 1795197620.0)
    assert listed == (created,)
    assert isinstance(ended, RemoteBatch)
    assert ended.state == "expired"


@pytest.mark.parametrize(
    ("window_s", "hours"), [(86_400.0, 24), (7 * 86_400.0, 168), (90.0, 1), (5_401.0, 2)]
)
async def test_a_job_is_created_with_the_window_of_the_config(
    tmp_path: Path, window_s: float, hours: int
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"{}\n")
    wire = Recorder({"id": "j"}, {"id": "j", "created_at": 1_800_000_000})
    job = JobInput(path, 3, 1, "m")

    await OpenAIBatches(wire, FORMAT, window_s).create(job, "file-1", "tag")
    made = await MistralBatches(wire, FORMAT, window_s).create(job, "file-1", "tag")

    assert json.loads(wire.asked[0][2])["completion_window"] == f"{hours}h"
    assert json.loads(wire.asked[1][2])["timeout_hours"] == hours
    assert isinstance(made, RemoteBatch)
    assert made.expires_at == 1_800_000_000 + hours * 3600


@pytest.mark.parametrize(
    ("row", "kind", "is_final"),
    [
        ({"response": {"status_code": 400, "body": {"error": {"message": "no"}}}, "error": None},
         "bad_request", True),
        ({"response": {"status_code": 200, "body": {}}, "error": None}, "invalid_response", False),
        ({"response": {"status_code": 200, "body": None}, "error": None}, "invalid_response", False),
        ({"response": None, "error": {"code": "batch_expired", "message": "late"}}, "expired", False),
        ({"response": None, "error": {"code": "server_error"}}, "server_error", False),
        ({"response": None, "error": None}, "server_error", False),
        ({}, "server_error", False),
        ({"response": {"body": {"error": {"message": "x"}}}, "error": {"code": 1}}, "server_error", False),
        ({"response": {"status_code": 0, "request_id": "", "body": {}}}, "server_error", False),
        ({"error": {"message": "no", "code": 400}}, "bad_request", True),
        ({"response": {"status_code": 200, "body": {"choices": [{"message": {"content": "Rain."}}]}},
          "error": {"code": "server_error", "message": "no"}}, "server_error", False),
        ({"error": {"message": "no", "code": "429"}}, "rate_limit", False),
        ({"error": {"message": "no", "status_code": 503}}, "server_error", False),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, "bad_request", True),
        ({"error": "the server went away"}, "server_error", False),
        ({"response": {"status_code": 422, "body": '{"detail": [{"msg": "no"}]}'}}, "bad_request", True),
        ({"response": {"status_code": 400, "body": None}, "error": {"message": "no"}}, "bad_request", True),
        ({"response": {"status_code": 400, "body": "no"}}, "bad_request", True),
    ],
)  # fmt: skip
async def test_a_line_is_good_only_with_everything_that_an_answer_needs(
    row: dict[str, Any], kind: str, is_final: bool
) -> None:
    body = json.dumps({"id": "x", "custom_id": "a", **row}).encode() + b"\n"
    jobs = OpenAIBatches(Wire(Pieces([body])), FORMAT, 86_400.0)

    (found,) = [each async for each in jobs.fetch(RemoteBatch("b", "completed", "completed", results=("f",)))]

    assert isinstance(found, LineReply)
    assert isinstance(found.reply, ProviderError)
    assert (found.reply.error.type, found.reply.is_final) == (kind, is_final)


async def test_a_good_line_may_hold_its_answer_as_text_and_has_the_id_of_its_request() -> None:
    answer = {"choices": [{"finish_reason": "stop", "message": {"content": "Rain."}}]}
    response = {"status_code": 200, "request_id": "req-7", "body": json.dumps(answer)}
    body = json.dumps({"custom_id": "a", "response": response, "error": None}).encode() + b"\n"
    jobs = OpenAIBatches(Wire(Pieces([body])), FORMAT, 86_400.0)

    (found,) = [each async for each in jobs.fetch(RemoteBatch("b", "completed", "completed", results=("f",)))]

    assert isinstance(found, LineReply)
    assert isinstance(found.reply, Answer)
    assert (found.reply.text, found.reply.request_id) == ("Rain.", "req-7")


async def test_a_file_that_together_has_already_is_taken_as_it_is(tmp_path: Path) -> None:
    wire = Recorder({"file_id": "file-9", "message": "file already exists"}, status=409)
    jobs = OpenAIBatches(wire, openai_format("https://api.together.ai/v1"), 86_400.0)
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"{}\n")

    assert await jobs.upload(JobInput(path, 3, 1, "some/model")) == "file-9"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("model_not_found", Outcome.STOP_ACCESS),
        ("insufficient_quota", Outcome.STOP_BILLING),
        ("server_error", Outcome.FAULT),
        (None, Outcome.FAULT),
    ],
)
def test_a_job_that_is_wrong_as_it_is_is_not_made_again(code: str | None, outcome: Outcome) -> None:
    failed = failure_of(RemoteBatch("b", "failed", "failed", error_code=code, error_message="because"))

    assert failed.outcome is outcome
    assert "because" in failed.error.message
    assert not failed.is_sent


async def test_azures_ways_of_writing_a_job_are_read() -> None:
    shown = {
        "id": "batch_1", "status": "Validating", "created_at": "2026-11-20T18:00:20.2491382+00:00",
        "request_counts": {"total": None, "completed": None, "failed": None}, "errors": None,
        "metadata": {"llmtop": "r1-1"}, "input_file_id": "file-1", "output_file_id": None,
    }  # fmt: skip
    jobs = OpenAIBatches(Recorder(shown), openai_format("https://x.openai.azure.com/openai/v1"), 86_400.0)

    job = await jobs.get("batch_1")

    assert isinstance(job, RemoteBatch)
    assert (job.state, job.requests, job.tag) == ("validating", None, "r1-1")
    assert job.created_at == pytest.approx(1795197620.249138)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("pending", Outcome.FAULT), ("Running", Outcome.FAULT), ("error", Outcome.STOP_ACCESS)],
)
async def test_azure_is_not_asked_for_a_job_of_a_file_that_it_has_not_looked_at(
    tmp_path: Path, status: str, outcome: Outcome
) -> None:
    wire = Recorder({"id": "file-1", "status": status})
    jobs = OpenAIBatches(wire, openai_format("https://x.openai.azure.com/openai/v1"), 86_400.0)

    said = await jobs.create(JobInput(tmp_path / "in.jsonl", 3, 1, "deployment"), "file-1", "r1-1")

    assert isinstance(said, ProviderError)
    assert (said.outcome, is_ambiguous(said)) == (outcome, False)
    assert [(method, path) for method, path, _ in wire.asked] == [("GET", "/files/file-1")]
