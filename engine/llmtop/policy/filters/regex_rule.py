"""`regex`: patterns that an answer must or must not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from llmtop.cleaning import clean
from llmtop.config import amounts, values
from llmtop.errors import ConfigError
from llmtop.policy.filters.patterns import user_pattern
from llmtop.policy.filters.settings import entries, setting
from llmtop.policy.filters.verdicts import PASS, FilterContext, Rejected, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexSettings:
    """Patterns as for Python's re, searched for anywhere in the answer."""

    require: tuple[str, ...] = setting(entries("patterns"), ())
    """Each must be found."""
    forbid: tuple[str, ...] = setting(entries("patterns"), ())
    """None may be found."""
    ignore_case: bool = setting(values.boolean, False)
    time_limit: float = setting(amounts.duration(0, 60, is_open=True), 0.1)
    """Seconds for one pattern on one answer; beyond it the answer is rejected."""

    def __post_init__(self) -> None:
        if not self.require and not self.forbid:
            raise ConfigError("", "has no pattern", "Set require or forbid.")
        for name in ("require", "forbid"):
            for number, pattern in enumerate(getattr(self, name), start=1):
                try:
                    user_pattern(pattern)
                except values.BadValue as error:
                    raise ConfigError(f"{name}[{number}]", error.what, error.remedy) from None


class Regex:
    """Searches; a pattern that takes too long is no proof either way, so the answer is rejected."""

    name: ClassVar[str] = "regex"
    sees: ClassVar[Literal["leaf", "whole"]] = "whole"

    def __init__(self, settings: RegexSettings) -> None:
        self._limit_s = settings.time_limit
        self._require = [user_pattern(text, ignore_case=settings.ignore_case) for text in settings.require]
        self._forbid = [user_pattern(text, ignore_case=settings.ignore_case) for text in settings.forbid]

    def apply(self, text: str, context: FilterContext) -> Verdict:
        pattern = ""
        try:
            for required in self._require:
                pattern = required.pattern
                if required.search(text, timeout=self._limit_s) is None:
                    return Rejected(self.name, f"does not hold {_shown(pattern)}")
            for forbidden in self._forbid:
                pattern = forbidden.pattern
                if forbidden.search(text, timeout=self._limit_s) is not None:
                    return Rejected(self.name, f"holds {_shown(pattern)}")
        except TimeoutError:
            return Rejected(self.name, f"could not be searched for {_shown(pattern)} in {self._limit_s:g} s")
        return PASS


def _shown(pattern: str) -> str:
    return f"/{clean(pattern, limit=80)}/"
