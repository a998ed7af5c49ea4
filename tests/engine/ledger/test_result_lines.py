from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import result

from llmtop.adapters.ledger.lines import result_line, timestamp, usd
from llmtop.model import PUSD_PER_USD


@given(st.integers(min_value=-(10**18), max_value=10**18))
def test_dollars_are_exact_and_plain(pusd: int) -> None:
    text = usd(pusd)

    assert text is not None
    assert Decimal(text) * PUSD_PER_USD == pusd
    assert "E" not in text
    assert "." not in text or not text.endswith("0")


def test_an_unknown_price_is_null_and_not_zero() -> None:
    assert usd(None) is None
    assert usd(0) == "0"
    assert usd(27_100_000) == "0.0000271"


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (1795176000.1234, "2026-11-20T12:00:00.123Z"),
        (1795176000.9996, "2026-11-20T12:00:01.000Z"),
        (0.0, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_moments_are_utc_with_milliseconds(at: float, text: str) -> None:
    assert timestamp(at) == text


def test_a_line_has_the_fields_of_the_interface_in_their_order() -> None:
    line = json.loads(result_line(result(17)))

    assert list(line) == [
        *(
            "id",
            "status",
            "output",
            "error",
            "finish_reason",
            "usage",
            "cost_usd",
            "model",
            "via",
            "attempts",
        ),
        *("latency_ms", "pack_id", "batch_id", "filters", "started_at", "finished_at", "metadata"),
    ]
    assert line["usage"] == {
        "input_tokens": 410,
        "cached_input_tokens": 10,
        "output_tokens": 82,
        "reasoning_tokens": 2,
    }
    assert line["metadata"] == {}
    assert line["filters"] == []


def test_a_failed_item_carries_its_reason() -> None:
    line = json.loads(result_line(result(1, "failed")))

    assert line["error"] == {"type": "timeout", "message": "why 1", "http_status": None}
    assert line["output"] is None


@given(st.text(st.characters(codec=None)))
def test_text_keeps_its_code_points_but_for_surrogates_and_nul(text: str) -> None:
    line = result_line(result(1, output=text))

    expected = "".join("\ufffd" if c == "\x00" or "\ud800" <= c <= "\udfff" else c for c in text)
    assert b"\n" not in line
    assert json.loads(line)["output"] == expected


def test_parsed_output_keeps_its_values() -> None:
    output = {"n": 2**70, "deep": [{"a\x00": "\udc80"}], "x": 0.1}

    line = json.loads(result_line(result(1, output=output)))

    assert line["output"] == {"n": 2**70, "deep": [{"a\ufffd": "\ufffd"}], "x": 0.1}


def test_backslash_u0000_written_out_in_a_text_stays_as_it_is() -> None:
    assert json.loads(result_line(result(1, output="say \\u0000")))["output"] == "say \\u0000"


def test_metadata_comes_along() -> None:
    assert json.loads(result_line(replace(result(1), metadata={"lang": "nl"})))["metadata"] == {"lang": "nl"}
