"""A run to look at: the fixed snapshot of the pictures, the benchmarks and the tests."""

from __future__ import annotations

import math
from dataclasses import replace

from llmtop.model import Decision, RunCounts
from llmtop.snapshot import (
    BatchesView,
    CostView,
    ErrorKind,
    ErrorsView,
    FilterView,
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
    Snapshot,
    ThroughputView,
    TunerView,
)

GIB, MIB, USD = 2**30, 2**20, 10**12
_CURVE = tuple((16.0 + n / 2, 21.5 + 12 * (1 - math.exp(-n / 12)) + math.sin(n)) for n in range(33))
AT = 1795459327.0
"""The moment of the pictures."""


def _history(scale: float) -> tuple[float, ...]:
    waves = (0.82 + 0.12 * math.sin(n / 23) + 0.06 * math.sin(n / 5.3) for n in range(240))
    return tuple(
        scale * min(max(value - (0.35 if 118 < n < 131 else 0.0), 0.0), 1.0) for n, value in enumerate(waves)
    )


def _row(key: str, state: str, age: float, **more: object) -> FlightRow:
    values: dict[str, object] = {
        "via": "rt",
        "item_id": "",
        "items_done": 15,
        "items": 15,
        "attempt": 1,
        **more,
    }
    return FlightRow(key=key, state=state, started_at=AT - age, **values)  # type: ignore[arg-type]


ROWS = (
    _row("p00827", "sent", 1.3),
    _row("p00826", "retry wait 2.0s", 4.1, attempt=2, note="429 retry-after 2", role="warn"),
    _row("p00825", "filter", 2.1, latency_s=1.9, tokens=7204, cost_pusd=5 * 10**8),
    _row(
        "p00824",
        "done 14 rej 1",
        2.6,
        latency_s=2.5,
        tokens=7180,
        cost_pusd=5 * 10**8,
        note="latin: m-12277",
    ),
    _row(
        "p00823",
        "halved",
        6.9,
        latency_s=6.8,
        tokens=7910,
        cost_pusd=55 * 10**7,
        note="3 missing: p00828, p00829",
        role="warn",
    ),
    _row("p00822", "done", 2.2, latency_s=2.1, tokens=7177, cost_pusd=5 * 10**8, role="good"),
    _row("p00821", "done", 3.0, latency_s=2.9, tokens=7240, cost_pusd=5 * 10**8, role="good"),
    _row(
        "b0002",
        "in progress",
        7864,
        via="batch",
        items_done=4100,
        items=9000,
        tokens=1_920_000,
        note="12 failed, look 41s, eta 157m, exp 22h",
        job=JobView(
            number=2,
            requests=9000,
            tag="lt7f3a9c21d0e4-0002",
            batch_id="batch_6921f0c4a8b0819",
            failed=12,
            per_min=31.3,
            eta_s=9366.0,
            at_most_pusd=112 * 10**9,
            reserved_pusd=2459 * 10**8,
            intended_at=AT - 7870,
            uploaded_at=AT - 7867,
            created_at=AT - 7864,
            looked_at=AT - 19,
            next_look_at=AT + 41,
            expires_at=AT + 78536,
        ),
    ),
    _row(
        "b0001",
        "retrieved",
        13218,
        via="batch",
        items_done=9000,
        items=9000,
        latency_s=3120,
        tokens=4_310_000,
        cost_pusd=2511 * 10**8,
        role="good",
        job=JobView(
            number=1,
            requests=9000,
            tag="lt7f3a9c21d0e4-0001",
            batch_id="batch_6921db2270d8190",
            retrieved=9000,
            failed=0,
            per_min=174.2,
            full_pusd=5022 * 10**8,
            reserved_pusd=2459 * 10**8,
            intended_at=AT - 13224,
            uploaded_at=AT - 13221,
            created_at=AT - 13218,
            looked_at=AT - 10118,
            ended_at=AT - 10118,
            over_at=AT - 10098,
            expires_at=AT + 73182,
            results_until=AT + 2_420_000,
        ),
    ),
)

DECISIONS = (
    Decision(AT - 727, "start", "", "conc 16 pack 15", "as the config says", "config"),
    Decision(AT - 612, "items_per_request", "16", "14", "4 of 16 answers cut at the limit", "tuner"),
    Decision(AT - 357, "items_per_request", "14", "15", "answers complete, -3% a token", "tuner"),
    Decision(AT - 183, "concurrency", "28", "32", "set", "operator@box1"),
    Decision(AT - 117, "concurrency", "32", "31", "2x 429 in 10 s, retry-after 2 s", "tuner"),
    Decision(AT - 15, "concurrency", "31", "32", "p95 steady, no 429 for 60 s", "tuner"),
)
LOG = (
    LogLine(AT - 183, "operator@box1", "set concurrency 28 -> 32"),
    LogLine(AT - 125, "", "batch_6921db2270d8190: retrieved, 9,000 of 9,000 requests settled", "good"),
    LogLine(AT - 15, "tuner", "concurrency 31 -> 32: p95 steady, no 429 for 60 s"),
    LogLine(AT - 6, "", "p00823 answer misses 3 of 15 ids: halved into p00828 p00829", "warn"),
    LogLine(AT - 2, "", "p00826 429 retry-after 2: waits 2.0 s", "warn"),
)
KINDS = (
    ErrorKind("rate_limit", 12, 1.0, AT - 2, "slowed 4 %", "retry-after 2 s"),
    ErrorKind("timeout", 1, 0.0, AT - 1316, "1 try", "after 120 s"),
    ErrorKind("invalid_response", 3, 0.0, AT - 137, "2 packs halved", "not JSON (code fence)"),
    ErrorKind("missing_in_pack", 5, 0.0, AT - 6, "3 packs halved", "ids m-12290 m-12291 m-12293"),
    ErrorKind("filtered", 41, 2.0, AT - 9, "41 rejected", "reject: 12 foreign words"),
    ErrorKind(
        "context_length", 2, 0.0, AT - 2363, "2 items failed", "prompt of 131,204 tokens, limit 128,000"
    ),
)
FILTERS = (
    FilterView("scripts", 1, 212, 170, 0),
    FilterView("words", 2, 38, 38, 0),
    FilterView("typos", 3, 1204, 996, 0),
    FilterView("reject", 4, 55, 0, 41, 14),
    FilterView("metadata", 5, 0, 0, 0),
    FilterView("whitespace", 6, 3011, 2950, 0),
)
KNOBS = (
    Knob("concurrency", "32", "4", "256", "tuner", AT - 15),
    Knob("items_per_request", "15", "1", "40", "tuner", AT - 357),
    Knob("requests_per_second", "2", "", "", "file"),
    Knob("max_cost", "5", "", "", "file"),
)

SAMPLE = Snapshot(
    version=4117,
    at=AT,
    run_id="20261123-184207-motions",
    name="motions",
    state="running",
    counts=RunCounts(29118, 12367, 41, 2),
    model="mistralai/mistral-small-2603",
    provider="openai",
    started_at=AT - 727,
    elapsed_s=727.0,
    eta_s=4360.0,
    eta_at=AT + 4360,
    output_path="explanations.jsonl",
    held=HeldBy(
        "requests",
        "requests/s 2.00",
        (("requests", 0.71), ("cooldown", 0.11), ("tokens", 0.09), ("concurrency", 0.06)),
    ),
    memory=MemoryView(
        "cgroup v2", int(41.9 * GIB), int(52.0 * GIB), 128 * GIB, 0.8, int(102.4 * GIB), 512 * MIB, 0.2 * MIB
    ),
    processes=ProcessView(
        4117,
        9.0,
        2,
        0,
        14,
        3,
        int(14.8 * GIB),
        (4001, 4002, 4003),
        16,
        1.2,
        11.0,
        96,
        1_048_576,
        "3 other python processes use this API: 14.8 GiB together; as one process about 5 GiB",
    ),
    throughput=ThroughputView(
        1.98,
        29.7,
        28.9,
        8140,
        1610,
        2.0,
        _history(2.1),
        _history(11020),
        31,
        32,
        16708,
        4,
        812,
        4,
        1021,
        17,
        12,
    ),
    latency=LatencyView(
        Percentiles(1.2, 3.1, 6.9), Percentiles(4.4, 14.2, 21.0), Percentiles(2460, 4320, None), 0.004, 3.0
    ),
    cost=CostView(
        421_900_000_000,
        False,
        True,
        7_100_000_000,
        5 * USD,
        990_000_000_000,
        960_000_000_000,
        1_040_000_000_000,
        True,
        180_000_000_000,
        360_000_000_000,
        0,
        "config [prices]",
    ),
    errors=ErrorsView(KINDS, 12, 0, 1, 0, 3, 2, 0, 0.0, tuple([0, 1, 0, 0, 2, 1] * 10), tuple([0] * 60)),
    tuner=TunerView(
        True,
        KNOBS,
        "probing",
        "next +1 in 12 s",
        (("p95", "3.1 s steady"), ("429", "0.0 % in 60 s"), ("goodput", "29.7 items/s")),
        DECISIONS,
        _CURVE,
    ),
    rows=ROWS,
    batches=BatchesView(1, 0, 1, 9000, 4100, AT + 41, 2511 * 10**8, 5022 * 10**8),
    log=LOG,
    warnings=(
        "3 other python processes use this API (14.8 GiB): pids 4001 4002 4003",
        "price of model x is estimated",
    ),
    last_command="operator@box1 set concurrency 28 -> 32   llmtop set motions concurrency=32",
    filters=FILTERS,
)

PAUSED = replace(
    SAMPLE,
    state="budget",
    state_detail="budget reached at 18:42:07",
    cost=replace(
        SAMPLE.cost, spent_pusd=4_970_000_000_000, projected_pusd=7_400_000_000_000, does_cap_hold=False
    ),
    throughput=replace(SAMPLE.throughput, in_flight=0, requests_per_s=0.0, items_per_s=0.0),
    held=HeldBy("budget", "the cap of $5.00"),
)
FINISHED = replace(
    SAMPLE,
    state="finished",
    exit_code=7,
    counts=RunCounts(29118, 29067, 46, 5),
    rows=(),
    elapsed_s=5087.0,
    eta_s=None,
    cost=replace(SAMPLE.cost, spent_pusd=987_300_000_000, projected_pusd=None, does_cap_hold=None),
    throughput=replace(SAMPLE.throughput, requests=2011, retries=41, throttled_429=29),
    held=HeldBy(),
    warnings=(),
)
RUNS = (
    RunLine(
        "20261123-184207-motions",
        "motions",
        "running",
        SAMPLE.counts,
        421_900_000_000,
        False,
        AT - 727,
        4117,
        SAMPLE.model,
    ),
    RunLine(
        "20261123-180000-eval-gemma",
        "eval-gemma",
        "paused",
        RunCounts(1000, 120),
        30_000_000_000,
        False,
        AT - 2527,
        4117,
        "google/gemma-4-26b-a4b-it",
    ),
    RunLine(
        "20261122-120000-eval-mistral",
        "eval-mistral",
        "finished",
        RunCounts(1000, 991, 9),
        40_000_000_000,
        False,
        AT - 110_000,
        None,
        SAMPLE.model,
    ),
    RunLine(
        "20261120-090000-backfill-2",
        "backfill-2",
        "stopped",
        RunCounts(90000, 64040, 212, 8),
        1_880_000_000_000,
        True,
        AT - 293_000,
        None,
        "openai/gpt-4.1-nano",
    ),
)
