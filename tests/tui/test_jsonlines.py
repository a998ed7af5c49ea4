"""`--display json`: which events come, in which order, with which fields."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from llmtop.model import Decision, RunCounts
from llmtop.snapshot import CostView, HeldBy, Knob, Snapshot, ThroughputView, TunerView
from llmtop_tui.jsonlines import JsonDisplay, dumps

SETTINGS = {"retry.max_attempts": {"value": "6", "origin": "default"}}


def snapshot(**changes: object) -> Snapshot:
    made = Snapshot(
        version=1,
        at=1_790_000_000.123,
        run_id="motions-3f9a2c",
        name="motions",
        state="running",
        counts=RunCounts(total=10, done=4, rejected=1, failed=2),
        held=HeldBy(cause="requests"),
        throughput=ThroughputView(
            requests_per_s=1.98,
            items_per_s=1.5,
            input_tokens_per_s=10,
            output_tokens_per_s=5,
            in_flight=3,
            concurrency=4,
            requests=9,
            retries=2,
            throttled_429=1,
        ),
        cost=CostView(spent_pusd=27_100_000),
        elapsed_s=12.3456,
        eta_s=2.0,
        tuner=TunerView(knobs=(Knob("concurrency", "4", "1", "8", "flag"),)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


class Reader:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.dropped: list[bool] = []
        self.now = 0.0

    def display(self) -> JsonDisplay:
        return JsonDisplay(self._take, SETTINGS, clock=lambda: self.now)

    def _take(self, line: str, may_drop: bool) -> None:
        assert "\n" not in line
        self.events.append(json.loads(line))
        self.dropped.append(may_drop)

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]


def test_every_event_has_its_name_its_moment_and_its_run() -> None:
    reader = Reader()
    display = reader.display()

    display.show(snapshot())
    display.finish(snapshot(state="finished"))

    assert reader.names == ["run_started", "progress", "run_finished"]
    for event in reader.events:
        assert event["run_id"] == "motions-3f9a2c"
        assert event["at"] == "2026-09-21T14:13:20.123Z"


def test_the_start_tells_items_and_effective_settings_with_their_origin() -> None:
    reader = Reader()

    reader.display().show(snapshot())

    assert reader.events[0]["items"] == 10
    assert reader.events[0]["settings"] == SETTINGS
    assert reader.events[0]["live"]["concurrency"] == {"value": "4", "origin": "flag", "pinned": False}


def test_progress_has_the_fields_of_the_interface() -> None:
    reader = Reader()

    reader.display().show(snapshot())

    progress = reader.events[1]
    assert progress["counts"] == {"done": 4, "rejected": 1, "failed": 2, "pending": 3}
    assert progress["cost_usd"] == "0.0000271"
    assert progress["limited_by"] == "requests"
    assert {
        "requests_per_s",
        "items_per_s",
        "tokens_per_s",
        "in_flight",
        "concurrency",
        "eta_s",
    } <= progress.keys()
    assert reader.dropped == [False, True]


def test_progress_comes_once_a_second_however_often_snapshots_come() -> None:
    reader = Reader()
    display = reader.display()

    for tenth in range(51):
        reader.now = tenth / 10
        display.show(snapshot())

    assert 5 <= reader.names.count("progress") <= 6


def test_nothing_is_told_while_the_run_is_still_reading_its_input() -> None:
    reader = Reader()

    reader.display().show(snapshot(state="starting"))

    assert reader.events == []


def test_a_run_that_ends_before_it_started_still_has_a_start_and_an_end() -> None:
    reader = Reader()
    display = reader.display()

    display.show(snapshot(state="starting"))
    display.finish(snapshot(state="failed"))

    assert reader.names == ["run_started", "run_finished"]


def test_a_decision_is_told_once_and_an_operators_is_a_command() -> None:
    tuned = Decision(1.0, "concurrency", "31", "32", "p95 steady", "tuner")
    asked = Decision(2.0, "concurrency", "32", "16", "operator", "ada@box1")
    reader = Reader()
    display = reader.display()

    display.show(snapshot(tuner=TunerView(decisions=(tuned,))))
    display.show(snapshot(tuner=TunerView(decisions=(tuned, asked))))
    display.finish(snapshot(tuner=TunerView(decisions=(tuned, asked))))

    told = [event for event in reader.events if event["event"] in ("decision", "command")]
    assert [(event["event"], event["old"], event["new"]) for event in told] == [
        ("decision", "31", "32"),
        ("command", "32", "16"),
    ]


def test_pauses_and_their_end_are_told_once_each() -> None:
    reader = Reader()
    display = reader.display()

    for state in ("running", "pausing", "paused", "paused", "running", "held", "budget", "running"):
        display.show(snapshot(state=state))

    changes = [name for name in reader.names if name in ("paused", "resumed")]
    assert changes == ["paused", "resumed", "paused", "resumed"]


def test_the_end_has_the_fields_of_the_interface() -> None:
    reader = Reader()

    reader.display().finish(snapshot(state="stopped"))

    end = reader.events[-1]
    assert end["status"] == "stopped"
    assert end["counts"] == {"done": 4, "rejected": 1, "failed": 2, "pending": 3}
    assert (end["elapsed_s"], end["requests"], end["retries"], end["throttled_429"]) == (12.346, 9, 2, 1)


def test_an_unknown_price_is_null_and_not_0() -> None:
    reader = Reader()

    reader.display().finish(snapshot(cost=CostView(is_price_known=False)))

    assert reader.events[-1]["cost_usd"] is None


def test_a_figure_that_is_no_number_becomes_null() -> None:
    reader = Reader()

    reader.display().show(snapshot(eta_s=math.inf, throughput=ThroughputView(items_per_s=math.nan)))

    assert reader.events[1]["eta_s"] is None
    assert reader.events[1]["items_per_s"] is None


def test_text_stays_faithful_and_holds_nothing_that_a_terminal_obeys() -> None:
    hostile = "caf\u00e9 \x1b]0;x\x07 \x9b2J \u202e \u2028"

    line = dumps({"text": hostile})

    assert line.isascii() and line.isprintable()
    assert json.loads(line)["text"] == hostile
