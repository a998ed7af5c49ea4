"""What a simulated provider is like: every setting of the simulator, with what it does.

A `Profile` is one frozen value. Its field names are the keys of `[provider.simulator]`, of a
profile file (TOML) and of `POST /_sim/settings`. 0 or empty means "off" wherever that makes sense.
Seconds in schedules count from the first request that the server receives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from llmtop.adapters.simulator.checks import check_values
from llmtop.adapters.simulator.vocabulary import CapacityStep, FaultStep, HintStyle, LatencyModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One simulated provider."""

    name: str = "custom"
    """What the profile is called in messages and in the books."""
    description: str = ""
    """One line for the list of profiles."""
    seed: int = 0
    """The same seed, prompt and try have the same latency, fault and answer, in any order of arrival."""

    # --- who may ask for what
    models: tuple[str, ...] = ("sim-small", "sim-large")
    """Names that `GET /v1/models` lists; a request may name any other model as well."""
    missing_models: tuple[str, ...] = ()
    """Names that are answered with 404 `model_not_found`."""
    require_key: str = ""
    """The key that a request must carry as its bearer token, else 401; empty: none is asked for."""
    echo_key: bool = False
    """Repeat a wrong key in full in the 401's message, as careless servers do."""
    context_tokens: int = 0
    """Longest prompt plus answer in tokens; a longer one is a 400 `context_length_exceeded`."""
    blocked_pattern: str = ""
    """Prompts that match this regular expression are a 400 `content_policy_violation`."""
    refuse_max_tokens: bool = False
    """Answer `max_tokens` with a 400 that asks for `max_completion_tokens`, as reasoning models do."""

    # --- latency
    latency: LatencyModel = "fixed"
    """How the seconds of one request are drawn."""
    latency_s: float = 0.05
    """The fixed latency, or the median of the lognormal one."""
    latency_min_s: float = 0.0
    """Shortest uniform latency."""
    latency_max_s: float = 0.0
    """Longest uniform latency."""
    latency_sigma: float = 0.5
    """Spread of the lognormal latency: about 0.3 is steady, 1 has a long tail."""
    latency_per_item_s: float = 0.0
    """Added for each item in the prompt (1 for a prompt that is not packed)."""
    latency_per_output_token_s: float = 0.0
    """Added for each token of the answer, reasoning included."""
    latency_per_prompt_token_s: float = 0.0
    """Added for each token of the prompt."""
    soft_capacity: int = 0
    """Requests served at full speed at the same time; more of them are slower, but not refused."""
    soft_style: Literal["queue", "slow"] = "queue"
    """Beyond `soft_capacity`: wait in line for a free place, or all newcomers take longer."""
    soft_slowdown: float = 1.0
    """With "slow": latency times 1 + this, for each `soft_capacity` requests too many."""

    # --- limits
    requests_per_second: float = 0.0
    """Requests a second; refused beyond it."""
    burst: float = 0.0
    """Requests that a full bucket of `requests_per_second` holds; 0: one second's worth, 1 at least."""
    second_style: Literal["bucket", "fixed"] = "bucket"
    """`requests_per_second` as a bucket that refills all the time, or counted in fixed seconds."""
    requests_per_minute: float = 0.0
    """Requests a minute (RPM)."""
    tokens_per_minute: float = 0.0
    """Tokens a minute (TPM), prompt and answer together."""
    minute_style: Literal["bucket", "fixed", "sliced"] = "bucket"
    """Per-minute limits as a bucket of a minute's worth, in fixed minutes, or in slices of a second each."""
    window_offset_s: float = 0.0
    """Moves the borders of fixed windows against the server's start."""
    token_charge: Literal["declared", "actual"] = "declared"
    """What a request takes of the tokens: prompt plus declared maximum, or what it came to in the end."""
    concurrency: int = 0
    """Requests in flight at the same time; one more is refused."""
    ramp_factor: float = 0.0
    """A second with more than this many times the requests of any before it is told to `slow_down`."""
    ramp_floor: int = 10
    """Requests a second that are never called too steep a growth."""
    count_refused: bool = False
    """Refused requests use up the request limits too, so that a storm of retries keeps itself alive."""
    capacity_steps: tuple[CapacityStep, ...] = ()
    """`{at_s, factor}`: every limit is its setting times the factor of the last step reached."""
    capacity_repeat_s: float = 0.0
    """The steps start over after so many seconds; 0: they run once."""
    quota_requests: int = 0
    """After so many answers the money is gone: 429 with `quota_code`."""
    quota_code: str = "insufficient_quota"
    """The code of that refusal."""

    # --- how a refusal looks
    hint: HintStyle = "retry_after"
    """How a 429 says when to come back."""
    hint_text: str = ""
    """Said literally in place of the true wait (`-1`, `soon`, `99999`), to try a client's nerves."""
    is_refusal_named: bool = True
    """False: a 429 does not say which limit it was."""
    concurrency_status: int = 429
    """The status of a refusal for concurrency: 429, 503 or 529."""
    rate_headers: bool = False
    """Send `x-ratelimit-*` headers with every answer."""

    # --- faults
    faults: Mapping[str, float] = field(default_factory=dict)
    """Kind of fault -> share of requests (0 to 1) that it hits."""
    fault_steps: tuple[FaultStep, ...] = ()
    """`{from_s, to_s, kind, share}`: faults that come and go; an outage is one with share 1."""
    fault_tries: int = 0
    """Only the first so many tries of a prompt meet a fault of `faults`; 0: any try may."""
    always_fail: str = ""
    """Prompts whose id (or text, where there is none) matches this regular expression never succeed."""
    always_fail_kind: str = "http_500"
    """What becomes of those."""
    fault_latency_s: float = 0.0
    """Seconds until an error answer or a reset comes."""
    slow_factor: float = 8.0
    """Latency of a "slow" request, in times of its usual one."""
    hang_s: float = 3600.0
    """How long a "hang" keeps the line open without a word."""
    drip_s: float = 1.0
    """Seconds between two bytes of a "drip"."""
    bill_abandoned: bool = True
    """Whether a request whose client went away is billed all the same."""

    track_ids: bool = True
    """Keep the ids of all answered prompts in the books (about 100 bytes each)."""

    # --- answers
    id_pattern: str = r"\b[iI][dD]\b\"?\s*[:=]\s*\"?([^\s\",;{}\[\]()]+)"
    """Finds the item's id in a prompt that is not packed: the first group."""
    output_tokens: int = 0
    """Length of an answer in tokens (median); 0: two or three sentences."""
    output_sigma: float = 0.0
    """Lognormal spread of `output_tokens`."""
    reasoning_tokens: int = 0
    """Tokens of thinking in every answer: billed, counted against the maximum, not shown."""
    cached_prefix_tokens: int = 0
    """A system prompt of at least so many tokens counts as cached from its second use; 0: never."""
    pack_trouble: Mapping[str, float] = field(default_factory=dict)
    """Trouble in packed answers -> share: of items (dropped, duplicated), of packs (the others)."""
    poison_pattern: str = ""
    """A pack with an item whose id matches this is answered with broken JSON."""

    # --- batch jobs
    batch_s: float = 1.0
    """Seconds until the first line of a batch is worked on; the batch takes at least so long."""
    batch_line_s: float = 0.0
    """Seconds for each line of a batch, one after the other."""
    batch_validating_s: float = 0.0
    """Seconds that a batch is validated (OpenAI) or pending (Gemini)."""
    batch_finalizing_s: float = 0.0
    """Seconds from the last line to the results."""
    batch_cancelling_s: float = 0.0
    """Seconds from the wish to cancel to the end."""
    batch_speed: float = 1.0
    """Seconds in the life of batches and files that pass in one second."""
    batch_window_s: float = 86_400.0
    """What is not done by then expires; of OpenAI and Anthropic as said, of Gemini twice that."""
    batch_retention_s: float = 0.0
    """Results can be read for so long after the creation; 0: 30 days, 29 days (Anthropic), 48 h (Gemini)."""
    batch_max_requests: int = 0
    """Lines in a batch at the most; 0: 50,000, and 100,000 at Anthropic."""
    batch_max_bytes: int = 0
    """Bytes of input at the most; 0: 200 MB, 256 MB (Anthropic), 2 GB or 20 MB inline (Gemini)."""
    batch_enqueued_tokens: float = 0.0
    """Prompt tokens of all unfinished batches of a model; beyond it a batch fails (OpenAI) or is a 429."""
    batch_order: Literal["shuffled", "input"] = "shuffled"
    """The order of the results."""
    batch_lines: Mapping[str, float] = field(default_factory=dict)
    """Trouble of a line -> share of lines (0 to 1) that it hits; `fault_tries` and `always_fail` hold too."""
    batch_troubles: Mapping[str, float] = field(default_factory=dict)
    """Trouble of a batch -> share of batches that it hits; each is drawn for itself."""
    batch_trouble_first: int = 0
    """Only the first so many creations and uploads meet trouble; 0: any may."""
    batch_late_s: float = 5.0
    """Seconds until the answer of a "create_late" comes."""
    batch_file_s: float = 0.0
    """Seconds until an uploaded file is processed (Azure): no batch can be made of it before."""
    batch_young_s: float = 2.0
    """How long "young_404" and "listed_late" last."""
    batch_discount: float = 0.5
    """What a batch takes off the prices below."""

    # --- money
    price_input: float = 0.05
    """USD for a million prompt tokens."""
    price_cached_input: float = 0.01
    """USD for a million cached prompt tokens."""
    price_output: float = 0.10
    """USD for a million tokens of output."""
    usage_cost: bool = False
    """Report the price of each call in `usage.cost`."""

    def __post_init__(self) -> None:
        check_values({each.name: getattr(self, each.name) for each in fields(self)})
