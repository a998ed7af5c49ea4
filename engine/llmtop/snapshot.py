"""One immutable picture of a run, made once a second at most, whatever the load.

Screens, `--display json`, the control socket and metrics read this and nothing else; they
compute nothing. None means unknown and is drawn `-`, never 0. Times are wall-clock seconds
since the epoch (`_at`) or durations in seconds (`_s`). Text in it may have been written by
others: whoever draws it cleans it first (`llmtop.cleaning`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmtop.model import Decision, RunCounts

RunState = Literal[
    "starting",
    "running",
    "held",
    "pausing",
    "paused",
    "stopping",
    "waiting",  # for a provider batch: next poll, nothing else to do
    "budget",
    "refused",  # key, quota or model refused: only a person can mend it
    "stopped",
    "cancelled",
    "finished",
    "failed",
]


@dataclass(frozen=True, slots=True)
class MemoryView:
    """Memory of the tightest control group, or of the machine where there is none."""

    source: Literal["cgroup v2", "cgroup v1", "machine", "unknown"] = "unknown"
    working_set_bytes: int | None = None
    usage_bytes: int | None = None
    """Raw, page cache included."""
    limit_bytes: int | None = None
    threshold: float = 0.8
    mark_bytes: int | None = None
    """`threshold` of the limit."""
    engine_rss_bytes: int | None = None
    growth_bytes_per_min: float | None = None
    pressure_some_pct: float | None = None
    """PSI `some avg10`, where there is PSI."""
    guard: str = "idle"
    """What the memory guard does, in a few words."""
    level: Literal["good", "warn", "bad"] = "good"


@dataclass(frozen=True, slots=True)
class ProcessView:
    """Our own tree, and other Python processes of this user that talk to APIs."""

    engine_pid: int = 0
    engine_cpu_pct: float | None = None
    viewers: int = 0
    children: int = 0
    cgroup_processes: int | None = None
    python_processes: int = 0
    """Python processes of this user, llmtop's own not counted."""
    python_rss_bytes: int = 0
    python_pids: tuple[int, ...] = ()
    cores: int = 1
    load_1m: float | None = None
    cpu_pct: float | None = None
    """CPU use of the whole machine, 0 to 100."""
    open_files: int | None = None
    open_files_limit: int | None = None
    warning: str | None = None
    """The parallel-process anti-pattern by name, with its cost."""


@dataclass(frozen=True, slots=True)
class ThroughputView:
    """Rates over the last 10 s (less at the start), and a history of one value a second."""

    requests_per_s: float = 0.0
    items_per_s: float = 0.0
    items_per_s_5min: float | None = None
    input_tokens_per_s: float = 0.0
    output_tokens_per_s: float = 0.0
    requests_per_s_max: float = 0.0
    history_requests: tuple[float, ...] = ()
    """Requests started in each of the last 240 seconds, oldest first."""
    history_tokens: tuple[float, ...] = ()
    in_flight: int = 0
    concurrency: int = 0
    queued: int = 0
    """Items that wait: not finished and not in flight."""
    retry_waiting: int = 0
    cache_hits: int = 0
    dup_joined: int = 0
    requests: int = 0
    """Calls sent since the run was first started."""
    retries: int = 0
    throttled_429: int = 0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of one duration, in seconds; None before the first sample."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class LatencyView:
    """How long things take, over the last 5 minutes; batch jobs over the last day."""

    request: Percentiles = Percentiles()
    waiting: Percentiles = Percentiles()
    """From ready to sent: what the gate held it back."""
    batch: Percentiles = Percentiles()
    """Provider batch jobs, from their creation until their results are here."""
    loop_lag_p99_s: float | None = None
    request_p95_10min_s: float | None = None


@dataclass(frozen=True, slots=True)
class CostView:
    """Money, in pico-dollars. A lower bound where `is_at_least`."""

    spent_pusd: int = 0
    is_at_least: bool = False
    """A price or a usage was unknown or estimated."""
    is_price_known: bool = True
    reserved_pusd: int = 0
    cap_pusd: int | None = None
    projected_pusd: int | None = None
    projected_low_pusd: int | None = None
    projected_high_pusd: int | None = None
    does_cap_hold: bool | None = None
    saved_cache_pusd: int = 0
    saved_batch_pusd: int = 0
    maybe_billed: int = 0
    """Requests whose answer was lost."""
    price_origin: str = "unknown"
    """`config [prices]`, `genai-prices 0.2.3 (2026-11-01)`, `reported by the API`, `unknown`."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class HeldBy:
    """What binds right now and the share of waiting each cause had in the last minute."""

    cause: str | None = None
    """`requests`, `tokens`, `concurrency`, `cooldown`, `budget`, `memory`, `pause`, `writer`, `loop`;
    None: nothing."""
    detail: str = ""
    """The number behind it: `2.00 requests/s`, `64 in flight`, `until 18:42:41`."""
    shares: tuple[tuple[str, float], ...] = ()
    """(cause, share 0 to 1) of the last minute's waiting, largest first."""
    total_s: tuple[tuple[str, float], ...] = ()
    """(cause, seconds lost since the start of this engine), largest first."""
    until_at: float | None = None
    """When a cooldown ends."""


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of trouble: `name` is an `error.type`, or `429`-like groups made by the engine."""

    name: str
    count: int
    per_min: float
    last_at: float | None
    cost: str
    """What it cost us, in words: `3 tries`, `2 items failed`, `slowed 4 %`."""
    last_message: str


@dataclass(frozen=True, slots=True)
class ErrorsView:
    """Errors and waits."""

    kinds: tuple[ErrorKind, ...] = ()
    status_429: int = 0
    status_5xx: int = 0
    timeouts: int = 0
    connections: int = 0
    parse: int = 0
    missing: int = 0
    refusals: int = 0
    cooldown_s: float = 0.0
    history_429: tuple[int, ...] = ()
    """One value a minute, oldest first, 60 at most."""
    history_5xx: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A provider batch job beside what its row says. None: not known (yet), or it never comes to that."""

    number: int
    """What `llmtop batches RUN --cancel` and `--look-up` call it."""
    tag: str = ""
    """Our name for it at the provider."""
    batch_id: str | None = None
    """The provider's name for it."""
    requests: int = 0
    """Its lines at the provider: fewer than its items where they are packs."""
    retrieved: int = 0
    """Items whose results are here."""
    failed: int | None = None
    """Requests that failed, as the provider counts."""
    per_min: float | None = None
    """Items a minute: at the last looks, or over the whole life of a job that has ended."""
    eta_s: float | None = None
    """Until its last item, at that rate."""
    full_pusd: int | None = None
    """What it cost so far, at the price of realtime."""
    at_most_pusd: int | None = None
    """The most that what is done can cost: usage is only known once it is fetched."""
    reserved_pusd: int = 0
    """Set aside for all of it when it was made."""
    intended_at: float
    uploaded_at: float | None = None
    created_at: float | None = None
    looked_at: float | None = None
    next_look_at: float | None = None
    ended_at: float | None = None
    over_at: float | None = None
    """Its results are here, or it was given up: nothing of it is waited for."""
    expires_at: float | None = None
    results_until: float | None = None
    """The provider keeps its results until then."""
    time_role: Literal["plain", "warn", "bad"] = "plain"
    """Whether it soon expires, or results that are not here soon vanish."""


@dataclass(frozen=True, slots=True)
class BatchesView:
    """All provider batch jobs of a run together."""

    open: int = 0
    """Jobs that are not over."""
    held: int = 0
    """Of them, those that wait for a person."""
    over: int = 0
    items: int = 0
    """In the open jobs."""
    items_done: int = 0
    """Of them, those that are done as far as the provider tells."""
    next_look_at: float | None = None
    spent_pusd: int = 0
    full_pusd: int | None = None
    """The same at the price of realtime; None: no batch price is known."""


@dataclass(frozen=True, slots=True)
class FlightRow:
    """One row of the table: a request or pack in flight or just finished, or a provider batch."""

    key: str
    """`p00827` or `b0002`: stable for the row's life."""
    via: Literal["rt", "batch"]
    state: str
    """One word, then numbers: `sent`, `retry 429`, `done 14 rej 1`."""
    item_id: str
    items_done: int
    items: int
    attempt: int
    started_at: float
    latency_s: float | None = None
    tokens: int | None = None
    cost_pusd: int | None = None
    note: str = ""
    role: Literal["plain", "good", "warn", "bad"] = "plain"
    job: JobView | None = None
    """Of a provider batch."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting that is steered live, with where its value comes from."""

    name: str
    """The key of `llmtop set`."""
    value: str
    low: str = ""
    high: str = ""
    origin: str = "default"
    """`flag`, `environment`, `file`, `default`, `tuner`, `operator@host`, `reported`."""
    changed_at: float | None = None
    is_pinned: bool = False


@dataclass(frozen=True, slots=True)
class TunerView:
    """The tuner's state and its last decisions."""

    is_on: bool = False
    knobs: tuple[Knob, ...] = ()
    phase: str = ""
    next_step: str = ""
    evidence: tuple[tuple[str, str], ...] = ()
    decisions: tuple[Decision, ...] = ()
    """Newest last, 50 at most."""
    curve: tuple[tuple[float, float], ...] = ()
    """(concurrency, items a second) of the last 20 minutes, oldest first."""


@dataclass(frozen=True, slots=True)
class FilterView:
    """What one filter has done to the answers of the run."""

    name: str
    """What `use` calls it."""
    place: int
    """Position in the chain, from 1."""
    hits: int = 0
    """Places in answers that it found."""
    changed: int = 0
    """Answers that it changed."""
    rejected: int = 0
    """Answers that it rejected for good."""
    asked_again: int = 0
    """Answers that it rejected and whose items were asked again."""


@dataclass(frozen=True, slots=True)
class PlanView:
    """What the run was expected to take when it was begun: bounds where a bound could be given."""

    requests: int
    input_tokens: int
    output_tokens: int
    """At the most, where `max_output_tokens` is set."""
    cost_pusd: int | None
    """At the most; None: the price is unknown."""
    duration_s: float


def plan_view_of(kept: Mapping[str, Any] | None) -> PlanView | None:
    """Return a plan as it was kept with its run; None where there is none."""
    return None if kept is None else PlanView(**kept)


@dataclass(frozen=True, slots=True)
class PackView:
    """How packed answers compare with those that a sample of items got alone (`execution.pack_check`)."""

    checked: int = 0
    agreed: int = 0


@dataclass(frozen=True, slots=True)
class LogLine:
    """A decision, a command or a change of state."""

    at: float
    who: str
    text: str
    role: Literal["plain", "good", "warn", "bad"] = "plain"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a front end shows of one run."""

    version: int
    """Grows with every change; a command's acknowledgement names the first that shows it."""
    at: float
    run_id: str
    name: str
    state: RunState
    counts: RunCounts
    state_detail: str = ""
    """What is being done or why it stands still: `reading items, 41 %`, `budget reached at 18:42:07`."""
    model: str = ""
    provider: str = ""
    via: str = "realtime"
    state_at: float | None = None
    """Since when it is in this state, as far as this engine has seen it."""
    started_at: float | None = None
    elapsed_s: float = 0.0
    """Running time, over all starts."""
    eta_s: float | None = None
    eta_at: float | None = None
    exit_code: int | None = None
    output_path: str = ""
    held: HeldBy = HeldBy()
    memory: MemoryView = field(default_factory=MemoryView)
    processes: ProcessView = field(default_factory=ProcessView)
    throughput: ThroughputView = field(default_factory=ThroughputView)
    latency: LatencyView = field(default_factory=LatencyView)
    cost: CostView = field(default_factory=CostView)
    errors: ErrorsView = field(default_factory=ErrorsView)
    tuner: TunerView = field(default_factory=TunerView)
    rows: tuple[FlightRow, ...] = ()
    """In flight first, then the last finished, 200 at most."""
    log: tuple[LogLine, ...] = ()
    """Newest last, 100 at most."""
    warnings: tuple[str, ...] = ()
    last_command: str = ""
    """Who changed what last, and the shell command that does the same."""
    filters: tuple[FilterView, ...] = ()
    """In the order in which they look at an answer; empty: the run has none."""
    packs: PackView = PackView()
    batches: BatchesView = BatchesView()
    plan: PlanView | None = None
    """None: a run of an earlier version."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One line of the list of runs."""

    run_id: str
    name: str
    state: RunState
    counts: RunCounts
    cost_pusd: int
    is_cost_at_least: bool
    created_at: float
    pid: int | None
    """Of the live engine that owns it; None: nobody runs it."""
    model: str = ""
