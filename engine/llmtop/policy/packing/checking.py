"""Whether packed answers agree with lone ones: which items are asked twice, and what agrees. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

_SPACE = 2**64


def is_checked(seed: str, id_: str, share: float) -> bool:
    """Whether an item is in the sample: the same for the same seed and id, `share` of all ids."""
    if share <= 0.0:
        return False
    digest = hashlib.blake2b(f"{seed}\0{id_}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < share * _SPACE


def agree(one: Any, other: Any) -> bool:
    """Whether two outputs are the same: texts but for case and white space, other values as JSON."""
    if isinstance(one, str) and isinstance(other, str):
        return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
    return _same(one, other)


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
