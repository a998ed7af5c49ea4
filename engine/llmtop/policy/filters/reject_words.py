"""`reject_words`: an answer with too many little words of another language is rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from llmtop.config import values
from llmtop.config.suggest import did_you_mean
from llmtop.errors import ConfigError
from llmtop.policy.filters.function_words import NAMES, foreign_words
from llmtop.policy.filters.settings import entries, setting
from llmtop.policy.filters.verdicts import PASS, FilterContext, Rejected, Verdict

_KNOWN = ", ".join(f'"{code}" ({name})' for code, name in NAMES.items())


def _code(value: Any) -> str:
    if not isinstance(value, str):
        raise values.wrong_type(value, f"one of {_KNOWN}")
    named = {name.lower(): code for code, name in NAMES.items()}
    code = named.get(value.lower(), value.lower())
    if code not in NAMES:
        hint = did_you_mean(value, (*NAMES, *named)) or f"Known: {_KNOWN}."
        raise values.BadValue(f"is {values.shown(value)}, a language without a word list here", hint)
    return code


def _codes(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_code(entry) for entry in entries("languages")(value)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectWordsSettings:
    """Which language is wanted, and how many words of others are too many."""

    language: str = setting(_code)
    """The language of the answers: nl, en, de, fr or es. Its words never count."""
    others: tuple[str, ...] = setting(_codes, ())
    """Languages whose words count; none named: all the others."""
    more_than: int = setting(values.whole(0, 1_000_000), 10)
    """Words of one other language that an answer may hold."""
    words: tuple[str, ...] = setting(entries("words"), ())
    """Further words that count, of whatever language."""
    ignore: tuple[str, ...] = setting(entries("words"), ())
    """Words that do not count."""

    def __post_init__(self) -> None:
        if self.language in self.others:
            raise ConfigError("others", "names the wanted language", "Take it out.")
        for word in self.words:
            if any(not (letter.isalnum() or letter == "_") for letter in word):
                raise ConfigError("words", f"has {values.shown(word)}, which is not one word")


class RejectWords:
    """Counts every occurrence; the language with the most decides."""

    name: ClassVar[str] = "reject_words"
    sees: ClassVar[Literal["leaf", "whole"]] = "whole"

    def __init__(self, settings: RejectWordsSettings) -> None:
        ignored = frozenset(word.lower() for word in settings.ignore)
        others = settings.others or tuple(code for code in NAMES if code != settings.language)
        own = frozenset(word.lower() for word in settings.words)
        self._more_than = settings.more_than
        self._lists = {
            NAMES[code]: (foreign_words(settings.language, code) | own) - ignored for code in others
        }
        self._any = frozenset().union(*self._lists.values())

    def apply(self, text: str, context: FilterContext) -> Verdict:
        found = [word for word in context.words.of(text) if word in self._any]
        if len(found) <= self._more_than:
            return PASS
        counts = {name: sum(map(words.__contains__, found)) for name, words in self._lists.items()}
        name = max(counts, key=counts.__getitem__)
        if counts[name] <= self._more_than:
            return PASS
        some = list(dict.fromkeys(word for word in found if word in self._lists[name]))[:5]
        return Rejected(self.name, f"has {counts[name]} words of {name} ({', '.join(some)})", counts[name])
