"""`normalise`: white space, punctuation and composed letters, without touching what is said."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import ClassVar, Literal

from llmtop.config import values
from llmtop.errors import ConfigError
from llmtop.policy.filters.settings import setting
from llmtop.policy.filters.verdicts import PASS, Changed, FilterContext, Verdict

_BLANK_LINES = re.compile("\n{3,}")
_COMMAS = re.compile(",{2,}")
_LOOSE = re.compile(r"(?<=\S) ([,.])(?=\s|$)")
_ROUNDS = 4
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"', "‘": "'", "’": "'", "‚": "'", "‛": "'"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NormaliseSettings:
    """What is made uniform."""

    nfc: bool = setting(values.boolean, True)
    """Letters and their accents composed (Unicode NFC)."""
    white_space: bool = setting(values.boolean, True)
    """One blank between words, none at line ends, one empty line at the most; indents stay."""
    punctuation: bool = setting(values.boolean, True)
    """No blank before a comma or full stop, and no comma twice."""
    quotes: str = setting(values.choice(("keep", "straight")), "keep")
    """"straight" writes " and ' for “ ” „ and ‘ ’."""

    def __post_init__(self) -> None:
        if not (self.nfc or self.white_space or self.punctuation or self.quotes != "keep"):
            raise ConfigError("", "has everything switched off", "Switch something on, or take it out.")


class Normalise:
    """The same text again where nothing is amiss; twice is the same as once."""

    name: ClassVar[str] = "normalise"
    sees: ClassVar[Literal["leaf", "whole"]] = "leaf"

    def __init__(self, settings: NormaliseSettings) -> None:
        self._settings = settings

    def apply(self, text: str, context: FilterContext) -> Verdict:
        settings = self._settings
        done: list[str] = []
        now = text
        if settings.nfc and not unicodedata.is_normalized("NFC", now):
            now = unicodedata.normalize("NFC", now)
            done.append("letters composed")
        if settings.quotes == "straight" and (straight := now.translate(_QUOTES)) != now:
            now = straight
            done.append("quotes")
        if settings.white_space and (spaced := _spaced(now)) != now:
            now = spaced
            done.append("white space")
        if settings.punctuation and (punctuated := _punctuated(now)) != now:
            now = punctuated
            done.append("punctuation")
        return Changed(now, len(done), ", ".join(done)) if done else PASS


def _spaced(text: str) -> str:
    lines = [_spaced_line(line) for line in text.splitlines()]
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def _spaced_line(line: str) -> str:
    if not line or line.isspace():
        return ""
    words = " ".join(line.split())
    if not line[0].isspace():
        return words
    return line[: len(line) - len(line.lstrip())] + words


def _punctuated(text: str) -> str:
    if ",," not in text and " ," not in text and " ." not in text:
        return text
    for _ in range(_ROUNDS):
        before = text
        text = _LOOSE.sub(r"\1", _COMMAS.sub(",", text))
        if text == before:
            break
    return text
