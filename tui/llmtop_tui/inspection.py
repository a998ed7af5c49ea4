"""What the inspector of the wide overview looks at, and when it reads: on demand, never with the snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from llmtop.control.protocol import RunDoor
from llmtop.errors import LlmtopError
from llmtop.listing import ItemDetail, ItemQuery
from llmtop.snapshot import FlightRow
from llmtop_tui.ink import said

CALM_S = 3.0
"""Seconds between two reads while nobody chose a row: a text that changes every second cannot be read."""
_PACK_AT_MOST = 200
_WORTH = {"rejected": 0, "failed": 0, "done": 1, "in_flight": 2, "pending": 3}


class Inspection:
    """The row that is looked at, its item, and the moment of the last read (monotonic seconds)."""

    def __init__(self) -> None:
        self.row: FlightRow | None = None
        self.detail: ItemDetail | None = None
        self.fault = ""
        self.is_chosen = False
        """Whether the cursor stands on the row that is shown."""
        self._read_at = float("-inf")
        self._read_of: tuple[object, ...] = ()

    def next_row(
        self,
        rows: Sequence[FlightRow],
        current: FlightRow | None,
        now: float,
        *,
        is_chosen: bool,
        is_slow: bool,
    ) -> FlightRow | None:
        """Return the row that is to be read now; None: what is shown will do.

        A row that somebody chose is followed at once, and read again when its state changes. Else it is
        the newest one with an answer, once in a while.
        """
        row = current if is_chosen else _newest_answered(rows) or current
        if row is None:
            return None
        mark = (row.key, row.state, row.items_done)
        if mark == self._read_of:
            return None
        patience = 0.0 if is_chosen and self._read_of[:1] != mark[:1] else CALM_S * (4 if is_slow else 1)
        if now - self._read_at < patience:
            return None
        self._read_at, self._read_of = now, mark
        return row

    async def read(self, door: RunDoor, row: FlightRow, *, is_chosen: bool) -> None:
        """Read the row's item; of several the one that is worth a look: rejected, failed, done."""
        try:
            item_id = row.item_id if row.via == "rt" and row.items <= 1 else await _of_pack(door, row.key)
            self.detail = await door.item(item_id) if item_id else None
            self.fault = "" if self.detail is not None else "nothing is known of it yet"
        except (LlmtopError, OSError, EOFError, TimeoutError, ValueError) as error:
            self.detail, self.fault = None, f"cannot be read: {said(error)}"
        self.row, self.is_chosen = row, is_chosen


def _newest_answered(rows: Sequence[FlightRow]) -> FlightRow | None:
    answered = (row for row in rows if row.via == "rt" and row.latency_s is not None)
    return max(answered, key=lambda row: row.started_at + (row.latency_s or 0.0), default=None)


async def _of_pack(door: RunDoor, key: str) -> str | None:
    page = await door.items(ItemQuery(of_row=key, limit=_PACK_AT_MOST))
    return min(page.rows, key=lambda row: _WORTH[row.state]).id if page.rows else None
