"""The life of a simulated batch, as figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.simulator import load_profile
from llmtop.adapters.simulator.batches.timeline import timeline


@given(
    st.floats(1.7e9, 1.8e9), st.integers(1, 50_000), st.sampled_from((0.0, 0.001, 0.01, 0.1, 0.3)), st.data()
)
def test_a_batch_that_has_the_time_does_every_line_that_is_not_stuck(
    created_at: float, lines: int, line_s: float, data: st.DataObject
) -> None:
    stuck = data.draw(st.integers(0, lines))
    profile = load_profile({"profile": "instant", "batch_s": 12.0, "batch_line_s": line_s})

    life = timeline(profile, created_at, lines, stuck, 86_400.0, is_faulty=False)

    assert life.done == lines - stuck
    assert life.state(life.ends_at) == ("expired" if stuck else "completed")


@pytest.mark.parametrize("at", [-1.0, 0.0, 11.9])
def test_nothing_is_done_before_the_first_line(at: float) -> None:
    profile = load_profile({"profile": "instant", "batch_s": 12.0, "batch_line_s": 1.0})

    assert timeline(profile, 0.0, 10, 0, 100.0, is_faulty=False).done_at(at) == 0
