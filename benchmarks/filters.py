"""Texts a second for each filter and for the whole default chain, on texts of 1 KB, on one core.

Run as `python -m benchmarks.filters` from the checkout. The texts are Dutch, all different, with
the faults in them that the filters look for in about one of twenty.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from llmtop.model import Item
from llmtop.policy.filters import FilterChain, build_chain

TEXT_BYTES = 1024
TEXTS = 1000
ROUNDS = 5

_SENTENCES = (
    "De gemeente wil dat bewoners één keer per jaar meepraten over de begroting van hun eigen wijk.",
    "Daarvoor moet de uitleg kort zijn, want niet iedereen leest graag een stuk van twintig bladzijden.",
    "Wie vindt dat de stelling klopt, noemt meestal de kosten; wie het er niet mee eens is, de vrijheid.",
    "Een voorbeeld: een café aan het plein dat 's avonds langer open wil blijven dan de buren willen.",
    "Zo'n afweging is nooit helemaal eerlijk, maar zonder regels beslist degene met de hardste stem.",
    "Het idee erachter is eenvoudig: wat je samen betaalt, daar mag je ook samen iets van vinden.",
)
_FAULTS = (
    " (45-102)",
    " Dat is een feedback moment.",
    " De beslisssing is genomen .",
    "\n这是一个例子，没有别的。",
)

REPLACED = {"feedback": "terugkoppeling", "deadline": "termijn", "meeting": "overleg", "update": "bijwerking",
            "issue": "kwestie", "insight": "inzicht", "stakeholder": "belanghebbende", "policy": "beleid",
            "however": "echter", "statement": "stelling", "debate": "debat", "because": "omdat"}  # fmt: skip
MISSPELLED = {"beslisssing": "beslissing", "goverment": "overheid", "enigzins": "enigszins",
              "wordt u": "word u",
              "geintereseerd": "geïnteresseerd", "onmiddelijk": "onmiddellijk", "agressie's": "agressies",
              "gemeete": "gemeente", "stelllling": "stelling", "interresant": "interessant"}  # fmt: skip

DEFAULT_CHAIN: Sequence[Mapping[str, Any]] = (
    {"use": "scripts", "allow": ["Latin"]},
    {"use": "replace_words", "map": REPLACED},
    {"use": "typos", "map": MISSPELLED},
    {"use": "reject_words", "language": "nl"},
    {"use": "strip_metadata"},
    {"use": "normalise"},
    {"use": "length", "min_chars": 20, "max_chars": 4000},
    {"use": "refusal"},
    {"use": "duplicate"},
)
OTHERS: Sequence[Mapping[str, Any]] = (
    {"use": "regex", "forbid": [r"\bTODO\b"], "require": [r"\."]},
    {"use": "json_schema", "schema": {"type": "object"}},
)


def texts() -> list[str]:
    """Return `TEXTS` different texts of about `TEXT_BYTES` bytes."""
    made = []
    for number in range(TEXTS):
        text = f"Stelling {number}."
        at = number
        while len(text.encode()) < TEXT_BYTES:
            text += " " + _SENTENCES[at % len(_SENTENCES)] + ("\n\n" if at % 4 == 3 else "")
            at += 1
        made.append(text + (_FAULTS[number // 20 % len(_FAULTS)] if number % 20 == 0 else ""))
    return made


def rate(chain: FilterChain, outputs: Sequence[Any]) -> float:
    """Return outputs a second of CPU time, the best of some rounds."""
    items = [Item(number, str(number), {}) for number in range(len(outputs))]
    best = 0.0
    for _ in range(ROUNDS):
        memory = chain.memory()
        start = time.process_time()
        for output, item in zip(outputs, items, strict=True):
            chain.run(output, item, memory)
        best = max(best, len(outputs) / (time.process_time() - start))
    return best


def main() -> None:
    """Print the table."""
    outputs = texts()
    structured = [{"title": text[:20], "text": text} for text in outputs]
    for table in (*DEFAULT_CHAIN, *OTHERS):
        given = structured if table["use"] == "json_schema" else outputs
        print(f"{table['use']:<16}{rate(build_chain([table], allow_code=False), given):>12,.0f} texts/s")
    whole = build_chain(DEFAULT_CHAIN, allow_code=False)
    print(f"{'default chain':<16}{rate(whole, outputs):>12,.0f} texts/s")
    print(f"{'  structured':<16}{rate(whole, structured):>12,.0f} texts/s")


if __name__ == "__main__":
    main()
