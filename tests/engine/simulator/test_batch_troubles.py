"""Every trouble of a batch job does what the guide says, and the books know what really happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from simulated import Simulated

ENDED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture
def client(simulated: Simulated) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk-1", base_url=f"{simulated.root_url}/v1", max_retries=0) as opened:
        yield opened


def upload(client: openai.OpenAI, number: int) -> str:
    lines = [
        {
            "custom_id": f"c-{index}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": f"Rain {index}"}]},
        }
        for index in range(number)
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return client.files.create(file=("in.jsonl", content), purpose="batch").id


def create(client: openai.OpenAI, number: int = 10) -> Any:
    return client.batches.create(
        input_file_id=upload(client, number), endpoint="/v1/chat/completions", completion_window="24h"
    )


def finished(client: openai.OpenAI, batch_id: str) -> Any:
    for _ in range(50):
        batch = client.batches.retrieve(batch_id)
        if batch.status in ENDED:
            return batch
    raise AssertionError("the batch did not end")


def rows(client: openai.OpenAI, file_id: str | None) -> list[Any]:
    return [json.loads(line) for line in client.files.content(file_id or "").text.splitlines()]


def ids(client: openai.OpenAI, file_id: str | None) -> Counter[str]:
    return Counter(row["custom_id"] for row in rows(client, file_id))


@pytest.mark.parametrize("trouble", ["create_lost_reset", "create_lost_500"])
def test_a_creation_whose_answer_is_lost_made_a_batch(
    client: openai.OpenAI, simulated: Simulated, trouble: str
) -> None:
    simulated.change(batch_troubles={trouble: 1.0}, batch_trouble_first=1)

    with pytest.raises((openai.APIConnectionError, openai.InternalServerError)):
        create(client)

    (batch,) = client.batches.list().data
    assert finished(client, batch.id).status == "completed"
    assert simulated.books.batches_created == {"openai": 1}


@pytest.mark.parametrize("trouble", ["create_reset", "create_500", "create_429"])
def test_a_creation_that_fails_made_none(client: openai.OpenAI, simulated: Simulated, trouble: str) -> None:
    simulated.change(batch_troubles={trouble: 1.0}, batch_trouble_first=1)

    with pytest.raises(openai.APIError):
        create(client)

    assert client.batches.list().data == []
    assert create(client).status == "validating"
    assert simulated.books.batches_created == {"openai": 1}


def test_a_late_answer_to_a_creation_comes_after_the_client_gave_up(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    simulated.change(batch_troubles={"create_late": 1.0}, batch_late_s=30.0)
    file_id = upload(client, 3)

    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).batches.create(
            input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
        )

    assert [batch.input_file_id for batch in client.batches.list()] == [file_id]


def test_the_same_lines_twice_are_booked_as_such(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_s=100.0)

    create(client)
    create(client)

    assert simulated.books.batches_twice == 1
    assert simulated.books.batch_overlaps == 1
    assert simulated.books.batch_lines == 20


def test_an_upload_whose_answer_is_lost_is_stored(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_troubles={"upload_reset": 1.0}, batch_trouble_first=1)

    with pytest.raises(openai.APIConnectionError):
        upload(client, 1)

    assert simulated.books.batch_uploads == 1


def test_a_young_batch_is_a_404_and_not_in_the_list(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_troubles={"young_404": 1.0, "listed_late": 1.0}, batch_young_s=3.0)
    batch = create(client)

    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve(batch.id)
    assert client.batches.list().data == []
    simulated.pass_s(3.5)

    assert client.batches.retrieve(batch.id).id == batch.id
    assert [each.id for each in client.batches.list()] == [batch.id]


def test_an_expired_batch_has_its_done_lines_and_names_the_others(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    simulated.change(batch_troubles={"expires": 1.0, "counts_off": 1.0})
    batch_id = create(client).id
    assert client.batches.retrieve(batch_id).status == "in_progress"
    simulated.pass_s(86_401.0)

    batch = finished(client, batch_id)

    assert batch.status == "expired"
    good, bad = rows(client, batch.output_file_id), rows(client, batch.error_file_id)
    assert (len(good), len(bad)) == (5, 5)
    assert all(row["error"]["code"] == "batch_expired" and row["response"] is None for row in bad)
    assert batch.request_counts.completed + batch.request_counts.failed != batch.request_counts.total
    assert simulated.books.batch_lines_billed == 5


def test_a_stuck_line_expires_alone(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_lines={"stuck": 0.3})
    batch_id = create(client, 20).id
    simulated.pass_s(86_401.0)

    batch = finished(client, batch_id)

    undone = simulated.books.batch_lines_undone
    assert 0 < undone < 20
    assert sum(ids(client, batch.error_file_id).values()) == undone


def test_missing_double_and_unknown_lines_stand_in_the_results(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    simulated.change(batch_lines={"missing": 0.2, "duplicate": 0.2, "conflicting": 0.2, "unknown": 0.2})

    batch = finished(client, create(client, 60).id)

    found = rows(client, batch.output_file_id)
    counted = ids(client, batch.output_file_id)
    assert counted["nobody-sent-this"] >= 1
    assert len([each for each in counted if each.startswith("c-")]) < 60
    answers: dict[str, set[str]] = {}
    for row in found:
        said = row["response"]["body"]["choices"][0]["message"]["content"]
        answers.setdefault(row["custom_id"], set()).add(said)
    doubles = {each for each, count in counted.items() if each.startswith("c-") and count == 2}
    assert {len(answers[each]) for each in doubles} == {1, 2}


def test_a_batch_without_errors_may_have_an_empty_id_for_them(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    simulated.change(batch_troubles={"empty_error_id": 1.0})

    assert finished(client, create(client).id).error_file_id == ""


def test_a_batch_without_a_good_line_has_no_output(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_lines={"http_400": 1.0})

    batch = finished(client, create(client).id)

    assert batch.status == "completed"
    assert batch.output_file_id is None
    assert len(rows(client, batch.error_file_id)) == 10
    assert simulated.books.batch_lines_billed == 0


def test_a_status_may_go_back_once(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_troubles={"back": 1.0})
    batch_id = create(client).id

    seen = [client.batches.retrieve(batch_id).status for _ in range(4)]

    assert seen == ["completed", "in_progress", "completed", "completed"]


@pytest.mark.parametrize(
    ("trouble", "error"), [("results_late", openai.NotFoundError), ("results_cut", openai.APIConnectionError)]
)
def test_results_that_are_late_or_cut_are_whole_at_the_next_fetch(
    client: openai.OpenAI, simulated: Simulated, trouble: str, error: type[Exception]
) -> None:
    simulated.change(batch_troubles={trouble: 1.0})
    batch = finished(client, create(client).id)

    with pytest.raises(error):
        client.files.content(batch.output_file_id)

    assert len(rows(client, batch.output_file_id)) == 10


def test_results_may_be_short_in_a_complete_answer(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_troubles={"results_short": 1.0})
    batch = finished(client, create(client).id)

    short = client.files.content(batch.output_file_id).content
    whole = client.files.content(batch.output_file_id).content

    assert whole.startswith(short)
    assert len(short) < len(whole)


def test_a_failed_batch_has_a_reason_and_no_files(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_troubles={"failed": 1.0})

    batch = finished(client, create(client).id)

    assert batch.status == "failed"
    assert batch.errors.data[0].code == "server_error"
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert simulated.books.batch_lines_billed == 0


def test_too_many_enqueued_tokens_fail_a_batch_until_others_have_ended(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    simulated.change(batch_s=10.0, batch_enqueued_tokens=100)
    first = create(client)
    second = client.batches.retrieve(create(client).id)
    simulated.pass_s(11.0)
    assert finished(client, first.id).status == "completed"
    third = create(client)
    simulated.pass_s(11.0)

    assert second.errors is not None
    assert [fault.code for fault in second.errors.data or []] == ["token_limit_exceeded"]
    assert finished(client, third.id).status == "completed"


def test_results_are_gone_after_the_retention(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_retention_s=100.0)
    batch = finished(client, create(client).id)
    assert rows(client, batch.output_file_id)
    simulated.pass_s(101.0)

    with pytest.raises(openai.NotFoundError):
        client.files.content(batch.output_file_id)


def test_virtual_time_makes_a_day_pass_in_a_moment(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_speed=3600.0, batch_troubles={"expires": 1.0})
    batch_id = create(client).id

    simulated.pass_s(25.0)

    assert finished(client, batch_id).status == "expired"


def test_a_batch_costs_half(client: openai.OpenAI, simulated: Simulated) -> None:
    for index in range(10):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": f"Rain {index}"}])
    full = simulated.books.billed_pusd

    finished(client, create(client).id)

    assert simulated.books.billed_pusd - full == full // 2
    assert simulated.books.as_json(has_ids=False)["ids_served_twice"] == 10


def test_a_line_that_failed_is_answered_at_its_next_try(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_lines={"http_500": 1.0}, fault_tries=1)

    first = finished(client, create(client).id)
    second = finished(client, create(client).id)

    assert first.output_file_id is None
    assert len(rows(client, second.output_file_id)) == 10


def test_an_outage_meets_calls_about_batches_too(client: openai.OpenAI, simulated: Simulated) -> None:
    batch = create(client)
    simulated.change(fault_steps=[{"from_s": 10.0, "to_s": 20.0, "kind": "http_503"}])
    simulated.pass_s(15.0)

    with pytest.raises(openai.InternalServerError):
        client.batches.retrieve(batch.id)
    simulated.pass_s(10.0)

    assert client.batches.retrieve(batch.id).status == "completed"


def test_a_batch_outlives_the_deletion_of_its_input(client: openai.OpenAI, simulated: Simulated) -> None:
    simulated.change(batch_s=5.0)
    batch = create(client)
    client.files.delete(batch.input_file_id)
    simulated.pass_s(6.0)

    assert len(rows(client, finished(client, batch.id).output_file_id)) == 10


def test_a_client_that_creates_again_after_a_lost_answer_has_two_batches_in_the_books(
    client: openai.OpenAI, simulated: Simulated
) -> None:
    simulated.change(batch_s=100.0, batch_troubles={"create_lost_500": 1.0}, batch_trouble_first=1)

    client.with_options(max_retries=2).batches.create(
        input_file_id=upload(client, 3), endpoint="/v1/chat/completions", completion_window="24h"
    )

    assert simulated.books.batches_created == {"openai": 2}
    assert (simulated.books.batches_twice, simulated.books.batch_overlaps) == (1, 1)
