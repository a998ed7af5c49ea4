"""`refusal`: answers in which a model says that it will not or cannot answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from llmtop.config import values
from llmtop.policy.filters.settings import entries, setting
from llmtop.policy.filters.verdicts import PASS, FilterContext, Rejected, Verdict

PHRASES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "i'm sorry, but i can", "i am sorry, but i can", "i'm sorry, i can", "i'm unable to help",
        "i'm not able to help", "i cannot help with", "i can't help with", "i can't assist with",
        "i cannot assist with", "i'm unable to assist", "i am unable to", "i cannot comply",
        "i can't comply", "i won't be able to", "i must decline", "i cannot fulfill", "i can't fulfill",
        "i can't provide", "i cannot provide", "as an ai language model", "as an ai assistant",
        "as a language model",
    ),
    "nl": (
        "het spijt me, maar ik kan", "sorry, maar ik kan", "sorry, ik kan", "ik kan hier niet mee helpen",
        "ik kan je hier niet", "ik kan u hier niet", "ik kan daar niet mee helpen", "ik kan niet helpen met",
        "ik kan niet voldoen aan", "ik kan hier niet aan voldoen", "ik kan geen antwoord geven",
        "ik ben niet in staat om", "ik mag hier geen", "als ai-model", "als ai-assistent",
        "als taalmodel", "als ai-taalmodel", "als een ai-taalmodel", "als een taalmodel",
    ),
    "de": (
        "es tut mir leid, aber ich kann", "tut mir leid, aber ich kann", "tut mir leid, ich kann",
        "ich kann dabei nicht helfen", "ich kann ihnen dabei nicht", "ich kann dir dabei nicht",
        "ich kann diese anfrage nicht", "ich bin nicht in der lage", "ich darf dazu keine",
        "als ki-modell", "als ki-sprachmodell", "als ki-assistent", "als sprachmodell",
    ),
    "fr": (
        "je suis désolé, mais je ne peux", "je suis désolée, mais je ne peux", "désolé, mais je ne peux",
        "désolé, je ne peux", "je ne peux pas vous aider", "je ne peux pas t'aider",
        "je ne peux pas répondre à", "je ne suis pas en mesure", "je ne peux pas fournir",
        "en tant que modèle de langage", "en tant qu'ia", "en tant qu'assistant",
        "en tant qu'intelligence artificielle",
    ),
    "es": (
        "lo siento, pero no puedo", "lo siento, no puedo", "lamento no poder", "no puedo ayudarte con",
        "no puedo ayudarle con", "no puedo ayudar con", "no puedo responder a", "no puedo proporcionar",
        "no puedo cumplir", "no estoy en condiciones de", "como modelo de lenguaje",
        "como asistente de ia", "como inteligencia artificial", "como ia,",
    ),
}  # fmt: skip
"""What models begin a refusal with, in lower case and with straight apostrophes."""
_APOSTROPHES = str.maketrans("’‘ʼ\u00a0", "''' ")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalSettings:
    """Which phrases are a refusal, and where."""

    languages: tuple[str, ...] = setting(
        lambda value: tuple(values.choice(tuple(PHRASES))(entry) for entry in entries("languages")(value)),
        tuple(PHRASES),
    )
    """Whose phrases are known: en, nl, de, fr, es."""
    phrases: tuple[str, ...] = setting(entries("phrases"), ())
    """Further ones, in any case."""
    within: int = setting(values.whole(1, 1_000_000), 200)
    """Only the first so many characters are looked at: deeper in it is more likely a quotation."""


class Refusal:
    """Looks for phrases at the start of an answer."""

    name: ClassVar[str] = "refusal"
    sees: ClassVar[Literal["leaf", "whole"]] = "whole"

    def __init__(self, settings: RefusalSettings) -> None:
        known = [phrase for language in settings.languages for phrase in PHRASES[language]]
        own = [_plain(phrase) for phrase in settings.phrases]
        self._phrases = tuple(dict.fromkeys((*known, *own)))
        self._within = settings.within

    def apply(self, text: str, context: FilterContext) -> Verdict:
        start = _plain(text.lstrip()[: self._within])
        found = next((phrase for phrase in self._phrases if phrase in start), None)
        return PASS if found is None else Rejected(self.name, f'is a refusal ("{found}")')


def _plain(text: str) -> str:
    return text.lower().translate(_APOSTROPHES)
