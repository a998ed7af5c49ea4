"""The nearest known word for a misspelled one."""

from __future__ import annotations

import difflib
from collections.abc import Collection

_CLOSE = 0.6


def nearest(word: str, known: Collection[str]) -> str | None:
    """Return the known word that is most like `word`, or None when none is close."""
    folded = {name.lower().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word[:80].lower().replace("-", "_"), folded, n=1, cutoff=_CLOSE)
    return folded[found[0]] if found else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return a sentence that offers the nearest known word, or "" when none is close."""
    found = nearest(word, known)
    return f'Did you mean "{found}"?' if found else ""
