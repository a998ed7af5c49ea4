"""Hypothesis strategies for snapshots with anything in them that a field may hold."""

from __future__ import annotations

import math
from typing import Any, get_args

from hypothesis import strategies as st

from llmtop.listing import AttemptRow, JobDetail, JobOutcome
from llmtop.model import Decision, RunCounts
from llmtop.snapshot import (
    BatchesView,
    CostView,
    ErrorKind,
    ErrorsView,
    FlightRow,
    HeldBy,
    JobView,
    Knob,
    LatencyView,
    LogLine,
    MemoryView,
    Percentiles,
    ProcessView,
    RunLine,
    RunState,
    Snapshot,
    ThroughputView,
    TunerView,
)

_NASTY = (
    "\x1b]0;pwn\x07",
    "\x1b[2J",
    "[/red]",
    "[bold",
    "\u202egnp",
    "日本語テキスト",
    "e\u0301\u0301\u0301",
    "👩‍👩‍👧",
    "\x9b31m",
    "\n\r\t",
    "",
)
words = st.one_of(st.sampled_from(_NASTY), st.text(max_size=40), st.sampled_from(["ok", "retry 429"]))
numbers = st.one_of(
    st.integers(0, 10**6), st.just(0), st.just(10**30), st.integers(-5, 0), st.integers(10**12, 10**20)
)
floats = st.one_of(
    st.floats(0, 1e6), st.sampled_from([0.0, -1.0, 1e300, math.inf, -math.inf, math.nan, 1e-12]), st.floats()
)
maybe_number = st.none() | numbers
maybe_float = st.none() | floats
moments = st.one_of(st.floats(0, 4e9), st.sampled_from([0.0, -1e18, 1e18, math.nan, math.inf]))
roles = st.sampled_from(["plain", "good", "warn", "bad"])


def _many(each: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[Any]:
    return st.lists(each, max_size=most).map(tuple)


def _of(
    kind: type, *fields: st.SearchStrategy[Any], **named: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    return st.builds(kind, *fields, **named)


percentiles = _of(Percentiles, maybe_float, maybe_float, maybe_float)
kinds = _of(ErrorKind, words, numbers, floats, st.none() | moments, words, words)
jobs = _of(
    JobView,
    number=numbers,
    tag=words,
    batch_id=st.none() | words,
    requests=numbers,
    retrieved=numbers,
    failed=maybe_number,
    per_min=maybe_float,
    eta_s=maybe_float,
    full_pusd=maybe_number,
    at_most_pusd=maybe_number,
    reserved_pusd=numbers,
    intended_at=moments,
    uploaded_at=st.none() | moments,
    created_at=st.none() | moments,
    looked_at=st.none() | moments,
    next_look_at=st.none() | moments,
    ended_at=st.none() | moments,
    over_at=st.none() | moments,
    expires_at=st.none() | moments,
    results_until=st.none() | moments,
    time_role=st.sampled_from(["plain", "warn", "bad"]),
)
rows = _of(
    FlightRow,
    words,
    st.sampled_from(["rt", "batch"]),
    words,
    words,
    numbers,
    numbers,
    numbers,
    moments,
    maybe_float,
    maybe_number,
    maybe_number,
    words,
    roles,
    st.none() | jobs,
)
counts = _of(
    RunCounts, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6)
)
batches = _of(
    BatchesView, numbers, numbers, numbers, numbers, numbers, st.none() | moments, numbers, maybe_number
)
job_details = _of(
    JobDetail, numbers, counts, _many(_of(JobOutcome, words, numbers, st.none() | moments, words), 6)
)
attempts = _of(
    AttemptRow,
    numbers,
    numbers,
    moments,
    st.none() | moments,
    st.none() | words,
    maybe_number,
    st.none() | words,
    st.none() | words,
    maybe_float,
    maybe_number,
    maybe_number,
    st.booleans(),
    st.none() | words,
    st.none() | words,
)
knobs = _of(
    Knob,
    st.sampled_from(["concurrency", "max_cost", "x"]) | words,
    words,
    words,
    words,
    words,
    st.none() | moments,
    st.booleans(),
)
decisions = _of(Decision, moments, words, words, words, words, words)
log_lines = _of(LogLine, moments, words, words, roles)
snapshots: st.SearchStrategy[Snapshot] = _of(
    Snapshot,
    version=st.integers(0, 10**6),
    at=moments,
    run_id=words,
    name=words,
    state=st.sampled_from(get_args(RunState)),
    counts=counts,
    state_detail=words,
    elapsed_s=floats,
    eta_s=maybe_float,
    eta_at=st.none() | moments,
    exit_code=st.none() | st.integers(0, 143),
    output_path=words,
    held=_of(
        HeldBy,
        st.none() | st.sampled_from(["requests", "cooldown", "budget"]) | words,
        words,
        _many(st.tuples(words, floats)),
    ),
    memory=_of(
        MemoryView,
        st.sampled_from(["cgroup v2", "machine", "unknown"]),
        maybe_number,
        maybe_number,
        maybe_number,
        floats,
        maybe_number,
        maybe_number,
        maybe_float,
        maybe_float,
        words,
        st.sampled_from(["good", "warn", "bad"]),
    ),
    processes=_of(
        ProcessView,
        st.integers(-1, 10**7),
        maybe_float,
        numbers,
        numbers,
        maybe_number,
        numbers,
        numbers,
        st.just(()),
        st.integers(1, 512),
        maybe_float,
        maybe_float,
        maybe_number,
        maybe_number,
        st.none() | words,
    ),
    throughput=_of(
        ThroughputView,
        floats,
        floats,
        maybe_float,
        floats,
        floats,
        floats,
        _many(floats, 250),
        _many(floats, 10),
        numbers,
        numbers,
        numbers,
        numbers,
        numbers,
        numbers,
        numbers,
        numbers,
        numbers,
    ),
    latency=_of(LatencyView, percentiles, percentiles, percentiles, maybe_float, maybe_float),
    cost=_of(
        CostView,
        numbers,
        st.booleans(),
        st.booleans(),
        numbers,
        maybe_number,
        maybe_number,
        maybe_number,
        maybe_number,
        st.none() | st.booleans(),
        numbers,
        numbers,
        numbers,
        words,
    ),
    errors=_of(
        ErrorsView,
        _many(kinds),
        numbers,
        numbers,
        numbers,
        numbers,
        numbers,
        numbers,
        numbers,
        floats,
        _many(st.integers(0, 99), 60),
        _many(st.integers(0, 99), 60),
    ),
    tuner=_of(
        TunerView, st.booleans(), _many(knobs), words, words, _many(st.tuples(words, words)), _many(decisions)
    ),
    rows=_many(rows, 8),
    batches=batches,
    log=_many(log_lines),
    warnings=_many(words),
    last_command=words,
)
run_lines: st.SearchStrategy[RunLine] = _of(
    RunLine,
    words,
    words,
    st.sampled_from(get_args(RunState)),
    counts,
    numbers,
    st.booleans(),
    moments,
    st.none() | st.integers(1, 10**7),
    words,
)
