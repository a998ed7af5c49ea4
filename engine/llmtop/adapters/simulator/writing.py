"""Text that looks like an answer, made from the prompt alone. Pure.

An answer names what the prompt is about, quotes its last words and ends with the prompt's
reference (`reference_of`), so that a test can prove which prompt it belongs to.
"""

from __future__ import annotations

import re

from llmtop.adapters.simulator.draws import reference_of
from llmtop.adapters.simulator.prompts import tokens_of

_WORD = re.compile(r"[^\W\d_]{5,}")
_OPENINGS = (
    "{title} is best understood by what it changes.",
    "In short, {title} is a question of {a} and {b}.",
    "{title} looks simple, and has a part that is easily missed.",
    "The heart of {title} is how {a} meets {b}.",
)
_MIDDLES = (
    "What counts is {a}; {b} follows from it, and {c} is the price.",
    "It starts with {a}, goes on to {b}, and ends where {c} matters most.",
    "Think of {a} first: without it neither {b} nor {c} can be explained.",
    "Two things decide it, {a} and {b}; {c} is what people notice.",
)
_MORE = (
    "A second look at {b} shows the same from another side.",
    "Where {c} is missing, {a} takes its place for a while.",
    "Those who work with {a} every day will recognise this.",
    "None of this depends on {b} alone.",
)
_FALLBACK_WORDS = ("purpose", "measure", "practice")
_MOST_SCANNED = 2_000
_TITLE_WORDS = 9
_LAST_WORDS = 6


def title_of(text: str) -> str:
    """Return the first words of what the prompt is about.

    A first line that only gives the order ("Explain:") is passed over.
    """
    lines = [line.strip() for line in text[:_MOST_SCANNED].splitlines() if line.strip()]
    if not lines:
        return "Nothing"
    line = lines[1] if len(lines) > 1 and lines[0].endswith(":") else lines[0]
    order, colon, rest = line.partition(": ")
    if colon and rest.strip() and len(order.split()) <= 8:
        line = rest
    words = line.split()
    return " ".join(words[:_TITLE_WORDS]).rstrip(".,;:!?") or "This"


def last_words_of(text: str) -> str:
    """Return the last words of a prompt."""
    return " ".join(text[-_MOST_SCANNED:].split()[-_LAST_WORDS:])


def answer_text(text: str, item_id: str | None, tokens: int = 0) -> str:
    """Return a few sentences about a prompt or an item of it; about `tokens` long where that is not 0."""
    reference = reference_of(text)
    pick = int(reference, 16)
    words = _key_words(text, pick)
    title = title_of(text)
    names = {"title": title, "a": words[0], "b": words[1], "c": words[2]}
    opening = _OPENINGS[pick % len(_OPENINGS)].format_map(names)
    middle = _MIDDLES[(pick >> 4) % len(_MIDDLES)].format_map(names)
    about = f"ref {reference}" if item_id is None else f"id {item_id}, ref {reference}"
    end = f"It comes back to “{last_words_of(text)}” ({about})."
    if not tokens:
        return f"{opening} {middle} {end}"
    return " ".join(
        [opening, middle, *_padding(names, pick, tokens - tokens_of(opening + middle + end)), end]
    )


def _padding(names: dict[str, str], pick: int, tokens: int) -> list[str]:
    sentences: list[str] = []
    while tokens > 0:
        sentence = _MORE[(pick + len(sentences)) % len(_MORE)].format_map(names)
        sentences.append(sentence)
        tokens -= tokens_of(sentence)
    return sentences


def _key_words(text: str, pick: int) -> tuple[str, str, str]:
    """Return three longer words of the text, the same for the same text."""
    found = list(dict.fromkeys(word.lower() for word in _WORD.findall(text[:_MOST_SCANNED])))
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
