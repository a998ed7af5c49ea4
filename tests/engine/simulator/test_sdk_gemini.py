"""Google's own SDK drives the simulator: realtime, and batches inline and by file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from simulated import Simulated

from llmtop.adapters.simulator import reference_of

ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")


@pytest.fixture(params=["v1", "v1beta"])
def client(request: pytest.FixtureRequest, simulated: Simulated) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=simulated.root_url, api_version=request.param)
    with genai.Client(api_key="AIza-test-123456", http_options=options) as opened:
        yield opened


def inline(number: int) -> list[Any]:
    return [
        types.InlinedRequest(
            contents=[types.Content(role="user", parts=[types.Part(text=f"Rain {index}")])],
            metadata={"key": f"c-{index}"},
        )
        for index in range(number)
    ]


def finished(client: genai.Client, name: str) -> types.BatchJob:
    for _ in range(200):
        job = client.batches.get(name=name)
        if job.state is not None and job.state.name in ENDED:
            return job
    raise AssertionError("the job did not end")


def test_the_sdk_gets_an_answer_and_its_usage(client: genai.Client, simulated: Simulated) -> None:
    simulated.change(reasoning_tokens=20)

    answer = client.models.generate_content(model="sim-small", contents="Rain on the roof")

    assert reference_of("Rain on the roof") in (answer.text or "")
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage is not None
    assert usage.thoughts_token_count == 20
    assert (
        usage.total_token_count == (usage.prompt_token_count or 0) + (usage.candidates_token_count or 0) + 20
    )


def test_an_answer_in_pieces_is_the_same_answer(client: genai.Client, simulated: Simulated) -> None:
    whole = client.models.generate_content(model="sim-small", contents="Rain on the roof")

    chunks = list(client.models.generate_content_stream(model="sim-small", contents="Rain on the roof"))

    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert len(chunks) > 3
    assert chunks[0].candidates is not None
    assert chunks[0].candidates[0].finish_reason is None
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata == whole.usage_metadata
    simulated.change(blocked_pattern="bomb")
    (blocked,) = client.models.generate_content_stream(model="sim-small", contents="bomb")
    assert blocked.prompt_feedback is not None


def test_the_sdk_counts_the_tokens_of_a_prompt_for_nothing(
    client: genai.Client, simulated: Simulated
) -> None:
    answer = client.models.generate_content(model="sim-small", contents="Rain on the roof")
    counted = client.models.count_tokens(model="sim-small", contents="Rain on the roof")

    assert answer.usage_metadata is not None
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count
    assert simulated.books.received == 1


def test_the_sdk_lists_the_models(client: genai.Client) -> None:
    assert [model.name for model in client.models.list()] == ["models/sim-small", "models/sim-large"]
    assert client.models.get(model="sim-small").display_name == "sim-small"
    with pytest.raises(errors.ClientError):
        client.models.get(model="sim-huge")


def test_a_schema_is_satisfied_and_a_system_instruction_taken(client: genai.Client) -> None:
    config = types.GenerateContentConfig(
        system_instruction="Answer briefly.",
        response_mime_type="application/json",
        response_schema={"type": "OBJECT", "properties": {"title": {"type": "STRING"}}},
        temperature=0.2,
        max_output_tokens=200,
    )

    answer = client.models.generate_content(model="sim-small", contents="Rain", config=config)

    assert set(json.loads(answer.text or "")) == {"title"}


def test_a_blocked_prompt_has_no_candidates_and_a_filter_names_itself(
    client: genai.Client, simulated: Simulated
) -> None:
    simulated.change(blocked_pattern="bomb", faults={"content_filter": 1.0})

    blocked = client.models.generate_content(model="sim-small", contents="bomb")
    filtered = client.models.generate_content(model="sim-small", contents="rain")

    assert blocked.candidates is None
    assert blocked.prompt_feedback is not None
    assert blocked.prompt_feedback.block_reason == types.BlockedReason.SAFETY
    assert filtered.candidates is not None
    assert filtered.candidates[0].finish_reason == types.FinishReason.SAFETY


def test_errors_have_googles_words(client: genai.Client, simulated: Simulated) -> None:
    simulated.change(requests_per_minute=1)
    client.models.generate_content(model="sim-small", contents="rain")
    with pytest.raises(errors.ClientError) as refused:
        client.models.generate_content(model="sim-small", contents="snow")
    assert (refused.value.code, refused.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert "RetryInfo" in str(refused.value.details)

    simulated.change(require_key="AIza-other")
    with pytest.raises(errors.ClientError, match="API key not valid"):
        client.models.generate_content(model="sim-small", contents="rain")


def test_the_sdk_runs_an_inline_batch_to_its_results(client: genai.Client, simulated: Simulated) -> None:
    simulated.change(batch_lines={"http_400": 0.2}, batch_validating_s=5.0)

    created = client.batches.create(model="sim-small", src=inline(20), config={"display_name": "r1-003"})
    assert created.state is not None
    assert created.state.name == "JOB_STATE_PENDING"
    simulated.pass_s(7.0)
    job = finished(client, created.name or "")

    assert job.display_name == "r1-003"
    assert job.state is not None
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    assert job.dest is not None
    rows = job.dest.inlined_responses or []
    keys = [(row.metadata or {})["key"] for row in rows]
    assert sorted(keys) == sorted(f"c-{index}" for index in range(20))
    assert keys != sorted(keys, key=lambda key: int(key[2:]))
    assert any(row.error is not None for row in rows)
    for key, row in zip(keys, rows, strict=True):
        if row.response is not None:
            assert reference_of(f"Rain {key[2:]}") in (row.response.text or "")


def test_the_sdk_runs_a_batch_by_file_to_its_results(client: genai.Client) -> None:
    lines = [
        {
            "key": f"c-{index}",
            "request": {"contents": [{"parts": [{"text": f"Rain {index}"}]}]},
        }
        for index in range(5)
    ]
    upload = io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode())
    file = client.files.upload(file=upload, config={"mime_type": "application/jsonl", "display_name": "in"})

    created = client.batches.create(model="sim-small", src=file.name or "")
    job = finished(client, created.name or "")
    assert job.dest is not None
    assert job.dest.file_name is not None
    content = client.files.download(file=job.dest.file_name)

    rows = [json.loads(line) for line in content.splitlines()]
    assert {row["key"] for row in rows} == {f"c-{index}" for index in range(5)}
    assert all(row["response"]["candidates"] for row in rows)


def test_files_are_listed_shown_and_deleted(client: genai.Client) -> None:
    names = [
        client.files.upload(file=io.BytesIO(b"{}\n"), config={"mime_type": "application/jsonl"}).name or ""
        for _ in range(3)
    ]

    assert [file.name for file in client.files.list(config={"page_size": 2})] == names[::-1]
    assert client.files.get(name=names[0]).size_bytes == 3
    client.files.delete(name=names[0])
    assert [file.name for file in client.files.list()] == names[:0:-1]


def test_a_cancelled_and_an_expired_job_return_nothing(client: genai.Client, simulated: Simulated) -> None:
    simulated.change(batch_line_s=10.0, batch_window_s=20.0)
    first = client.batches.create(model="sim-small", src=inline(10)).name or ""
    second = client.batches.create(model="sim-small", src=inline(11)).name or ""

    client.batches.cancel(name=first)
    simulated.pass_s(60.0)
    jobs = [finished(client, name) for name in (first, second)]

    assert [job.state.name if job.state else "" for job in jobs] == [
        "JOB_STATE_CANCELLED",
        "JOB_STATE_EXPIRED",
    ]
    assert [job.dest for job in jobs] == [None, None]


def test_jobs_are_listed_newest_first_and_page_by_page_and_deleted(client: genai.Client) -> None:
    names = [client.batches.create(model="sim-small", src=inline(count)).name for count in range(1, 6)]

    assert [job.name for job in client.batches.list(config={"page_size": 2})] == names[::-1]
    client.batches.delete(name=names[0] or "")
    assert names[0] not in [job.name for job in client.batches.list()]
