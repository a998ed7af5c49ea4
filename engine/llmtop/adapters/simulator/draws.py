"""Chance that does not depend on the order of arrival: numbers drawn from seed, prompt and try."""

from __future__ import annotations

import math
from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()


class Draws:
    """The chance of one try of one prompt. Equal seed, key and try: equal numbers for each purpose."""

    __slots__ = ("_root",)

    def __init__(self, seed: int, key: str, attempt: int) -> None:
        self._root = f"{seed}|{attempt}|{key}|"

    def uniform(self, purpose: str) -> float:
        """Return a number in (0, 1)."""
        digest = blake2b((self._root + purpose).encode("utf-8", "replace"), digest_size=8).digest()
        return ((int.from_bytes(digest, "little") >> 11) + 0.5) / 2**53

    def lognormal(self, purpose: str, median: float, sigma: float) -> float:
        """Return a number that is lognormal with this median; sigma 0: the median itself."""
        if not sigma:
            return median
        return median * math.exp(sigma * _NORMAL.inv_cdf(self.uniform(purpose)))


def reference_of(text: str) -> str:
    """Return eight hex digits that stand for this text: an answer carries those of its prompt."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()
