"""What a profile's settings must satisfy. A fault is a ConfigError: place, problem, remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from llmtop.adapters.simulator.vocabulary import (
    BATCH_LINE_TROUBLES,
    BATCH_TROUBLES,
    FAULT_KINDS,
    PACK_TROUBLES,
    CapacityStep,
    FaultStep,
)
from llmtop.errors import ConfigError

_CHOICES: dict[str, tuple[str, ...]] = {
    "latency": ("fixed", "uniform", "lognormal"),
    "soft_style": ("queue", "slow"),
    "second_style": ("bucket", "fixed"),
    "minute_style": ("bucket", "fixed", "sliced"),
    "token_charge": ("declared", "actual"),
    "hint": (
        "retry_after", "retry_after_float", "http_date", "retry_after_ms", "reset_headers", "message", "none",
    ),
    "always_fail_kind": tuple(FAULT_KINDS),
    "batch_order": ("shuffled", "input"),
}  # fmt: skip
_PATTERNS = ("always_fail", "blocked_pattern", "id_pattern", "poison_pattern")
_MOST = 1e9


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown word: the known one that is most like it."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known are {', '.join(names)}" if len(names) <= 30 else "docs/simulator.md lists what there is"


def check_values(values: Mapping[str, Any]) -> None:
    """Raise ConfigError at the first setting that makes no sense."""
    for name, value in values.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            check_number(name, value)
    for name, known in _CHOICES.items():
        if values[name] not in known:
            raise ConfigError(name, f"is {values[name]!r}", nearest(str(values[name]), known))
    for name in _PATTERNS:
        _check_pattern(name, values[name])
    if values["id_pattern"] and re.compile(values["id_pattern"]).groups < 1:
        raise ConfigError("id_pattern", "has no group", "Put the id's part in brackets: `id=(\\w+)`.")
    check_shares("faults", values["faults"], FAULT_KINDS, is_exclusive=True)
    check_shares("pack_trouble", values["pack_trouble"], PACK_TROUBLES, is_exclusive=False)
    check_shares("batch_lines", values["batch_lines"], BATCH_LINE_TROUBLES, is_exclusive=True)
    check_shares("batch_troubles", values["batch_troubles"], BATCH_TROUBLES, is_exclusive=False)
    check_number("batch_discount", values["batch_discount"], most=1)
    _check_latency(values)
    for step in values["fault_steps"]:
        _check_fault_step(step)
    _check_capacity(values["capacity_steps"], values["capacity_repeat_s"])
    if values["concurrency_status"] not in (429, 503, 529):
        raise ConfigError("concurrency_status", f"is {values['concurrency_status']}", "Use 429, 503 or 529.")


def check_number(name: str, value: float, most: float = _MOST) -> None:
    """Raise ConfigError unless 0 <= value <= most."""
    if not math.isfinite(value) or not 0 <= value <= most:
        raise ConfigError(name, f"is {value}", f"Use a number from 0 to {most:g}.")


def check_shares(name: str, shares: Mapping[str, float], known: Iterable[str], *, is_exclusive: bool) -> None:
    """Raise ConfigError unless every share is from 0 to 1; also their sum, where `is_exclusive`."""
    words = tuple(known)
    for kind, share in shares.items():
        if kind not in words:
            raise ConfigError(f"{name}.{kind}", "is unknown", nearest(kind, words))
        check_number(f"{name}.{kind}", share, most=1)
    if is_exclusive and sum(shares.values()) > 1 + 1e-9:
        raise ConfigError(name, f"add up to {sum(shares.values()):g}", "Let the shares add up to 1 at most.")


def _check_pattern(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            name, f"is not a regular expression ({error})", "Mend it, or leave it empty."
        ) from None


def _check_latency(values: Mapping[str, Any]) -> None:
    low, high = values["latency_min_s"], values["latency_max_s"]
    if values["latency"] == "uniform" and high < low:
        raise ConfigError("latency_max_s", f"is {high:g}, below latency_min_s ({low:g})", "Swap them.")


def _check_fault_step(step: FaultStep) -> None:
    if step.kind not in FAULT_KINDS:
        raise ConfigError("fault_steps.kind", f"is {step.kind!r}", nearest(step.kind, FAULT_KINDS))
    check_number("fault_steps.from_s", step.from_s)
    check_number("fault_steps.to_s", step.to_s)
    check_number("fault_steps.share", step.share, most=1)
    if step.to_s <= step.from_s:
        raise ConfigError("fault_steps.to_s", f"is {step.to_s:g}, not after from_s", "Let it end later.")


def _check_capacity(steps: tuple[CapacityStep, ...], repeat_s: float) -> None:
    for step in steps:
        check_number("capacity_steps.at_s", step.at_s)
        check_number("capacity_steps.factor", step.factor, most=1000)
    times = [step.at_s for step in steps]
    if times != sorted(times):
        raise ConfigError("capacity_steps", "are not in order of at_s", "Sort them.")
    if repeat_s and times and repeat_s <= times[-1]:
        raise ConfigError("capacity_repeat_s", f"is {repeat_s:g}", "Let it be longer than the last step.")
