"""The memory guard: nothing under the mark, a pause in the end over it, and everything comes back."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.config.schema import MemoryConfig
from llmtop.policy.guard import GuardVerdict, MemoryGuard

LIMIT = 4 * 1024**3
MARK = int(0.8 * LIMIT)
OVER = int(0.85 * LIMIT)


def guard(action: Literal["shrink", "pause", "warn"] = "shrink", floor: int = 1) -> MemoryGuard:
    return MemoryGuard(MemoryConfig(threshold=0.8, action=action), floor)


class Engine:
    """Obeys the verdicts, and remembers them."""

    def __init__(self, subject: MemoryGuard, concurrency: int = 64) -> None:
        self.guard = subject
        self.wanted = concurrency
        self.now = 100.0
        self.verdicts: list[GuardVerdict] = []
        self.ceiling: int | None = None

    def live(self, seconds: int, working_set: int | None, limit: int | None = LIMIT) -> GuardVerdict:
        for _ in range(seconds):
            self.now += 1.0
            allowed = self.wanted if self.ceiling is None else min(self.wanted, self.ceiling)
            verdict = self.guard.on_reading(self.now, working_set, limit, allowed)
            self.ceiling = verdict.ceiling
            self.verdicts.append(verdict)
        return self.verdicts[-1]

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        return [(c.what, c.old, c.new) for verdict in self.verdicts for c in verdict.changes]


@given(
    st.lists(st.integers(0, MARK - 1), max_size=100),
    st.sampled_from(["shrink", "pause", "warn"]),
    st.integers(1, 500),
)
def test_nothing_is_ever_done_under_the_mark(
    readings: list[int], action: Literal["shrink", "pause", "warn"], concurrency: int
) -> None:
    engine = Engine(guard(action), concurrency)
    for working_set in readings:
        verdict = engine.live(1, working_set)
        assert (verdict.stage, verdict.ceiling, verdict.changes) == ("idle", None, ())
        assert verdict.is_growth_allowed
        assert not verdict.is_paused


@given(st.integers(1, 512), st.integers(1, 64), st.floats(1.0, 1.24))
def test_memory_that_stays_over_the_mark_ends_in_a_pause(concurrency: int, floor: int, share: float) -> None:
    engine = Engine(guard(floor=floor), concurrency)

    verdict = engine.live(150, int(MARK * share) + 1)

    assert verdict.is_paused


@given(st.integers(1, 512), st.integers(1, 64), st.lists(st.integers(MARK + 1, LIMIT), max_size=60))
def test_whatever_it_did_it_comes_back_when_memory_does(
    concurrency: int, floor: int, readings: list[int]
) -> None:
    engine = Engine(guard(floor=floor), concurrency)
    for working_set in readings:
        engine.live(1, working_set)

    verdict = engine.live(150, MARK // 2)

    assert (verdict.stage, verdict.ceiling, verdict.is_paused) == ("idle", None, False)


@given(st.integers(1, 512), st.integers(1, 64), st.lists(st.integers(0, LIMIT), max_size=150))
def test_concurrency_is_never_bound_below_the_floor_and_steps_keep_their_distance(
    concurrency: int, floor: int, readings: list[int]
) -> None:
    engine = Engine(guard(floor=floor), concurrency)
    bound_at: list[float] = []
    for working_set in readings:
        verdict = engine.live(1, working_set)
        if verdict.ceiling is not None:
            assert verdict.ceiling >= min(floor, concurrency)
        if any(change.what == "concurrency" for change in verdict.changes):
            bound_at.append(engine.now)

    assert all(later - earlier >= 5.0 for earlier, later in itertools.pairwise(bound_at))


def test_intake_goes_first_then_concurrency_by_steps_then_the_pause() -> None:
    engine = Engine(guard(floor=16), 64)

    engine.live(60, OVER)

    assert engine.changes == [
        ("memory", "idle", "intake"),
        ("memory", "intake", "shrink"),
        ("concurrency", "64", "44"),
        ("concurrency", "44", "30"),
        ("concurrency", "30", "21"),
        ("concurrency", "21", "16"),
        ("memory", "shrink", "pause"),
    ]


def test_it_comes_back_by_steps_too_and_ends_where_it_began() -> None:
    engine = Engine(guard(floor=16), 64)
    engine.live(60, OVER)
    engine.verdicts.clear()

    engine.live(60, MARK // 2)

    assert engine.changes == [
        ("memory", "pause", "shrink"),
        ("concurrency", "16", "22"),
        ("concurrency", "22", "31"),
        ("concurrency", "31", "44"),
        ("concurrency", "44", "62"),
        ("concurrency", "62", "64"),
        ("memory", "shrink", "intake"),
        ("memory", "intake", "idle"),
    ]


def test_while_intake_is_stopped_concurrency_cannot_grow() -> None:
    engine = Engine(guard(), 64)

    verdict = engine.live(3, OVER)

    assert (verdict.stage, verdict.ceiling, verdict.is_growth_allowed) == ("intake", 64, False)


def test_after_a_sudden_pause_it_comes_back_from_the_floor() -> None:
    engine = Engine(guard(floor=16), 64)
    engine.live(2, OVER)
    engine.live(1, int(0.97 * LIMIT))

    verdict = engine.live(6, MARK // 2)

    assert (verdict.stage, verdict.ceiling) == ("shrink", 16)


def test_close_to_the_limit_there_is_no_time_for_steps() -> None:
    engine = Engine(guard(), 64)

    verdict = engine.live(1, int(0.96 * LIMIT))

    assert verdict.is_paused
    assert engine.changes == [("memory", "idle", "pause")]


def test_between_the_two_marks_nothing_moves_for_a_minute() -> None:
    engine = Engine(guard(floor=16), 64)
    engine.live(8, OVER)
    held = engine.live(1, int(0.95 * MARK))
    engine.verdicts.clear()

    engine.live(55, int(0.95 * MARK))

    assert held.stage == "shrink"
    assert engine.changes == []


def test_a_pause_does_not_last_for_ever_where_others_hold_the_memory_under_the_mark() -> None:
    engine = Engine(guard(floor=16), 64)
    engine.live(1, int(0.97 * LIMIT))

    verdict = engine.live(70, int(0.95 * MARK))

    assert (verdict.stage, verdict.is_paused, verdict.ceiling) == ("shrink", False, 16)


def test_the_action_pause_pauses_at_the_mark_and_takes_it_back_in_one_step() -> None:
    engine = Engine(guard("pause"), 64)

    assert engine.live(1, OVER).is_paused
    assert engine.live(30, MARK // 2).stage == "idle"
    assert engine.changes == [("memory", "idle", "pause"), ("memory", "pause", "idle")]


def test_the_action_warn_touches_nothing_and_says_it_once() -> None:
    engine = Engine(guard("warn"), 64)

    verdict = engine.live(100, int(0.99 * LIMIT))

    assert (verdict.stage, verdict.ceiling, verdict.is_paused, verdict.level) == ("idle", None, False, "bad")
    assert engine.changes == [("memory", "under the mark", "over the mark")]
    engine.live(5, MARK // 2)
    assert engine.changes[1:] == [("memory", "over the mark", "under the mark")]


def test_a_limit_that_can_no_longer_be_read_gives_everything_back() -> None:
    engine = Engine(guard(floor=16), 64)
    engine.live(60, OVER)

    verdict = engine.live(60, None, None)

    assert (verdict.stage, verdict.mark_bytes, verdict.level) == ("idle", None, "good")


def test_a_change_says_why_with_the_numbers() -> None:
    verdict = Engine(guard()).live(1, OVER)

    assert verdict.changes[0].why == "working set 3.40 GiB of 4.00 GiB, the mark is 3.20 GiB"
    assert verdict.words == "takes in no more"


@pytest.mark.parametrize(("share", "level"), [(0.5, "good"), (0.91, "warn"), (1.01, "bad")])
def test_the_level_follows_the_mark(share: float, level: str) -> None:
    assert Engine(guard()).live(1, int(MARK * share)).level == level
