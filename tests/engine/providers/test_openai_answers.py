"""OpenAI's words: what is made of the body of a 200."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_answers import answered, completion, error, failed, read
from hypothesis import given
from hypothesis import strategies as st

from llmtop.model import Answer, ErrorType, Outcome, Usage

# -- answers ---------------------------------------------------------------------------------


def test_an_answer_has_its_text_usage_cost_and_limits() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 20},
        "cost": 0.0000271,
    }
    headers = {
        "x-request-id": "r-1",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
    }

    answer = answered(read(200, completion("Hé", usage=usage), headers))

    assert (answer.text, answer.finish_reason, answer.model, answer.request_id) == (
        "Hé",
        "stop",
        "m-1",
        "r-1",
    )
    assert answer.usage == Usage(100, 64, 8, 50, 20)
    assert answer.cost_pusd == 27_100_000
    assert [(limit.resource, limit.limit, limit.remaining) for limit in answer.limits] == [
        ("requests", 60, 59)
    ]


def test_requests_are_counted_over_a_day_where_the_server_does_so() -> None:
    headers = {"x-ratelimit-limit-requests": "14400", "x-ratelimit-limit-tokens": "6000"}
    answer = answered(read(200, completion(), headers, "https://api.groq.com/openai/v1"))

    assert [limit.window_s for limit in answer.limits] == [86_400.0, 60.0]


@pytest.mark.parametrize(
    "body",
    [
        b"\n\n\n\n" + json.dumps(completion()).encode(),
        b"\xef\xbb\xbf" + json.dumps(completion()).encode(),
        completion(unknown={"deep": [1]}, error=None),
        completion([{"type": "thinking", "thinking": []}, {"type": "text", "text": "fi"}, {"text": "ne"}]),
        {"choices": [completion()["choices"][0], {"nonsense": 1}]},
        {"choices": [{"message": {"content": "fine", "refusal": ""}}]},
        completion(choice={"finish_reason": "eos"}),
        completion(choice={"logprobs": float("nan")}),
    ],
    ids=["blank lines", "bom", "unknown fields", "parts", "more choices", "bare", "eos", "nan unused"],
)
def test_a_good_answer_in_odd_clothes_is_taken(body: Any) -> None:
    assert answered(read(200, body)).text == "fine"


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("STOP", "stop"),
        (None, "unknown"),
        (7, "unknown"),
        ("novel", "novel"),
    ],
)
def test_finish_reasons_are_passed_on_and_the_words_for_stop_are_one(finish: Any, said: str) -> None:
    assert answered(read(200, completion(finish=finish))).finish_reason == said


def test_text_is_stored_as_it_came_but_for_nul_and_half_characters() -> None:
    body = json.dumps(completion("PLACE")).replace("PLACE", "\\u0000a\\ud83d\\ude00\\udc00").encode()

    assert answered(read(200, body)).text == "\ufffda😀\ufffd"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ("12", None),
        ({}, None),
        ({"prompt_tokens": -5, "completion_tokens": "3"}, None),
        ({"prompt_tokens": 10**18, "completion_tokens": True}, None),
        ({"prompt_tokens": 12.0, "completion_tokens": 3}, Usage(12, 0, 0, 3, 0)),
        ({"prompt_tokens": 12, "completion_tokens": -3}, Usage(12, 0, 0, 0, 0, is_estimated=True)),
        (
            {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 13}},
            Usage(12, 0, 0, 3, 0, is_estimated=True),
        ),
        (
            {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": -9}},
            Usage(12, 0, 0, 3, 0, is_estimated=True),
        ),
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 3,
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(12, 0, 0, 43, 40, is_estimated=True),
        ),
        (
            {"prompt_tokens": 12, "completion_tokens": 3, "prompt_cache_hit_tokens": 8},
            Usage(12, 8, 0, 3, 0),
        ),
    ],
)
def test_usage_is_believed_only_where_it_can_be_true(usage: Any, expected: Usage | None) -> None:
    assert answered(read(200, completion(usage=usage))).usage == expected


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 0}, 0),
        ({"cost": 1.5}, 1_500_000_000_000),
        ({"cost": -1}, None),
        ({"cost": "0.1"}, None),
        ({"cost": True}, None),
        ({"cost": 1e300}, None),
        ({"cost": 0.1, "is_byok": True}, None),
        ({"cost": 0.1, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, 300_000_000_000),
    ],
)
def test_a_reported_cost_is_exact_or_unknown(usage: dict[str, Any], cost: int | None) -> None:
    assert answered(read(200, completion(usage=usage))).cost_pusd == cost


# -- a 200 that is no answer -----------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   \n",
        b"<html><title>Bad gateway</title></html>",
        b'{"choices": [{"message": {"content": "cut',
        b"[]",
        b"null",
        b'"text"',
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": {"0": 1}},
        {"choices": [{"message": None}]},
        completion(None),
        completion(""),
        completion(" \n\t\u00a0"),
        completion([]),
        completion({"text": "x"}),
        completion(None, "tool_calls", message={"tool_calls": [{}]}),
        completion("", message={"reasoning_content": "hm"}),
        error("boom"),
        error("boom", code="strange", type="server_error"),
        {"error": "boom"},
        {"detail": "boom"},
        b"[" * 100_000,
        b'{"choices": [], "created": 99999999999999999999999}',
        b"\xff\xfe\x00",
    ],
)
def test_a_200_that_is_no_answer_is_asked_again_and_counted(body: Any) -> None:
    problem = failed(read(200, body))

    assert (problem.error.type, problem.outcome) == ("invalid_response", Outcome.FAULT)
    assert problem.is_counted and not problem.is_final
    assert problem.error.message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (completion("half", "length"), "truncated"),
        (completion("", "length"), "truncated"),
        (completion(None, "model_length"), "truncated"),
        (completion("half", "content_filter"), "content_filter"),
        (completion(None, "stop", message={"refusal": "I will not"}), "refusal"),
    ],
)
def test_a_cut_filtered_or_refused_answer_fails_its_item_and_was_paid_for(body: Any, kind: ErrorType) -> None:
    problem = failed(read(200, body))

    assert (problem.error.type, problem.outcome, problem.is_final) == (kind, Outcome.BAD, True)
    assert problem.usage == Usage(12, 0, 0, 3, 0)


def test_a_cut_answer_keeps_what_was_said_before_the_cut() -> None:
    assert failed(read(200, completion("half", "length"))).text == "half"
    assert failed(read(200, completion("half", "content_filter"))).text == ""


def test_a_blank_answer_was_paid_for_too() -> None:
    assert failed(read(200, completion(" "))).usage == Usage(12, 0, 0, 3, 0)


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource"])
def test_a_choice_that_ended_in_an_error_is_asked_again(finish: str) -> None:
    problem = failed(read(200, completion("half", finish)))

    assert (problem.error.type, problem.outcome, problem.is_final) == ("server_error", Outcome.FAULT, False)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(429, Outcome.REFUSED_UNKNOWN), (502, Outcome.FAULT), (402, Outcome.STOP_BILLING), (400, Outcome.BAD)],
)
def test_an_integer_code_inside_a_200_counts_as_the_status(code: int, outcome: Outcome) -> None:
    assert failed(read(200, error(code=code))).outcome is outcome
    assert failed(read(200, completion("x", "error", choice={"error": {"code": code}}))).outcome is outcome


def test_a_stream_of_events_is_not_asked_for_again() -> None:
    problem = failed(read(200, b'data: {"choices": []}\n\n'))

    assert problem.is_final and "stream" in problem.error.message


# fmt: off
_NAMES = (
    "choices", "message", "content", "error", "code", "type", "usage", "finish_reason", "refusal", "detail",
    "metadata", "details", "innererror", "prompt_tokens", "completion_tokens", "cost", "status", "object",
    "prompt_tokens_details", "id",
)
# fmt: on

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(_NAMES),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(st.integers(200, 599), json_values.map(json.dumps).map(str.encode) | st.binary(max_size=100))
def test_reading_never_raises_and_never_makes_an_answer_of_an_error_status(status: int, body: bytes) -> None:
    reply = read(status, body, {"retry-after": "x", "x-request-id": "\ud800"})

    if isinstance(reply, Answer):
        assert status < 300
        assert reply.text.strip()


@given(json_values, json_values, json_values, json_values)
def test_no_field_of_an_answer_can_break_the_reading_of_the_others(
    content: Any, finish: Any, usage: Any, message: Any
) -> None:
    body = completion(content, finish, usage=usage)
    if isinstance(message, dict):
        body["choices"][0]["message"] |= message

    reply = read(200, body)

    for figure in () if reply.usage is None else (reply.usage.input_tokens, reply.usage.output_tokens):
        assert 0 <= figure <= 100_000_000
