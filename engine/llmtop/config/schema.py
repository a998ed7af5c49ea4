"""What a run may be told, with every default: the only place where a tunable's default stands.

Plain frozen values; `loader` builds them from TOML, the environment and flags, and checks them.
One sentence a field; durations in seconds, money in pico-dollars, prices in pico-dollars a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

ProviderKind = Literal["openai", "anthropic", "gemini", "simulator", "local"]
ServerName = Literal["openai", "azure", "groq", "together", "mistral", "compatible"]
Mode = Literal["realtime", "batch", "auto"]


class Range(NamedTuple):
    """`16`, `"4-256"` or `"4-16-256"`: bounds and start of a tuned number."""

    low: int
    start: int
    high: int

    @property
    def is_fixed(self) -> bool:
        """Whether there is nothing to tune."""
        return self.low == self.high

    def __str__(self) -> str:
        return str(self.low) if self.is_fixed else f"{self.low}-{self.start}-{self.high}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """Whom to ask."""

    kind: ProviderKind = "openai"
    base_url: str | None = None
    """None: the kind's own address."""
    server: ServerName | None = None
    """Whose ways an OpenAI-compatible server has; None: its host name tells."""
    model: str = ""
    api_key_env: str | None = None
    """Variable that holds the key; None: the kind's own (`OPENAI_API_KEY` ...)."""
    api_key_file: Path | None = None
    """File with mode 0600 that holds the key; used when the variable is not set."""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 120.0
    """Total seconds for one request."""
    connect_timeout: float = 10.0
    max_response_bytes: int = 16 * 1024 * 1024
    """Decoded body; more is an invalid response."""
    simulator: Mapping[str, Any] = field(default_factory=dict)
    """For kind "simulator": `profile` and any setting of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputConfig:
    """What is asked about."""

    path: Path = Path("-")
    id_field: str | None = None
    """None: "id", else "custom_id", else the line number."""
    limit: int | None = None
    format: Literal["jsonl", "csv", "tsv", "txt"] | None = None
    """None: by the file's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestConfig:
    """What is asked of every item."""

    system: str | None = None
    prompt: str | None = None
    prompt_file: Path | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    response_format: Literal["text", "json", "schema"] = "text"
    schema_file: Path | None = None
    schema: Mapping[str, Any] | None = None
    """The parsed `schema_file`."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    pack_prompt: str | None = None
    """The prompt of several items in one request, with `{items}`; None: made of `prompt`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionConfig:
    """How items are sent."""

    mode: Mode = "realtime"
    concurrency: Range = field(default=Range(1, 8, 512))
    items_per_request: Range = field(default=Range(1, 1, 1))
    order: Literal["input"] = "input"
    stop_grace: float = 8.0
    """Seconds that a polite stop waits for calls in flight; within ten it has to be over."""
    pack_check: float = 0.0
    """Share of packed items that are asked again alone, to see whether the answers agree; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """Declared limits of the provider; None: not declared. Runs on one provider, key and model share them."""

    requests_per_second: float | None = None
    requests_per_minute: float | None = None
    burst: float | None = None
    tokens_per_minute: float | None = None
    input_tokens_per_minute: float | None = None
    output_tokens_per_minute: float | None = None

    @property
    def request_rate(self) -> float | None:
        """Requests a second, whichever way it was declared."""
        if self.requests_per_second is not None:
            return self.requests_per_second
        return None if self.requests_per_minute is None else self.requests_per_minute / 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """How often and how long to try."""

    max_attempts: int = 6
    """Tries of an item, the first included; a 429 never uses one up."""
    max_wait: float = 60.0
    give_up_throttled_after: float = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TunerConfig:
    """Whether concurrency is moved by what is measured, and by which measures the lane is steered."""

    enabled: bool = True
    e_min: float = 0.22
    """Latency against throughput: growth is kept while doubling the concurrency brings 2 ** e_min."""
    latency_budget: float = 4.0
    """Seconds per token may grow to this multiple of the best of the last 15 minutes."""
    probe_budget: float = 0.0035
    """Share of requests that looking for more may cost in refusals."""
    margin_learned: float = 0.97
    """Share of a learned rate that is used."""
    margin_declared: float = 0.995
    """Share of a declared or reported rate that is used."""
    request_burst_s: float = 0.1
    """Requests that may leave together beyond one, in seconds of the rate."""
    token_burst_s: float = 2.0
    """Tokens that may leave together, in seconds of the rate."""
    hold_max: float = 120.0
    """Seconds that one shared hold lasts at most."""
    pack_cost_weight: float = 0.25
    """How much the price of a good item counts against the speed when items are packed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """The cap on money."""

    max_cost: int | None = None
    """Pico-dollars for the run."""
    on_limit: Literal["pause", "stop"] = "pause"


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesConfig:
    """The user's own prices in pico-dollars a token (USD per million tokens x 1,000,000); None: not given."""

    input: int | None = None
    output: int | None = None
    cached_input: int | None = None
    batch_discount: float | None = None
    allow_unknown_price: bool = False
    """Start with a budget although the price is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConfig:
    """What to do when the container's memory fills up."""

    threshold: float = 0.80
    action: Literal["shrink", "pause", "warn"] = "shrink"
    per_process: int = 0
    """Bytes of one process of the way it was done before; 0: not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """The response cache that all processes share."""

    enabled: bool = False
    """Off unless it is asked for: two runs of one config at a temperature above 0 would be the same."""
    ttl: float = 30 * 86400.0
    """Seconds that an answer is kept for; an older one is not taken."""
    max_size: int = 2**30
    """Bytes of `cache.db`; what was not used for longest goes first."""
    redis_url_env: str | None = None
    """Variable that holds the address of a Redis server, which then keeps the answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """How items go as batch jobs. None: the provider's own limit."""

    completion_window: float = 86400.0
    """Seconds that a job may take, for the choice of `auto`; the providers take one day."""
    max_requests: int | None = None
    """Requests of one job."""
    max_bytes: int | None = None
    """Bytes of one job's file; 95 % of it are used."""
    max_enqueued_tokens: int | None = None
    """Prompt tokens that may wait at the provider in all jobs of a run together."""
    poll_interval: float = 5.0
    look_for: float = 30.0
    """Seconds for which a creation whose answer was lost is looked for, before it may be made again."""
    """The shortest wait between two looks at a job; it grows with the age of the job."""
    spill: Literal["none", "realtime", "both"] = "none"
    """`realtime`: what expired or failed is finished in realtime. `both`: the reverse too."""
    deadline: float | None = None
    """Seconds from the run's first start; then jobs are ended, and the rest goes in realtime (`spill`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputConfig:
    """Where results go while the run goes."""

    path: Path | None = None
    """None: only the ledger; `llmtop export` writes them at any time."""
    rejected_path: Path | None = None
    metadata_fields: tuple[str, ...] = ()


Origin = Literal["flag", "environment", "file", "default"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One run: everything a config file says, checked, with paths made absolute."""

    name: str
    file: Path | None
    """The config file; None for one built in code."""
    provider: ProviderConfig = ProviderConfig()
    input: InputConfig = InputConfig()
    request: RequestConfig = RequestConfig()
    execution: ExecutionConfig = ExecutionConfig()
    limits: LimitsConfig = LimitsConfig()
    retry: RetryConfig = RetryConfig()
    tuner: TunerConfig = TunerConfig()
    budget: BudgetConfig = BudgetConfig()
    prices: PricesConfig = PricesConfig()
    memory: MemoryConfig = MemoryConfig()
    output: OutputConfig = OutputConfig()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Dotted key -> where its effective value comes from; a key that is not named has its default."""
    cache: CacheConfig = CacheConfig()
    batch: BatchConfig = BatchConfig()
    filters: tuple[Mapping[str, Any], ...] = ()
    """In order, as plain values with absolute paths; `policy.filters` knows the settings of each."""
