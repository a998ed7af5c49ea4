"""The plain display: which snapshots become lines, and what the lines say."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llmtop.model import RunCounts
from llmtop.snapshot import CostView, ErrorKind, ErrorsView, HeldBy, Snapshot, ThroughputView
from llmtop_tui.plain import PlainDisplay, progress_line, state_line, summary

USD = 10**12


def snapshot(**changes: object) -> Snapshot:
    made = Snapshot(
        version=1,
        at=1_790_000_000.0,
        run_id="motions-3f9a2c",
        name="motions",
        state="running",
        counts=RunCounts(total=1000, done=410, rejected=9, failed=2),
        throughput=ThroughputView(
            items_per_s=29.71, in_flight=31, concurrency=32, requests=500, retries=4, throttled_429=12
        ),
        cost=CostView(spent_pusd=USD * 42 // 100, cap_pusd=5 * USD),
        elapsed_s=61.0,
        eta_s=4360.0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


class Paper:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.roles: list[str] = []
        self.now = 0.0

    def display(self) -> PlainDisplay:
        return PlainDisplay(self._say, interval_s=5.0, clock=lambda: self.now)

    def _say(self, line: str, role: str, may_drop: bool) -> None:
        self.lines.append(line)
        self.roles.append(role)


def test_between_two_intervals_nothing_is_printed() -> None:
    paper = Paper()
    display = paper.display()

    for second in range(11):
        paper.now = float(second)
        display.show(snapshot())

    assert len(paper.lines) == 3, "the state at 0 s, progress at 5 and 10 s"


def test_a_change_of_state_is_printed_at_once_with_its_reason() -> None:
    paper = Paper()
    display = paper.display()
    display.show(snapshot())

    display.show(snapshot(state="budget", state_detail="budget reached at 18:42:07"))

    assert paper.lines[-1].endswith("motions is now budget reached: budget reached at 18:42:07")
    assert paper.roles[-1] == "warn"


def test_a_warning_is_printed_once_whatever_its_figures() -> None:
    paper = Paper()
    display = paper.display()

    for free in ("1.5", "1.4", "1.4"):
        display.show(snapshot(warnings=(f"disk nearly full: {free} GiB left",)))

    assert sum("disk nearly full" in line for line in paper.lines) == 1


def test_progress_names_its_figures_in_a_fixed_order() -> None:
    held = HeldBy(cause="requests", detail="2.00 requests/s")

    line = progress_line(snapshot(held=held))

    words = [
        "421 of 1,000",
        "rejected 9",
        "failed 2",
        "29.7 items/s",
        "in flight 31 of 32",
        "429 12",
        "$0.42",
    ]
    places = [line.index(word) for word in [*words, "left 1:12:40", "held by requests (2.00 requests/s)"]]
    assert places == sorted(places)


def test_an_unknown_price_is_said_to_be_unknown_and_not_0() -> None:
    cost = CostView(spent_pusd=0, is_price_known=False)

    assert "cost unknown" in progress_line(snapshot(cost=cost))


def test_the_summary_accounts_for_every_item_and_says_what_to_do_next() -> None:
    kinds = (ErrorKind("timeout", 2, 0.0, None, "2 items failed", "no answer within 120 s"),)
    end = snapshot(state="stopped", errors=ErrorsView(kinds=kinds), output_path="/data/out.jsonl")

    text = "\n".join(summary(end))

    assert "1,000: done 410, rejected 9, failed 2, pending 579" in text
    assert "timeout 2: no answer within 120 s" in text
    assert "/data/out.jsonl" in text
    assert "llmtop retry motions-3f9a2c --failed" in text
    assert "the same command goes on" in text


def test_a_summary_of_a_perfect_run_asks_for_nothing() -> None:
    end = snapshot(state="finished", counts=RunCounts(total=3, done=3), output_path="/data/out.jsonl")

    assert not any(line.lstrip().startswith("next") for line in summary(end))


def test_a_lower_bound_of_the_cost_is_marked() -> None:
    end = snapshot(cost=CostView(spent_pusd=USD, is_at_least=True, maybe_billed=3))

    text = "\n".join(summary(end))

    assert ">=$1.00 (a lower bound" in text
    assert "3 requests possibly billed besides" in text


@given(st.text(max_size=60))
def test_no_hostile_text_reaches_a_line(text: str) -> None:
    hostile = text + "\x1b]52;c;AAAA\x07\x9b2J\r\n\u202e"
    kinds = (ErrorKind(hostile, 1, 0.0, None, hostile, hostile),)
    shown = snapshot(
        name=hostile,
        run_id=hostile,
        state_detail=hostile,
        output_path=hostile,
        held=HeldBy(cause=hostile, detail=hostile),
        errors=ErrorsView(kinds=kinds),
    )

    for line in (progress_line(shown), state_line(shown), *summary(shown)):
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2028" for c in line)
