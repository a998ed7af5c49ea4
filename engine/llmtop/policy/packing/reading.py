"""A pack's answer to the answers of its items: matched by id, each one checked, nothing guessed."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmtop.policy.packing.forms import ItemForm
from llmtop.policy.packing.json_text import plain
from llmtop.policy.packing.rows import Row, find_rows

_MOST_EXTRA = 100


@dataclass(frozen=True, slots=True)
class PackReading:
    """What a pack's answer says. Every id that was asked is in `answers`, `missing` or `malformed`."""

    answers: Mapping[str, Any]
    missing: tuple[str, ...]
    malformed: Mapping[str, str]
    """Id -> what is wrong with what stands for its answer."""
    extra: tuple[str, ...] = ()
    """Ids that nobody asked about, as they were written."""
    duplicated: tuple[str, ...] = ()
    """Ids that were answered more than once; they are in `malformed`."""
    is_truncated: bool = False
    """Whether the JSON ended too early."""

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The ids to be asked again."""
        return (*self.missing, *self.malformed)

    @property
    def is_failed(self) -> bool:
        """Whether it has no usable answer at all."""
        return not self.answers


def read_pack(text: str, ids: Sequence[str], form: ItemForm) -> PackReading:
    """Read the answer to a pack of these ids. Raises for no text.

    An id that is answered twice, in whatever way, counts as not answered: which one is right cannot be told.
    """
    known = _Names(ids)
    found = find_rows(text, known.written)
    rows: dict[str, list[Row]] = {}
    extra: dict[str, None] = {}
    for row in found.rows:
        id_ = known.asked(row.id)
        if id_ is None:
            extra.setdefault(row.id)
        else:
            rows.setdefault(id_, []).append(row)
    answers: dict[str, Any] = {}
    malformed: dict[str, str] = {}
    duplicated: list[str] = []
    for id_ in ids:
        given = rows.get(id_, ())
        if len(given) > 1 or any(row.is_doubled for row in given):
            duplicated.append(id_)
            malformed[id_] = "is answered twice"
        elif given:
            output, fault = _checked(given[0], form)
            if fault:
                malformed[id_] = fault
            else:
                answers[id_] = output
    return PackReading(
        answers=answers,
        missing=tuple(id_ for id_ in ids if id_ not in rows),
        malformed=malformed,
        extra=tuple(extra)[:_MOST_EXTRA],
        duplicated=tuple(duplicated),
        is_truncated=found.is_truncated,
    )


class _Names:
    """Ids as they were asked, found again when white space or composition of letters differs."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._exact = frozenset(ids)
        self._loose: dict[str, str | None] = {}
        for id_ in ids:
            loose = _loose(id_)
            self._loose[loose] = None if loose in self._loose else id_

    @property
    def written(self) -> frozenset[str]:
        return self._exact

    def asked(self, written: str) -> str | None:
        return written if written in self._exact else self._loose.get(_loose(written))


def _loose(id_: str) -> str:
    return unicodedata.normalize("NFC", id_.strip())


def _checked(row: Row, form: ItemForm) -> tuple[Any, str]:
    try:
        output, fault = form.accept(plain(row.value))
        if fault and isinstance(row.rest, dict):
            other, other_fault = form.accept(plain(row.rest))
            output, fault = (other, "") if not other_fault else (None, fault)
    except ValueError as error:
        return None, str(error)
    if not fault and row.is_mended and not isinstance(output, str) and not form.is_checked:
        return None, "is broken JSON"
    return output, fault
