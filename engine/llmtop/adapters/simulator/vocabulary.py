"""The words of the simulator's settings: faults, trouble in packs, hints, and steps in time."""

from __future__ import annotations

from typing import Literal, NamedTuple

LatencyModel = Literal["fixed", "uniform", "lognormal"]
HintStyle = Literal[
    "retry_after", "retry_after_float", "http_date", "retry_after_ms", "reset_headers", "message", "none"
]

FAULT_KINDS: dict[str, str] = {
    "http_500": "JSON server_error",
    "http_502": "an HTML page of a proxy",
    "http_503": "JSON server_is_overloaded",
    "http_504": "an HTML page of a proxy",
    "http_529": "JSON overloaded_error",
    "reset_before": "the connection is reset before a byte of the answer",
    "reset_after_headers": "the connection is reset in the middle of the body",
    "hang": "nothing comes for `hang_s`, then the connection is reset",
    "cut_body": "the connection is closed before the promised length",
    "cut_gzip": "a gzip body that ends too early, with a length that fits",
    "truncated": "a complete HTTP answer whose JSON ends too early",
    "malformed": "a complete HTTP answer whose JSON is broken",
    "empty_body": "200 without a body",
    "html_200": "200 with an HTML page",
    "error_in_200": "200 with an error object",
    "error_choice": "200 whose choice ended with `error`",
    "no_choices": "200 with an empty list of choices",
    "null_content": "200 with content null",
    "blank_content": "200 with blank content",
    "length": "an answer cut in the middle, finish_reason length",
    "content_filter": "no content, finish_reason content_filter",
    "refusal": "message.refusal in place of content",
    "fenced": "a good answer in a code fence",
    "slow": "takes `slow_factor` times as long",
    "drip": "one byte each `drip_s`",
    "blank_lines": "blank lines before the JSON while it waits",
    "gzip": "a gzip body",
    "wrong_content_type": "good JSON that calls itself text/plain",
    "missing_usage": "a good answer without usage",
    "nonsense_usage": "a good answer with a usage that cannot be",
}
"""Kind of fault -> what the client sees."""

HARMLESS_FAULTS = frozenset(
    ("fenced", "slow", "drip", "blank_lines", "gzip", "wrong_content_type", "missing_usage", "nonsense_usage")
)
"""Odd, but the answer is a good one: a client has to take it."""

UNBILLED_FAULTS = frozenset(
    (
        "http_500", "http_502", "http_503", "http_504", "http_529",
        "reset_before", "hang", "empty_body", "html_200", "error_in_200",
    )
)  # fmt: skip
"""The model was never asked: nothing is billed. All other faults spoil an answer that was paid for."""

PACK_TROUBLES: dict[str, str] = {
    "dropped": "an item has no answer (share of items)",
    "duplicated": "an item is answered twice (share of items)",
    "shuffled": "the answers stand in another order (share of packs)",
    "swapped": "two items have each other's answer (share of packs)",
    "extra": "an answer for an id that nobody asked about (share of packs)",
    "truncated": "the JSON ends too early (share of packs)",
    "fenced": "the JSON stands in a code fence (share of packs)",
}
"""Kind of trouble in a packed answer -> what the client sees."""


class FaultStep(NamedTuple):
    """A fault that happens for some time: an outage is `http_503` with share 1."""

    from_s: float
    to_s: float
    kind: str
    share: float = 1.0


class CapacityStep(NamedTuple):
    """From `at_s` on, every limit is its setting times `factor`."""

    at_s: float
    factor: float


BATCH_LINE_TROUBLES: dict[str, str] = {
    "http_400": "fails with a 400, which is final",
    "http_429": "fails with a 429, which may be sent again",
    "http_500": "fails with a 500, which may be sent again",
    "no_status": "fails with a status of 0 and an empty body (elsewhere than in OpenAI's format: with a 500)",
    "refusal": "is answered with a refusal",
    "content_filter": "is answered with what a content filter leaves",
    "length": "is answered with a text that is cut in the middle",
    "null_content": "is answered with nothing",
    "missing_usage": "is answered without usage",
    "missing": "is in none of the results",
    "duplicate": "stands twice in the results",
    "conflicting": "stands twice in the results, with two different answers",
    "unknown": "has a neighbour in the results that nobody sent",
    "malformed": "is broken JSON in the results",
    "stuck": "is not done before the window is over: the batch expires with the others done",
}
"""Trouble of a line of a batch job -> what becomes of it."""

BATCH_TROUBLES: dict[str, str] = {
    "create_lost_reset": "the batch is created, and the connection is reset in place of an answer",
    "create_lost_500": "the batch is created, and the answer is a 500",
    "create_late": "the batch is created, and the answer comes after `batch_late_s`",
    "create_reset": "no batch is created, and the connection is reset",
    "create_500": "no batch is created, and the answer is a 500",
    "create_429": "no batch is created, and the answer is a 429",
    "upload_reset": "the file is stored, and the connection is reset in place of an answer",
    "young_404": "the batch is a 404 while it is younger than `batch_young_s`",
    "listed_late": "the list leaves the batch out while it is younger than `batch_young_s`",
    "failed": "the batch fails after its creation was answered with 200",
    "expires": "the second half of the lines is never done: the batch expires",
    "back": "after its last status was shown once, the batch is shown as in progress once more",
    "results_late": "the results are a 404 at their first fetch",
    "results_cut": "the connection is closed in the middle of the results at their first fetch",
    "results_short": "the results end too early at their first fetch, in a complete HTTP answer",
    "empty_error_id": "where there is no error file, its id is an empty text",
    "counts_off": "the counts of an expired batch do not add up",
}
"""Trouble of a whole batch job -> what the client sees."""
