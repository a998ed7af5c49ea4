"""The built-in filters by name, and a chain from the `[[filters]]` tables of a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from llmtop.cleaning import clean
from llmtop.config import values
from llmtop.config.suggest import did_you_mean
from llmtop.errors import ConfigError, ConfigErrors
from llmtop.policy.filters.chain import FilterChain, Step
from llmtop.policy.filters.duplicate import Duplicate, DuplicateSettings
from llmtop.policy.filters.json_schema import JsonSchema, JsonSchemaSettings
from llmtop.policy.filters.length import Length, LengthSettings
from llmtop.policy.filters.normalise import Normalise, NormaliseSettings
from llmtop.policy.filters.python_function import PythonFunction, PythonSettings
from llmtop.policy.filters.refusal import Refusal, RefusalSettings
from llmtop.policy.filters.regex_rule import Regex, RegexSettings
from llmtop.policy.filters.reject_words import RejectWords, RejectWordsSettings
from llmtop.policy.filters.replace_words import ReplaceWords, ReplaceWordsSettings
from llmtop.policy.filters.scripts import Scripts, ScriptsSettings
from llmtop.policy.filters.settings import read_settings, setting
from llmtop.policy.filters.strip_metadata import StripMetadata, StripMetadataSettings
from llmtop.policy.filters.typos import Typos, TyposSettings
from llmtop.policy.filters.verdicts import Filter, OnReject

BUILT_IN: Mapping[str, tuple[type[Any], Callable[[Any], Filter]]] = {
    "scripts": (ScriptsSettings, Scripts),
    "replace_words": (ReplaceWordsSettings, ReplaceWords),
    "typos": (TyposSettings, Typos),
    "reject_words": (RejectWordsSettings, RejectWords),
    "strip_metadata": (StripMetadataSettings, StripMetadata),
    "normalise": (NormaliseSettings, Normalise),
    "length": (LengthSettings, Length),
    "regex": (RegexSettings, Regex),
    "json_schema": (JsonSchemaSettings, JsonSchema),
    "refusal": (RefusalSettings, Refusal),
    "duplicate": (DuplicateSettings, Duplicate),
    "python": (PythonSettings, PythonFunction),
}
"""`use` -> its settings, and the filter made of them."""

_MAX_FILTERS = 100
_NOT_ALLOWED = "Start with --allow-code, when you trust the config and the function."


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectSettings:
    """What any filter may say about its rejections."""

    on_reject: str = setting(values.choice(("keep", "retry")), "keep")
    max_asks: int | None = setting(values.whole(2, 100), None)
    explain: bool = setting(values.boolean, False)

    def __post_init__(self) -> None:
        for name, is_said in (("max_asks", self.max_asks is not None), ("explain", self.explain)):
            if is_said and self.on_reject != "retry":
                raise ConfigError(name, "has no effect", 'Set on_reject = "retry", or take it out.')


MAX_ASKS = 2
"""`max_asks` where on_reject is "retry" and nothing else is said: asked once more."""
_OF_THE_CHAIN = ("on_reject", "max_asks", "explain")


def build_chain(tables: Sequence[Mapping[str, Any]], *, allow_code: bool) -> FilterChain:
    """Return the chain of these tables. Raises ConfigErrors with every fault of all of them.

    With `allow_code` a `python` table loads the user's module, which runs its code; without, it is a fault.
    """
    faults: list[ConfigError] = []
    if len(tables) > _MAX_FILTERS:
        raise ConfigErrors(
            "[[filters]]", [ConfigError("filters", f"are {len(tables)}, and may be {_MAX_FILTERS}")]
        )
    steps: list[Step] = []
    remember = 0
    for number, table in enumerate(tables, start=1):
        built = _built(table, f"filters[{number}]", allow_code, faults)
        if built is not None:
            step, settings = built
            steps.append(step)
            if isinstance(settings, DuplicateSettings):
                remember = max(remember, settings.remember)
    if faults:
        raise ConfigErrors("[[filters]]", faults)
    return FilterChain(steps, remember=remember)


def _built(
    table: Mapping[str, Any], where: str, allow_code: bool, faults: list[ConfigError]
) -> tuple[Step, Any] | None:
    use = table.get("use")
    if not isinstance(use, str):
        faults.append(
            ConfigError(
                f"{where}.use", "is missing, and must be the name of a filter", 'Like use = "scripts".'
            )
        )
        return None
    if use not in BUILT_IN:
        hint = did_you_mean(use, BUILT_IN) or f"Known: {', '.join(BUILT_IN)}."
        faults.append(ConfigError(f"{where}.use", f"is {values.shown(use)}, which is no filter", hint))
        return None
    own = {name: value for name, value in table.items() if name not in (*_OF_THE_CHAIN, "use")}
    shared = {name: value for name, value in table.items() if name in _OF_THE_CHAIN}
    cls, make = BUILT_IN[use]
    settings = read_settings(cls, own, where, faults)
    rejects = read_settings(RejectSettings, shared, where, faults)
    if use == "python" and not allow_code:
        named = f" ({clean(settings.call, limit=200)})" if settings is not None else ""
        faults.append(ConfigError(where, f"runs code of yours{named}, which is not enabled", _NOT_ALLOWED))
        return None
    if settings is None or rejects is None:
        return None
    try:
        rule = make(settings)
    except ConfigError as fault:
        faults.append(ConfigError(f"{where}.{fault.where}", fault.what, fault.remedy))
        return None
    max_asks = rejects.max_asks or (MAX_ASKS if rejects.on_reject == "retry" else 1)
    return Step(rule, cast(OnReject, rejects.on_reject), max_asks, rejects.explain), settings
