"""Errors that cross a process border: as plain values, and back as what they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmtop.errors import (
    ConfigError,
    ConfigErrors,
    InputError,
    LlmtopError,
    ProviderRefused,
    RunOwned,
    StateError,
    UsageError,
)

_KINDS: dict[str, type[LlmtopError]] = {
    kind.__name__: kind for kind in (UsageError, ConfigError, InputError, ProviderRefused, StateError)
}


def as_words(error: LlmtopError) -> dict[str, Any]:
    """Return an error as plain values; `error` is the whole sentence."""
    words: dict[str, Any] = {
        "error": str(error),
        "kind": type(error).__name__,
        "where": error.where,
        "what": error.what,
        "remedy": error.remedy,
    }
    if isinstance(error, RunOwned):
        words |= {"run_id": error.run_id, "pid": error.pid}
    if isinstance(error, ConfigErrors):
        words["errors"] = [as_words(each) for each in error.errors]
    return words


def from_words(words: Mapping[str, Any]) -> LlmtopError:
    """Return the error that `as_words` described; an LlmtopError where its kind is not known here."""
    kind = words.get("kind")
    where, what, remedy = (str(words.get(name) or "") for name in ("where", "what", "remedy"))
    if kind == "RunOwned":
        return RunOwned(str(words.get("run_id") or where), words.get("pid"))
    if kind == "ConfigErrors":
        errors = (from_words(each) for each in words.get("errors", ()))
        return ConfigErrors(where, [error for error in errors if isinstance(error, ConfigError)])
    return _KINDS.get(str(kind), LlmtopError)(where, what or str(words.get("error") or "failed"), remedy)
