"""Text that looks like an answer, made from the prompt alone. Pure.

An answer names what the prompt is about, quotes its last words and ends with the prompt's
reference (`reference_of`), so that a test can prove which prompt it belongs to.
"""

from __future__ import annotations

import re

from llmtop.adapters.simulator.draws import reference_of
from llmtop.adapters.simulator.prompts import tokens_of

_LONG_WORD = 4
_PUNCTUATION = ".,;:!?()[]{}\"'“”„’"
_LABELLED = re.compile(r"^[ \t]*[^\W\d_][\w -]{0,30}: +(\S.*)$", re.MULTILINE)
_OPENINGS = (
    "“{title}” is easier to see in an example than in a definition.",
    "Taken by its words alone, “{title}” says little; its use says more.",
    "“{title}” looks simple, and has a part that is easily missed.",
    "Most people agree with “{title}” at once, and each for a reason of their own.",
)
_MIDDLES = (
    "The weight lies on “{a}”, and “{b}” shows how far it reaches; “{c}” is what people notice first.",
    "Start with “{a}”: what is meant by it decides how “{b}” and “{c}” are to be read.",
    "Without “{a}” neither “{b}” nor “{c}” would make much sense here.",
    "Two things decide it, “{a}” and “{b}”; the third, “{c}”, follows from them.",
)
_MORE = (
    "A second look at “{b}” shows the same from another side.",
    "Where “{c}” is missing, “{a}” takes its place for a while.",
    "Whoever meets “{a}” every day will recognise this.",
    "None of this depends on “{b}” alone.",
)
_FALLBACK_WORDS = ("purpose", "measure", "practice")
_MOST_SCANNED = 1_000
_MOST_WORDS_SCANNED = 150
_TITLE_WORDS = 9
_LAST_WORDS = 6
_ORDER_WORDS = 20


def subject_of(text: str) -> str:
    """Return the part of a prompt that it is about, without the order ("Explain: ...").

    That is the longest value of its `Label: value` lines, else what follows a colon in the first
    line, else the line after a first line that ends with a colon, else the first line.
    """
    start = text[:_MOST_SCANNED]
    if ":" not in start:
        return start.strip()
    labelled: list[str] = _LABELLED.findall(start)
    if labelled:
        return max(labelled, key=len).strip()
    lines = [line.strip() for line in start.splitlines() if line.strip()]
    order, _, rest = lines[0].partition(": ")
    if rest.strip() and len(order.split()) <= _ORDER_WORDS:
        return rest.strip()
    return lines[1] if len(lines) > 1 and lines[0].endswith(":") else lines[0]


def title_of(text: str) -> str:
    """Return the first words of what the prompt is about."""
    return _shortened(subject_of(text))


def last_words_of(text: str) -> str:
    """Return the last words of a prompt."""
    return " ".join(text[-_MOST_SCANNED:].split()[-_LAST_WORDS:])


def answer_text(text: str, item_id: str | None, tokens: int = 0) -> str:
    """Return a few sentences about a prompt or an item of it; about `tokens` long where that is not 0."""
    reference = reference_of(text)
    pick = int(reference, 16)
    subject = subject_of(text)
    words = _key_words(subject, pick)
    title = _shortened(subject)
    names = {"title": title, "a": words[0], "b": words[1], "c": words[2]}
    opening = _OPENINGS[pick % len(_OPENINGS)].format_map(names)
    middle = _MIDDLES[(pick >> 4) % len(_MIDDLES)].format_map(names)
    about = f"ref {reference}" if item_id is None else f"id {item_id}, ref {reference}"
    end = f"So much for “{last_words_of(text)}” ({about})."
    if not tokens:
        return f"{opening} {middle} {end}"
    return " ".join(
        [opening, middle, *_padding(names, pick, tokens - tokens_of(opening + middle + end)), end]
    )


def _shortened(subject: str) -> str:
    return " ".join(subject.split(maxsplit=_TITLE_WORDS)[:_TITLE_WORDS]).rstrip(".,;:!?") or "This"


def _padding(names: dict[str, str], pick: int, tokens: int) -> list[str]:
    sentences: list[str] = []
    while tokens > 0:
        sentence = _MORE[(pick + len(sentences)) % len(_MORE)].format_map(names)
        sentences.append(sentence)
        tokens -= tokens_of(sentence)
    return sentences


def _key_words(text: str, pick: int) -> tuple[str, str, str]:
    """Return three longer words of the text, the same for the same text."""
    words = (word.strip(_PUNCTUATION) for word in text[:_MOST_WORDS_SCANNED].split())
    found = list(dict.fromkeys(word for word in words if len(word) >= _LONG_WORD))
    if len(found) < 3:
        found = [*found, *_FALLBACK_WORDS]
    at = pick % len(found)
    step = max(1, len(found) // 3)
    return found[at], found[(at + step) % len(found)], found[(at + 2 * step) % len(found)]


def cut_to(text: str, tokens: int) -> str:
    """Return the start of a text that is at most `tokens` long."""
    if tokens <= 0:
        return ""
    return text.encode("utf-8", "replace")[: tokens * 4].decode("utf-8", "ignore")
