"""The tuner against a virtual clock: the properties T1 to T14 of its specification."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.config.schema import Range, TunerConfig
from llmtop.model import Outcome
from llmtop.policy.tuner import Flight, Mode, Phase, Record, Report, Tuner

BOUNDS, ALONE = Range(1, 8, 128), Range(1, 1, 1)


def tuner_of(bounds: Range = BOUNDS, seed: int = 1, packs: Range = ALONE) -> Tuner:
    return Tuner(TunerConfig(), bounds, packs, 60.0, 120.0, random.Random(seed).uniform)


def ok(latency_s: float = 1.0, tokens: float = 100.0, **more: float) -> Report:
    return Report(outcome=Outcome.OK, latency_s=latency_s, output_tokens=tokens, input_tokens=50.0, **more)  # type: ignore[arg-type]


def refused(wait_s: float | None = None, outcome: Outcome = Outcome.REFUSED_UNKNOWN) -> Report:
    return Report(outcome=outcome, latency_s=0.05, retry_after_s=wait_s)


Serve = Callable[[float, int], Report]
"""What the provider says to a request that arrives at a moment, as one of so many in flight."""


class World:
    """A client with endless work that obeys the tuner, in steps of a twentieth of a second."""

    step_s = 0.05

    def __init__(
        self, tuner: Tuner, serve: Serve, *, demand: Callable[[float], int] = lambda now: 10**9
    ) -> None:
        self.tuner, self.serve, self.demand = tuner, serve, demand
        self.now = 0.0
        self.left: list[tuple[float, Flight, Report]] = []
        self.departures: list[float] = []
        self._last = -1.0
        self._credit = 1.0

    def run(self, until: float) -> World:
        while self.now < until:
            self.now += self.step_s
            self._land()
            self.tuner.tick(self.now)
            self._send()
        return self

    @property
    def in_flight(self) -> int:
        return len(self.left)

    def _land(self) -> None:
        due = sorted((one for one in self.left if one[0] <= self.now), key=lambda one: one[0])
        self.left = [one for one in self.left if one[0] > self.now]
        for at, flight, report in due:
            self.tuner.answered(at, flight, report)

    def _send(self) -> None:
        tuner, now = self.tuner, self.now
        pace = tuner.requests.pace
        self._credit = 1e9 if pace is None else min(1.0 + 0.1 * pace, self._credit + pace * self.step_s)
        while self.in_flight < self.demand(now):
            if now < tuner.hold_until or now < tuner.canary_at or now < self._last + tuner.min_gap:
                return
            if self.in_flight >= tuner.concurrency:
                tuner.blocked(now)
                return
            if self._credit < 1.0:
                return
            self._credit -= 1.0
            self._last = now
            self.departures.append(now)
            flight = tuner.departed(now, self.in_flight + 1, 150.0)
            report = self.serve(now, self.in_flight)
            self.left.append((now + report.latency_s, flight, report))


def flush(tuner: Tuner) -> list[Record]:
    tuner.journal.flush()
    return list(tuner.journal.records)


def random_report(rng: random.Random) -> Report:
    outcome = rng.choice(list(Outcome))
    return Report(
        outcome=outcome,
        latency_s=rng.expovariate(1.0),
        retry_after_s=rng.choice([None, None, 0.0, 1.0, 2.5, 30.0, 9000.0, float("nan"), float("inf"), -1.0]),
        scope=rng.choice([None, None, "requests", "tokens", "concurrency"]),
        input_tokens=rng.choice([0.0, 100.0, 5000.0]),
        output_tokens=rng.choice([0.0, 50.0, 3000.0]),
        items=rng.choice([1, 1, 8]),
        items_ok=1,
    )


def fuzz(tuner: Tuner, seed: int, count: int) -> list[tuple[int, int]]:
    """Drive with anything; return (concurrency, pack) after each answer."""
    rng = random.Random(seed)
    now, flights, seen = 0.0, [], []
    for _ in range(count):
        now += rng.expovariate(20.0)
        if rng.random() < 0.3:
            tuner.blocked(now)
        flights.append(tuner.departed(now, len(flights) + 1, rng.uniform(1.0, 5000.0)))
        if len(flights) > rng.randrange(1, 60):
            tuner.answered(now, flights.pop(rng.randrange(len(flights))), random_report(rng))
        tuner.tick(now)
        seen.append((tuner.concurrency, tuner.choose_pack()))
    return seen


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), low=st.integers(1, 20), width=st.integers(0, 100))
def test_set_points_stay_inside_their_bounds_whatever_comes(seed: int, low: int, width: int) -> None:
    tuner = tuner_of(Range(low, low + width // 2, low + width), packs=Range(2, 4, 16))

    seen = fuzz(tuner, seed, 4000)

    assert all(low <= limit <= low + width and 2 <= pack <= 16 for limit, pack in seen)
    assert tuner.min_gap in (0.0, 0.1)
    for learner in (tuner.requests, tuner.tokens):
        assert learner.pace is None or learner.pace > 0.0


def test_the_same_seed_and_answers_give_the_same_decisions() -> None:
    one, two = tuner_of(seed=3), tuner_of(seed=3)

    assert fuzz(one, 9, 5000) == fuzz(two, 9, 5000)
    assert flush(one) == flush(two) != []


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_change_of_the_concurrency_is_written_down_from_its_old_value(seed: int) -> None:
    tuner = tuner_of()
    records: list[Record] = []
    tuner.journal.listener = records.append

    fuzz(tuner, seed, 3000)
    tuner.journal.flush()

    value = str(BOUNDS.start)
    for record in records:
        is_move = record.what in ("concurrency", "test") and "shadow" not in record.why
        if is_move:
            assert record.old == value
            value = record.new
        assert record.why
    assert value == str(tuner.concurrency)


def test_a_trickle_of_work_banks_no_limit() -> None:
    world = World(tuner_of(), lambda now, level: ok(0.3), demand=lambda now: 5).run(300.0)

    assert world.tuner.concurrency == BOUNDS.start


def test_answers_at_constant_latency_bring_it_to_the_top_in_bounded_time() -> None:
    world = World(tuner_of(), lambda now, level: ok(0.5)).run(30.0)

    assert world.tuner.concurrency == BOUNDS.high


def test_long_answers_do_not_make_the_start_take_minutes() -> None:
    world = World(tuner_of(Range(1, 8, 64)), lambda now, level: ok(20.0)).run(60.0)

    assert world.tuner.concurrency >= 24


@settings(max_examples=100, deadline=None)
@given(burst=st.integers(1, 20), running=st.integers(5, 40))
def test_a_burst_of_refusals_is_one_cut_to_the_number_still_running(burst: int, running: int) -> None:
    tuner = tuner_of(Range(1, 60, 128))
    flights = [tuner.departed(0.1 * n, n + 1, 100.0) for n in range(running + burst)]

    for number, flight in enumerate(flights[running:]):
        tuner.answered(10.0 + 0.001 * number, flight, refused(outcome=Outcome.REFUSED_CONCURRENCY))

    assert tuner.concurrency == running
    cuts = [record for record in flush(tuner) if record.what == "concurrency"]
    assert cuts[0].old == "60"
    assert all(record.why == "same burst" for record in cuts[1:])


@pytest.mark.parametrize("wait_s", [None, 1.0, 30.0, 5000.0])
def test_endless_refusals_lead_to_the_floor_and_never_freeze(wait_s: float | None) -> None:
    world = World(tuner_of(), lambda now, level: refused(wait_s)).run(1200.0)

    if world.tuner.mode is Mode.CONCURRENCY:
        assert world.tuner.concurrency == 1
    for minute in range(1, 19):
        assert any(62.0 * minute <= at < 62.0 * (minute + 1) for at in world.departures)


def test_a_provider_that_is_slow_for_everybody_does_not_shrink_us() -> None:
    def serve(now: float, level: int) -> Report:
        is_full = level > 40
        if is_full:
            return refused()
        return ok((3.0 if 300.0 <= now < 3900.0 else 1.0) * rng.uniform(0.7, 1.3))

    rng = random.Random(2)
    world = World(tuner_of(), serve).run(290.0)
    before = world.tuner.concurrency
    world.run(3900.0)

    assert abs(before - 40) <= 4
    assert abs(world.tuner.concurrency - before) <= 0.2 * before


@pytest.mark.parametrize("outcome", [Outcome.STOP_BILLING, Outcome.STOP_ACCESS, Outcome.BAD])
def test_what_is_no_signal_moves_nothing(outcome: Outcome) -> None:
    tuner = tuner_of()
    for number in range(500):
        flight = tuner.departed(0.1 * number, 3, 100.0)
        report = Report(outcome=outcome, latency_s=0.05, retry_after_s=60.0)
        tuner.answered(0.1 * number + 0.05, flight, report)

    assert flush(tuner) == []
    assert (tuner.concurrency, tuner.requests.pace, tuner.tokens.pace) == (8, None, None)


def test_an_answer_that_was_cut_was_served_all_the_same() -> None:
    def cut(now: float, level: int) -> Report:
        return Report(outcome=Outcome.BAD, latency_s=0.5, output_tokens=50.0, items_ok=0)

    world = World(tuner_of(), cut).run(30.0)

    assert world.tuner.min_gap == 0.0
    assert world.tuner.concurrency == BOUNDS.high
    assert world.tuner.telemetry.goodput == 0.0


def test_random_server_errors_leave_the_concurrency_alone() -> None:
    rng = random.Random(4)

    def serve(now: float, level: int) -> Report:
        if level > 30:
            return refused()
        if now > 100.0 and rng.random() < 0.25:
            return Report(outcome=Outcome.FAULT, latency_s=0.5)
        return ok(rng.uniform(0.5, 1.5))

    world = World(tuner_of(), serve).run(100.0)
    before = world.tuner.concurrency
    world.run(400.0)

    assert abs(world.tuner.concurrency - before) <= 2
    assert not any(record.what == "breaker" for record in flush(world.tuner))


def test_a_dead_service_is_asked_rarely_and_comes_back_to_where_it_was() -> None:
    def serve(now: float, level: int) -> Report:
        if 100.0 <= now < 400.0:
            return Report(outcome=Outcome.FAULT, latency_s=0.05)
        return refused() if level > 40 else ok(1.0)

    world = World(tuner_of(), serve).run(99.0)
    before = world.tuner.concurrency
    world.run(425.0)

    for start in range(130, 340, 30):
        assert sum(start <= at < start + 60 for at in world.departures) <= 12
    assert world.tuner.concurrency >= 0.85 * before


def test_a_hanging_canary_does_not_block_the_next() -> None:
    def serve(now: float, level: int) -> Report:
        if now < 50.0:
            return ok(0.5)
        return Report(outcome=Outcome.FAULT, latency_s=0.05 if now < 60.0 else 1000.0)

    world = World(tuner_of(), serve).run(60.0)
    before = len(world.departures)
    world.run(100.0)

    assert len(world.departures) - before == 3


def test_a_pinned_value_stays_and_moves_again_after_it_is_handed_back() -> None:
    world = World(tuner_of(), lambda now, level: refused() if level > 20 else ok(0.5)).run(60.0)
    tuner = world.tuner
    tuner.slots.pin(world.now, 64, "set by test", "operator")

    world.run(200.0)
    assert tuner.concurrency == 64
    assert any("shadow" in record.why for record in flush(tuner))

    tuner.slots.resume_from(world.now, 64)
    assert tuner.slots.phase is Phase.HOLD
    world.run(260.0)
    assert 18 <= tuner.concurrency <= 24


def test_a_rate_without_a_name_is_learned_and_used() -> None:
    level = 10.0
    last = 0.0

    def serve(now: float, _in_flight: int) -> Report:
        nonlocal level, last
        level, last = min(10.0, level + 5.0 * (now - last)), now
        if level < 1.0:
            return refused(round((1.0 - level) / 5.0, 3) or 0.01)
        level -= 1.0
        return ok(1.5)

    world = World(tuner_of(), serve).run(300.0)

    assert world.tuner.mode is Mode.RATE
    refusals = sum(record.what == "hold" for record in flush(world.tuner))
    sent = sum(at >= 100.0 for at in world.departures) / 200.0
    assert 4.7 <= sent <= 5.3
    assert refusals <= 40


def test_a_refusal_that_names_its_limit_decides_at_once() -> None:
    tuner = tuner_of()
    flights = [tuner.departed(0.1 * number, number + 1, 100.0) for number in range(8)]

    tuner.answered(1.0, flights[0], refused(2.0, Outcome.REFUSED_RATE))
    assert (tuner.mode, tuner.concurrency >= 8) == (Mode.RATE, True)
    assert 3.0 <= tuner.hold_until <= 3.1

    late = tuner.departed(4.0, 8, 100.0)
    tuner.answered(4.1, late, refused(None, Outcome.REFUSED_CONCURRENCY))
    assert tuner.mode is Mode.CONCURRENCY


def test_a_declared_rate_is_believed_until_it_is_refused_three_times_in_a_minute() -> None:
    tuner = tuner_of()
    tuner.requests.cap = 10.0
    for number in range(3):
        now = 10.0 + 5.0 * number
        for step in range(20):
            tuner.abandoned(tuner.departed(now + 0.1 * step, 1, 100.0))
        flight = tuner.departed(now + 2.0, 1, 100.0)
        assert tuner.requests.pace is None
        tuner.answered(now + 2.05, flight, refused(0.5, Outcome.REFUSED_RATE))

    assert tuner.requests.pace is not None
    assert tuner.requests.pace < 10.0


@pytest.mark.parametrize("share_refused", [0.05, 0.2])
def test_an_overload_that_is_not_ours_does_not_starve_us(share_refused: float) -> None:
    rng = random.Random(8)

    def serve(now: float, level: int) -> Report:
        if level > 40:
            return refused()
        if 100.0 <= now < 130.0 and rng.random() < share_refused:
            return refused(outcome=Outcome.REFUSED_OVERLOAD)
        return ok(1.0)

    world = World(tuner_of(), serve).run(99.0)
    before = world.tuner.concurrency
    world.run(130.0)
    assert world.tuner.concurrency >= 0.45 * before
    world.run(150.0)

    assert world.tuner.concurrency >= 0.9 * before


def test_a_hundred_thousand_answers_cost_little_and_memory_stays_bounded() -> None:
    tuner = tuner_of()
    start = time.process_time()

    fuzz(tuner, 5, 100_000)

    assert time.process_time() - start < 10.0
    assert len(tuner.journal.records) <= 2000
    assert tuner.traffic.in_flight <= 61


@pytest.mark.parametrize("are_rejected", [False, True])
def test_packs_whose_answers_filters_reject_shrink_and_nothing_else_moves(are_rejected: bool) -> None:
    tuner = tuner_of(Range(8, 8, 8), packs=Range(1, 16, 64))
    now = 0.0
    for _ in range(3000):
        size = tuner.choose_pack()
        flight = tuner.departed(now, 1, 100.0 * size)
        now += 1.0
        bad = max(0, size - max(1, 16 - size)) if are_rejected else 0
        latency_s = 1.0 + 0.02 * size
        tuner.answered(
            now,
            flight,
            Report(outcome=Outcome.OK, latency_s=latency_s, items=size, items_ok=size, items_rejected=bad),
        )
        tuner.tick(now)

    sizes = [record for record in flush(tuner) if record.what == "pack"]
    assert sizes
    assert (tuner.packs.leader <= 10) == are_rejected
    assert tuner.concurrency == 8
