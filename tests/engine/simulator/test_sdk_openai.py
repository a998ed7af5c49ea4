"""OpenAI's own SDK drives the simulator: realtime, and a batch from its file to its results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from simulated import Simulated

from llmtop.adapters.simulator import reference_of


@pytest.fixture
def client(simulated: Simulated) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk-test-1", base_url=f"{simulated.root_url}/v1", max_retries=0) as opened:
        yield opened


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def batch_lines(number: int, **body: Any) -> bytes:
    lines = [
        {
            "custom_id": f"c-{index}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "sim-small",
                "messages": [{"role": "user", "content": f"Rain {index}"}],
                **body,
            },
        }
        for index in range(number)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def create(client: openai.OpenAI, lines: bytes) -> Any:
    file = client.files.create(file=("in.jsonl", lines), purpose="batch")
    return client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"run": "r1"},
    )


def finished(client: openai.OpenAI, batch_id: str) -> Any:
    for _ in range(200):
        batch = client.batches.retrieve(batch_id)
        if batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch
    raise AssertionError("the batch did not end")


def results(client: openai.OpenAI, file_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def test_the_sdk_gets_an_answer_and_its_usage(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="sim-small", messages=[{"role": "user", "content": "Rain on the roof"}]
    )

    assert reference_of("Rain on the roof") in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_an_answer_in_pieces_is_the_same_answer_and_is_billed_once(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    simulated.change(cached_prefix_tokens=1, reasoning_tokens=7)
    messages: Any = [{"role": "system", "content": "Be brief."}, user("Rain on the roof")]
    whole = client.chat.completions.create(model="sim-small", messages=messages)

    chunks = list(
        client.chat.completions.create(
            model="sim-small", messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )

    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == whole.choices[0].message.content
    assert len([piece for piece in said if piece]) > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens
    assert (simulated.books.served, simulated.books.billed_requests) == (2, 2)


def test_a_refusal_and_two_choices_come_in_pieces_too(client: openai.OpenAI, simulated: Simulated) -> None:
    two = list(client.chat.completions.create(model="m", messages=[user("Rain")], n=2, stream=True))
    simulated.change(faults={"refusal": 1.0})
    refused = list(client.chat.completions.create(model="m", messages=[user("Snow")], stream=True))

    assert {choice.index for chunk in two for choice in chunk.choices} == {0, 1}
    assert "".join(chunk.choices[0].delta.refusal or "" for chunk in refused).startswith("I'm sorry")


def test_the_sdk_asks_for_a_response_and_gets_the_same_answer(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    simulated.change(reasoning_tokens=7)
    chat = client.chat.completions.create(
        model="sim-small", messages=[{"role": "system", "content": "Be brief."}, user("Rain on the roof")]
    )
    response = client.responses.create(
        model="sim-small", instructions="Be brief.", input="Rain on the roof", max_output_tokens=500
    )

    assert response.status == "completed"
    assert response.output_text == chat.choices[0].message.content
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.usage is not None
    assert chat.usage is not None
    assert response.usage.total_tokens == chat.usage.total_tokens
    assert response.usage.output_tokens_details.reasoning_tokens == 7


def test_a_response_comes_in_pieces_and_ends_as_a_whole(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(reasoning_tokens=7)
    with client.responses.stream(model="sim-small", input="Rain on the roof") as stream:
        said = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()

    assert "".join(said) == final.output_text
    assert len(said) > 3
    assert final.status == "completed"


def test_a_response_is_cut_refused_structured_or_wrong_in_its_own_words(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    schema = {
        "type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"],
        "additionalProperties": False,
    }  # fmt: skip
    shaped = client.responses.create(
        model="m",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "Rain"}]}],
        text={"format": {"type": "json_schema", "name": "a", "schema": schema, "strict": True}},
    )
    cut = client.responses.create(model="m", input="Snow", max_output_tokens=3)
    with pytest.raises(openai.BadRequestError) as wrong:
        client.responses.create(model="m", input=[])
    simulated.change(faults={"refusal": 1.0})
    refused = client.responses.create(model="m", input="Hail")
    simulated.change(faults={"error_choice": 1.0})
    failed = client.responses.create(model="m", input="Sleet")

    assert set(json.loads(shaped.output_text)) == {"title"}
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    assert wrong.value.param == "input"
    assert refused.output[0].type == "message"
    assert refused.output[0].content[0].type == "refusal"
    assert (failed.status, failed.error.code if failed.error else "") == ("failed", "server_error")


def test_the_sdk_lists_the_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["sim-small", "sim-large"]
    assert client.models.retrieve("sim-large").id == "sim-large"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("sim-huge")


@pytest.mark.parametrize("has_version", [True, False])
def test_the_sdk_for_azure_runs_a_batch_to_its_results(simulated: Simulated, *, has_version: bool) -> None:
    simulated.change(require_key="az-key-12345")
    if has_version:
        client: openai.OpenAI = openai.AzureOpenAI(
            api_key="az-key-12345",
            azure_endpoint=f"{simulated.root_url}/azure",
            api_version="2025-04-01-preview",
        )
    else:
        client = openai.OpenAI(api_key="az-key-12345", base_url=f"{simulated.root_url}/azure/openai/v1/")
    with client:
        answer = client.chat.completions.create(model="my-deployment", messages=[user("Rain")])
        created = create(client, batch_lines(3))
        batch = finished(client, created.id)
        rows = results(client, batch.output_file_id)

        assert answer.model == "my-deployment"
        assert created.status == "Validating"
        assert {row["custom_id"] for row in rows} == {"c-0", "c-1", "c-2"}
        assert simulated.books.batches_created == {"azure": 1}
        assert [each.id for each in client.batches.list()] == [created.id]


def test_the_sdk_names_a_refused_key(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(require_key="sk-other-999999")

    with pytest.raises(openai.AuthenticationError):
        client.models.list()
    with pytest.raises(openai.AuthenticationError):
        client.batches.list()


def test_the_sdk_runs_a_batch_to_its_results(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_lines={"http_400": 0.2})

    created = create(client, batch_lines(20))
    batch = finished(client, created.id)

    assert created.status == "validating"
    assert batch.status == "completed"
    assert batch.metadata == {"run": "r1"}
    good, bad = results(client, batch.output_file_id), results(client, batch.error_file_id)
    assert {row["custom_id"] for row in good + bad} == {f"c-{index}" for index in range(20)}
    assert batch.request_counts.completed == len(good)
    assert batch.request_counts.failed == len(bad)
    assert good
    for row in good:
        said = row["response"]["body"]["choices"][0]["message"]["content"]
        assert reference_of(f"Rain {row['custom_id'][2:]}") in said
    assert bad
    for row in bad:
        assert row["error"] is None
        assert row["response"]["status_code"] == 400
    assert [row["custom_id"] for row in good] != sorted(row["custom_id"] for row in good)


def test_a_batch_is_listed_newest_first_and_page_by_page(client: openai.OpenAI) -> None:
    ids = [create(client, batch_lines(1, seed=index)).id for index in range(5)]

    assert [batch.id for batch in client.batches.list(limit=2)] == ids[::-1]


def test_a_cancelled_batch_keeps_what_was_done(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_s=0.0, batch_line_s=1.0)
    batch_id = create(client, batch_lines(10)).id
    simulated.pass_s(4.5)

    client.batches.cancel(batch_id)
    batch = finished(client, batch_id)

    assert batch.status == "cancelled"
    assert len(results(client, batch.output_file_id)) == 4


def test_a_faulty_file_fails_after_the_creation_was_answered(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    simulated.change(batch_validating_s=5.0)
    created = create(client, batch_lines(2) + b"no json\n" + batch_lines(1))
    assert client.batches.retrieve(created.id).status == "validating"
    simulated.pass_s(6.0)

    batch = client.batches.retrieve(created.id)

    assert batch.status == "failed"
    assert [(fault.code, fault.line) for fault in batch.errors.data] == [
        ("invalid_json_line", 3), ("duplicate_custom_id", 4),
    ]  # fmt: skip
    assert batch.output_file_id is None


def test_a_file_by_another_name_and_an_unknown_batch_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="jsonl"):
        client.files.create(file=("in.txt", batch_lines(1)), purpose="batch")
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_unknown")


def test_files_are_shown_listed_and_deleted(client: openai.OpenAI) -> None:
    file = client.files.create(file=("in.jsonl", batch_lines(1)), purpose="batch")

    assert client.files.retrieve(file.id).bytes == len(batch_lines(1))
    assert [each.id for each in client.files.list(purpose="batch")] == [file.id]
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.content(file.id)
