"""A window over the items of a run: pages of the ledger, one state behind the other, both ways.

Only the window is held, whatever the number of items. A page goes on behind a row, never by an offset:
what moves meanwhile is neither shown twice on a page nor stepped over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from llmtop.listing import ItemPage, ItemQuery, ItemRow, ItemState

PAGE = 100
WINDOW = 500
"""Rows that are held at the most."""
ORDER: tuple[ItemState, ...] = ("in_flight", "pending", "rejected", "failed", "done")
PROBLEMS: tuple[ItemState, ...] = ("rejected", "failed")
_BEHIND_ALL = 2**62
_PATIENCE = 400
"""Pages that may be looked at for one screenful; a search looks at 5,000 items a page."""

Ask = Callable[[ItemQuery], Awaitable[ItemPage]]
SORTS: dict[str, Callable[[ItemRow], float]] = {
    "TRY": lambda row: -row.attempts,
    "LAT": lambda row: -(row.latency_ms or 0),
    "TOKENS": lambda row: -((row.input_tokens or 0) + (row.output_tokens or 0)),
    "COST": lambda row: -(row.cost_pusd or 0),
}


@dataclass(frozen=True, slots=True)
class ItemView:
    """Which items are looked at, and in which order."""

    state: ItemState | None = None
    """None: all, in flight first."""
    only_problems: bool = False
    text: str = ""
    """Part of an id or of an output."""
    error_type: str | None = None
    of_row: str | None = None
    """Only the items of this request, pack or batch job, by the key of its row."""
    back_to: str = ""
    """The screen that opened this view: esc leads back to it."""
    sort: str = "input"
    """A name of SORTS; only where all that fits is in the window."""
    is_inverted: bool = False

    @property
    def states(self) -> tuple[ItemState, ...]:
        """The states one behind the other."""
        if self.state is not None:
            return (self.state,)
        return PROBLEMS if self.only_problems or self.error_type is not None else ORDER

    @property
    def is_narrowed(self) -> bool:
        """Whether something hides items."""
        return bool(self.state or self.only_problems or self.text or self.error_type or self.of_row)


@dataclass(frozen=True, slots=True)
class _Placed:
    section: int
    row: ItemRow


class ItemPages:
    """The window. `ask` gets pages; `on_step` is called with the pages looked at so far."""

    def __init__(self, ask: Ask, view: ItemView, on_step: Callable[[int], None] = lambda _: None) -> None:
        self.view = view
        self._ask = ask
        self._on_step = on_step
        self._window: list[_Placed] = []
        self.is_first = True
        """Whether nothing stands before the window."""
        self.is_last = False
        self._waiting_from: int | None = None
        """The first waiting item that was seen: what lies before it has a result."""

    @property
    def rows(self) -> Sequence[ItemRow]:
        """The rows of the window, sorted where it holds all there is."""
        rows = [each.row for each in self._window]
        if not self.is_whole:
            return rows
        if self.view.sort in SORTS:
            rows.sort(key=SORTS[self.view.sort])
        return rows[::-1] if self.view.is_inverted else rows

    @property
    def is_whole(self) -> bool:
        """Whether the window holds all items that are asked for."""
        return self.is_first and self.is_last

    async def start(self) -> None:
        """Begin at the first item."""
        fresh, is_last = await self._collect(0, -1, PAGE, is_backward=False)
        self._window, self.is_first, self.is_last = fresh, True, is_last

    async def end(self) -> None:
        """Go to the last item."""
        last = len(self.view.states) - 1
        fresh, is_first = await self._collect(last, _BEHIND_ALL, PAGE, is_backward=True)
        self._window, self.is_first, self.is_last = fresh, is_first, True

    async def forward(self) -> int:
        """Load the page behind the window; return how many rows went out at its top."""
        if self.is_last or not self._window:
            return 0
        edge = self._window[-1]
        fresh, self.is_last = await self._collect(edge.section, edge.row.seq, PAGE, is_backward=False)
        window = [*self._window, *fresh]
        gone = max(len(window) - WINDOW, 0)
        self._window = window[gone:]
        self.is_first = self.is_first and gone == 0
        return gone

    async def back(self) -> int:
        """Load the page before the window; return how many rows came in at its top."""
        if self.is_first or not self._window:
            return 0
        edge = self._window[0]
        fresh, self.is_first = await self._collect(edge.section, edge.row.seq, PAGE, is_backward=True)
        window = [*fresh, *self._window]
        self.is_last = self.is_last and len(window) <= WINDOW
        self._window = window[:WINDOW]
        return len(fresh)

    def forget_waiting(self) -> None:
        """Items were put back in the queue: look for the first waiting one from the start again."""
        self._waiting_from = None

    async def _collect(
        self, section: int, place: int, wanted: int, *, is_backward: bool
    ) -> tuple[list[_Placed], bool]:
        """Return rows from a place on in one direction, and whether there are no more."""
        found: list[_Placed] = []
        for step in range(_PATIENCE):
            page = await self._page(section, place, wanted - len(found), is_backward=is_backward)
            placed = [_Placed(section, row) for row in page.rows]
            found = [*placed, *found] if is_backward else [*found, *placed]
            self._on_step(step)
            if page.next_after_seq is not None:
                place = page.next_after_seq
            else:
                section += -1 if is_backward else 1
                if not 0 <= section < len(self.view.states):
                    return found, True
                place = _BEHIND_ALL if is_backward else -1
            if len(found) >= wanted:
                return found, False
        return found, False

    async def _page(self, section: int, place: int, limit: int, *, is_backward: bool) -> ItemPage:
        state = self.view.states[section]
        is_from_start = state == "pending" and place < 0 and not self.view.text
        if is_from_start and self._waiting_from is not None:
            place = self._waiting_from - 1
        page = await self._ask(
            ItemQuery(
                states=(state,),
                error_type=self.view.error_type,
                search=self.view.text or None,
                after_seq=-1 if is_backward else place,
                limit=max(limit, 1),
                before_seq=place if is_backward else None,
                of_row=self.view.of_row,
            )
        )
        if is_from_start and page.rows:
            self._waiting_from = page.rows[0].seq
        return page
