"""Anthropic's own SDK drives the simulator: realtime, and a batch from its creation to its results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from simulated import Simulated

from llmtop.adapters.simulator import reference_of


@pytest.fixture
def client(simulated: Simulated) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="sk-ant-123456", base_url=simulated.root_url, max_retries=0) as opened:
        yield opened


def params(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "sim-small", "max_tokens": 500, "messages": [{"role": "user", "content": text}], **more}


def create(client: anthropic.Anthropic, number: int) -> Any:
    requests: Any = [
        {"custom_id": f"c-{index}", "params": params(f"Rain {index}")} for index in range(number)
    ]
    return client.messages.batches.create(requests=requests)


def finished(client: anthropic.Anthropic, batch_id: str) -> Any:
    for _ in range(200):
        batch = client.messages.batches.retrieve(batch_id)
        if batch.processing_status == "ended":
            return batch
    raise AssertionError("the batch did not end")


def test_the_sdk_gets_an_answer_and_its_usage(client: anthropic.Anthropic, simulated: Simulated) -> None:
    simulated.change(reasoning_tokens=20, cached_prefix_tokens=4)
    system = "You explain weather to people who learn English."

    client.messages.create(**params("Rain on the roof", system=system))
    message = client.messages.create(**params("Rain on the roof", system=system))

    text = "".join(block.text for block in message.content if block.type == "text")
    assert reference_of("Rain on the roof") in text
    assert message.content[0].type == "thinking"
    assert message.stop_reason == "end_turn"
    assert message.usage.cache_read_input_tokens
    assert message.usage.output_tokens > 20


def test_an_answer_in_pieces_is_the_same_answer(client: anthropic.Anthropic, simulated: Simulated) -> None:
    simulated.change(reasoning_tokens=20)
    whole = client.messages.create(**params("Rain on the roof"))

    with client.messages.stream(**params("Rain on the roof")) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_message()

    assert [block.model_dump() for block in message.content] == [
        block.model_dump() for block in whole.content
    ]
    assert (message.stop_reason, message.usage) == (whole.stop_reason, whole.usage)
    assert {"message_start", "content_block_delta", "message_delta", "message_stop"} <= kinds


def test_a_refusal_and_a_cut_come_in_pieces_too(client: anthropic.Anthropic, simulated: Simulated) -> None:
    with client.messages.stream(**params("Rain", max_tokens=5)) as stream:
        cut = stream.get_final_message()
    simulated.change(faults={"refusal": 1.0})
    with client.messages.stream(**params("Rain")) as stream:
        refused = stream.get_final_message()

    assert (cut.stop_reason, refused.stop_reason) == ("max_tokens", "refusal")


def test_the_sdk_counts_the_tokens_of_a_prompt_for_nothing(
    client: anthropic.Anthropic, simulated: Simulated
) -> None:
    wanted = params("Rain on the roof")
    message = client.messages.create(**wanted)
    del wanted["max_tokens"]

    assert client.messages.count_tokens(**wanted).input_tokens == message.usage.input_tokens
    assert simulated.books.received == 1
    with pytest.raises(anthropic.BadRequestError):
        client.messages.count_tokens(model="sim-small", messages=[])


def test_the_sdk_lists_the_models(client: anthropic.Anthropic) -> None:
    assert [model.id for model in client.models.list()] == ["sim-small", "sim-large"]
    assert client.models.retrieve("sim-large").display_name == "sim-large"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("sim-huge")


def test_a_refusal_and_a_cut_are_told_by_the_stop_reason(
    client: anthropic.Anthropic, simulated: Simulated
) -> None:
    cut = client.messages.create(**params("Rain", max_tokens=5))
    simulated.change(faults={"refusal": 1.0})
    refused = client.messages.create(**params("Rain"))

    assert cut.stop_reason == "max_tokens"
    assert refused.stop_reason == "refusal"
    assert refused.stop_details is not None
    assert not refused.content


def test_the_newer_version_has_no_temperature_and_the_older_one_has(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs are not permitted"):
        client.messages.create(**params("Rain", extra_body={"temperature": 0.5}))

    older = client.with_options(default_headers={"anthropic-version": "2023-06-01"})
    assert older.messages.create(**params("Rain", extra_body={"temperature": 0.5})).content


def test_errors_have_the_sdks_names(client: anthropic.Anthropic, simulated: Simulated) -> None:
    simulated.change(missing_models=["gone"], faults={"http_529": 1.0})

    with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
        client.messages.create(**params("Rain", model="gone"))
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error") as overloaded:
        client.messages.create(**params("Rain"))
    assert overloaded.value.status_code == 529
    simulated.change(require_key="sk-other")
    with pytest.raises(anthropic.AuthenticationError):
        client.messages.batches.list()


def test_a_limit_is_told_in_headers_and_with_a_wait(
    client: anthropic.Anthropic, simulated: Simulated
) -> None:
    simulated.change(requests_per_minute=1, rate_headers=True)

    raw = client.messages.with_raw_response.create(**params("Rain"))
    with pytest.raises(anthropic.RateLimitError) as refused:
        client.messages.create(**params("Snow"))

    assert raw.headers["anthropic-ratelimit-requests-limit"] == "1"
    assert raw.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    assert int(refused.value.response.headers["retry-after"]) > 0


def test_the_sdk_runs_a_batch_to_its_results(client: anthropic.Anthropic, simulated: Simulated) -> None:
    simulated.change(batch_lines={"http_500": 0.2})

    created = create(client, 20)
    batch = finished(client, created.id)

    assert created.processing_status == "in_progress"
    assert created.request_counts.processing == 20
    rows = {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}
    assert set(rows) == {f"c-{index}" for index in range(20)}
    kinds = [row.type for row in rows.values()]
    assert batch.request_counts.succeeded == kinds.count("succeeded") > 0
    assert batch.request_counts.errored == kinds.count("errored") > 0
    for custom_id, row in rows.items():
        if row.type == "succeeded":
            text = "".join(block.text for block in row.message.content if block.type == "text")
            assert reference_of(f"Rain {custom_id[2:]}") in text
            assert row.message.usage.service_tier == "batch"
        elif row.type == "errored":
            assert row.error.error.type == "api_error"


def test_a_cancelled_batch_ends_with_what_was_done(client: anthropic.Anthropic, simulated: Simulated) -> None:
    simulated.change(batch_s=0.0, batch_line_s=1.0, batch_cancelling_s=3.0)
    batch_id = create(client, 10).id
    simulated.pass_s(4.5)

    assert client.messages.batches.cancel(batch_id).processing_status == "canceling"
    simulated.pass_s(3.5)
    batch = finished(client, batch_id)

    assert (batch.request_counts.succeeded, batch.request_counts.canceled) == (4, 6)


def test_results_vanish_after_the_retention_and_a_batch_can_be_deleted(
    client: anthropic.Anthropic, simulated: Simulated
) -> None:
    simulated.change(batch_retention_s=100.0)
    batch_id = create(client, 2).id
    finished(client, batch_id)
    simulated.pass_s(200.0)

    batch = client.messages.batches.retrieve(batch_id)

    assert batch.archived_at is not None
    assert batch.results_url is None
    assert client.messages.batches.delete(batch_id).type == "message_batch_deleted"
    assert not list(client.messages.batches.list())


def test_a_custom_id_that_is_too_long_is_refused_at_once(client: anthropic.Anthropic) -> None:
    requests: Any = [{"custom_id": "x" * 65, "params": params("Rain")}]

    with pytest.raises(anthropic.BadRequestError, match="at most 64 characters"):
        client.messages.batches.create(requests=requests)


def test_faulty_params_are_told_by_line(client: anthropic.Anthropic) -> None:
    requests: Any = [
        {"custom_id": "good", "params": params("Rain")},
        {"custom_id": "bad", "params": params("Rain", max_tokens=0)},
    ]

    batch = finished(client, client.messages.batches.create(requests=requests).id)

    rows = {row.custom_id: row.result.type for row in client.messages.batches.results(batch.id)}
    assert rows == {"good": "succeeded", "bad": "errored"}


def test_batches_are_listed_newest_first_and_page_by_page(client: anthropic.Anthropic) -> None:
    ids = [create(client, count).id for count in range(1, 6)]

    assert [batch.id for batch in client.messages.batches.list(limit=2)] == ids[::-1]
