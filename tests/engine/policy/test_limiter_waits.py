"""The seconds lost to each cause."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.policy.limiter import Cause, WaitMeter


def meter() -> WaitMeter:
    return WaitMeter(0.0, lambda cause: f"<{cause}>")


def test_nothing_is_lost_while_nobody_waits() -> None:
    waits = meter()
    waits.mark(50.0, None)

    assert waits.totals(100.0) == ()
    assert waits.shares(100.0) == ()
    assert (waits.binding, waits.detail) == (None, "")


def test_the_open_wait_counts_up_to_the_moment_of_reading() -> None:
    waits = meter()
    waits.mark(10.0, Cause.REQUESTS)

    assert waits.totals(14.0) == ((Cause.REQUESTS, 4.0),)
    assert waits.totals(15.0) == ((Cause.REQUESTS, 5.0),)
    assert waits.detail == "<requests>"


def test_shares_are_of_the_last_minute_alone() -> None:
    waits = meter()
    waits.mark(0.0, Cause.CONCURRENCY)
    waits.mark(100.0, Cause.COOLDOWN)
    waits.mark(115.0, Cause.REQUESTS)
    waits.mark(120.0, None)

    assert dict(waits.totals(120.0)) == {Cause.CONCURRENCY: 100.0, Cause.COOLDOWN: 15.0, Cause.REQUESTS: 5.0}
    assert dict(waits.shares(120.0)) == pytest.approx(
        {Cause.CONCURRENCY: 40 / 60, Cause.COOLDOWN: 15 / 60, Cause.REQUESTS: 5 / 60}
    )
    assert waits.shares(400.0) == ()


@settings(max_examples=200, deadline=None)
@given(
    marks=st.lists(
        st.tuples(st.floats(0.001, 90.0), st.sampled_from([None, Cause.TOKENS, Cause.LOOP, Cause.PAUSE])),
        min_size=1,
        max_size=80,
    )
)
def test_every_second_is_charged_once(marks: list[tuple[float, Cause | None]]) -> None:
    waits, now, cause, spans = meter(), 0.0, None, []
    for gap, following in marks:
        spans.append((now, now + gap, cause))
        now += gap
        waits.mark(now, following)
        cause = following

    lost = dict(waits.totals(now))
    recent = {
        c: sum(max(0.0, end - max(start, now - 60.0)) for start, end, c2 in spans if c2 is c) for c in Cause
    }
    for one in Cause:
        assert lost.get(one, 0.0) == pytest.approx(
            sum(end - start for start, end, c in spans if c is one), abs=1e-6
        )
    whole = sum(recent.values())
    for one, share in waits.shares(now):
        assert share * whole == pytest.approx(recent[one], abs=2.1), (
            "to the grain of a second at the window's edge"
        )
