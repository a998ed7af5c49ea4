"""Every key that a config may hold, with how its value is read and within which range.

The order is the order in which settings are shown. Defaults are in `schema`, never here. Features
that come later stand in `LATER`: their keys are known, and their use is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from llmtop.config import amounts, values
from llmtop.config.filter_tables import filter_tables
from llmtop.config.schema import ExecutionConfig

Shape = Literal["value", "text", "path", "table"]

MAX_CONCURRENCY = 4096
MAX_NAME = 100
_MAX_PER_REQUEST = 1000
_DAY_S = 86400.0
_DEFAULT = ExecutionConfig()


@dataclass(frozen=True, slots=True)
class Key:
    """How one key is read. `shape` says what an option's bare word means for it."""

    read: values.Reader
    shape: Shape = "value"


KEYS: Mapping[str, Key] = {
    "name": Key(values.one_line(MAX_NAME), "text"),
    "provider.kind": Key(
        values.choice(("openai", "anthropic", "gemini", "simulator"), later=("local",)), "text"
    ),
    "provider.base_url": Key(values.filled_text, "text"),
    "provider.server": Key(
        values.choice(("openai", "azure", "groq", "together", "mistral", "compatible")), "text"
    ),
    "provider.model": Key(values.one_line(200), "text"),
    "provider.api_key_env": Key(values.text, "text"),
    "provider.api_key_file": Key(values.filled_text, "path"),
    "provider.headers": Key(values.free_table, "table"),
    "provider.timeout": Key(amounts.duration(0, _DAY_S, is_open=True)),
    "provider.connect_timeout": Key(amounts.duration(0, 600, is_open=True)),
    "provider.max_response_bytes": Key(amounts.size(1024, 2**30)),
    "provider.simulator": Key(values.free_table, "table"),
    "input.path": Key(values.filled_text, "path"),
    "input.format": Key(values.choice(("jsonl", "csv", "tsv", "txt"), later=("parquet",)), "text"),
    "input.id_field": Key(values.filled_text, "text"),
    "input.limit": Key(values.whole(1, 10**9)),
    "request.system": Key(values.filled_text, "text"),
    "request.prompt": Key(values.filled_text, "text"),
    "request.pack_prompt": Key(values.filled_text, "text"),
    "request.prompt_file": Key(values.filled_text, "path"),
    "request.temperature": Key(values.number(0, 2)),
    "request.max_output_tokens": Key(values.whole(1, 10**6)),
    "request.response_format": Key(values.choice(("text", "json", "schema")), "text"),
    "request.schema_file": Key(values.filled_text, "path"),
    "request.extra": Key(values.free_table, "table"),
    "execution.mode": Key(values.choice(("realtime", "batch", "auto")), "text"),
    "execution.concurrency": Key(amounts.span(1, MAX_CONCURRENCY, _DEFAULT.concurrency.start)),
    "execution.items_per_request": Key(amounts.span(1, _MAX_PER_REQUEST, _DEFAULT.items_per_request.start)),
    "execution.pack_check": Key(values.number(0, 1)),
    "execution.order": Key(values.choice(("input",)), "text"),
    "execution.stop_grace": Key(amounts.duration(0, 600)),
    "limits.requests_per_second": Key(values.number(0, 100_000, is_open=True)),
    "limits.requests_per_minute": Key(values.number(0, 6_000_000, is_open=True)),
    "limits.burst": Key(values.number(1, 100_000)),
    "limits.tokens_per_minute": Key(values.number(1, 10**11)),
    "limits.input_tokens_per_minute": Key(values.number(1, 10**11)),
    "limits.output_tokens_per_minute": Key(values.number(1, 10**11)),
    "retry.max_attempts": Key(values.whole(1, 100)),
    "retry.max_wait": Key(amounts.duration(0, _DAY_S, is_open=True)),
    "retry.give_up_throttled_after": Key(amounts.duration(0, 30 * _DAY_S, is_open=True)),
    "tuner.enabled": Key(values.boolean),
    "tuner.e_min": Key(values.number(0.05, 0.6)),
    "tuner.latency_budget": Key(values.number(1.2, 20)),
    "tuner.probe_budget": Key(values.number(0, 0.05)),
    "tuner.margin_learned": Key(values.number(0.5, 1)),
    "tuner.margin_declared": Key(values.number(0.5, 1)),
    "tuner.request_burst_s": Key(amounts.duration(0, 60)),
    "tuner.token_burst_s": Key(amounts.duration(0, 60)),
    "tuner.hold_max": Key(amounts.duration(1, 900)),
    "budget.max_cost": Key(amounts.money),
    "budget.on_limit": Key(values.choice(("pause", "stop")), "text"),
    "prices.input": Key(amounts.price),
    "prices.output": Key(amounts.price),
    "prices.cached_input": Key(amounts.price),
    "prices.batch_discount": Key(values.number(0, 1)),
    "prices.allow_unknown_price": Key(values.boolean),
    "memory.threshold": Key(values.number(0.05, 1)),
    "memory.action": Key(values.choice(("shrink", "pause", "warn")), "text"),
    "memory.per_process": Key(amounts.size(1, 2**44)),
    "cache.enabled": Key(values.boolean),
    "cache.ttl": Key(amounts.duration(0, 3650 * _DAY_S, is_open=True)),
    "cache.max_size": Key(amounts.size(2**20, 2**40)),
    "cache.redis_url_env": Key(values.filled_text, "text"),
    "batch.completion_window": Key(amounts.duration(60, 30 * _DAY_S)),
    "batch.max_requests": Key(values.whole(1, 10**6)),
    "batch.max_bytes": Key(amounts.size(1024, 2**34)),
    "batch.max_enqueued_tokens": Key(values.whole(1, 10**12)),
    "batch.poll_interval": Key(amounts.duration(0, 3600, is_open=True)),
    "batch.look_for": Key(amounts.duration(0, 3600)),
    "batch.spill": Key(values.choice(("none", "realtime", "both")), "text"),
    "batch.deadline": Key(amounts.duration(0, 30 * _DAY_S, is_open=True)),
    "output.path": Key(values.filled_text, "path"),
    "output.rejected_path": Key(values.filled_text, "path"),
    "output.metadata_fields": Key(values.text_list),
    "filters": Key(filter_tables),
}

LATER: Mapping[str, frozenset[str]] = {
    "conversation": frozenset({"turns_field", "drop_superseded", "max_rollback_steps", "multi_samples"}),
}
"""Sections whose feature comes later, with the keys that are known of them."""

SECTIONS = tuple(dict.fromkeys(key.partition(".")[0] for key in KEYS if "." in key))

EXCLUSIVE: tuple[tuple[str, str], ...] = (
    ("limits.requests_per_second", "limits.requests_per_minute"),
    ("request.prompt", "request.prompt_file"),
)
"""Two ways to say one thing: one of them, and the one nearer to the command line counts."""


@dataclass(frozen=True, slots=True)
class Option:
    """A key that has an option of its own on the command line, with its twins in the environment."""

    key: str
    option: str
    variables: tuple[str, ...]


OPTIONS: tuple[Option, ...] = (
    Option("execution.concurrency", "--concurrency", ("LLMTOP_CONCURRENCY", "LLMTOP_MAX_CONNECTIONS")),
    Option("limits.requests_per_minute", "--max-requests-per-minute", ("LLMTOP_MAX_REQUESTS_PER_MINUTE",)),
    Option("limits.tokens_per_minute", "--max-tokens-per-minute", ("LLMTOP_MAX_TOKENS_PER_MINUTE",)),
    Option("budget.max_cost", "--max-cost", ("LLMTOP_MAX_COST",)),
    Option("input.limit", "--limit", ("LLMTOP_LIMIT",)),
    Option("output.path", "--output", ("LLMTOP_OUTPUT",)),
)


def keys_of(section: str) -> tuple[str, ...]:
    """Return the names of a section's keys, in order."""
    return tuple(key.partition(".")[2] for key in KEYS if key.startswith(f"{section}."))
