"""`duplicate`: an output that another item had already is rejected."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import orjson

from llmtop.cleaning import clean
from llmtop.config import values
from llmtop.policy.filters.settings import setting
from llmtop.policy.filters.verdicts import PASS, FilterContext, Rejected, Verdict

_DIGEST_BYTES = 16


class DigestMemory:
    """Who had an output first, by digest: about 200 bytes an output, the oldest forgotten first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._first: OrderedDict[bytes, str] = OrderedDict()

    def __repr__(self) -> str:
        return f"<DigestMemory {len(self._first)} of {self._most}>"

    def __len__(self) -> int:
        return len(self._first)

    def first_with(self, digest: bytes, item_id: str) -> str:
        """Return the id of the item that had this output first, which is `item_id` where none had."""
        first = self._first.setdefault(digest, item_id)
        if len(self._first) > self._most:
            self._first.popitem(last=False)
        return first


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateSettings:
    """When two outputs are the same."""

    ignore_case: bool = setting(values.boolean, True)
    """Case and white space make no difference."""
    remember: int = setting(values.whole(1, 10_000_000), 200_000)
    """Outputs that are remembered; beyond it the oldest are forgotten."""


class Duplicate:
    """The item that comes first keeps its output; asking the same item again is no duplicate."""

    name: ClassVar[str] = "duplicate"
    sees: ClassVar[Literal["leaf", "whole"]] = "whole"

    def __init__(self, settings: DuplicateSettings) -> None:
        self._ignore_case = settings.ignore_case

    def apply(self, text: str, context: FilterContext) -> Verdict:
        plain = _canonical(context.value)
        if self._ignore_case:
            plain = " ".join(plain.lower().split())
        digest = hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
        first = context.seen.first_with(digest, context.item.id)
        if first == context.item.id:
            return PASS
        return Rejected(self.name, f'is the same as that of item "{clean(first, limit=80)}"')


def _canonical(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return repr(value)
