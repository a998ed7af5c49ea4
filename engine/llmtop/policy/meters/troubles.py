"""Errors by kind: how many, how often, the last one, and what they cost."""

from __future__ import annotations

from typing import Literal

from llmtop.model import ItemError
from llmtop.policy.meters.rates import Ring
from llmtop.snapshot import ErrorKind, ErrorsView

TroubleCost = Literal["wait", "try", "item failed", "item rejected"]
_WORDS: dict[TroubleCost, tuple[str, str]] = {
    "item failed": ("item failed", "items failed"),
    "item rejected": ("item rejected", "items rejected"),
    "try": ("try", "tries"),
    "wait": ("wait", "waits"),
}
_MESSAGE_LIMIT = 300


class _Kind:
    __slots__ = ("costs", "count", "last_at", "last_message", "ring")

    def __init__(self, now: float) -> None:
        self.count = 0
        self.costs: dict[TroubleCost, int] = {}
        self.last_at: float | None = None
        self.last_message = ""
        self.ring = Ring(now, 10.0, 7)


class Troubles:
    """Counts errors by `error.type`; there are as many kinds as types, so memory is bounded."""

    def __init__(self, now: float, restored: ErrorsView | None = None) -> None:
        """`restored`: what the ledger counted before this start; its histories are not kept."""
        self._before = restored or ErrorsView()
        self._kinds: dict[str, _Kind] = {}
        self._minutes = Ring(now, 60.0, 60, columns=2)
        self._status_429 = self._before.status_429
        self._status_5xx = self._before.status_5xx
        for kind in self._before.kinds:
            known = self._kinds[kind.name] = _Kind(now)
            known.count, known.last_at, known.last_message = kind.count, kind.last_at, kind.last_message

    def add(self, now: float, at: float, error: ItemError, cost: TroubleCost, items: int = 1) -> None:
        """Count one error. `at` is the wall clock; `items` says how many items it cost, or 1 try or wait."""
        kind = self._kinds.get(error.type)
        if kind is None:
            kind = self._kinds[error.type] = _Kind(now)
        kind.count += 1
        kind.ring.add(now)
        kind.costs[cost] = kind.costs.get(cost, 0) + items
        kind.last_at = at
        kind.last_message = error.message[:_MESSAGE_LIMIT]
        status = error.http_status or 0
        if status == 429:
            self._status_429 += 1
            self._minutes.add(now)
        elif 500 <= status < 600:
            self._status_5xx += 1
            self._minutes.add(now, column=1)

    @property
    def status_429(self) -> int:
        """Answers with status 429, over all starts."""
        return self._status_429

    def view(self, now: float, cooldown_s: float) -> ErrorsView:
        """All figures of the errors panel; kinds by number, largest first."""
        kinds = sorted(self._kinds.items(), key=lambda entry: (-entry[1].count, entry[0]))
        return ErrorsView(
            kinds=tuple(_shown(name, kind, now) for name, kind in kinds),
            status_429=self._status_429,
            status_5xx=self._status_5xx,
            timeouts=self._count("timeout"),
            connections=self._count("connection"),
            parse=self._count("invalid_response"),
            missing=self._count("missing_in_pack"),
            refusals=self._count("refusal") + self._count("content_filter"),
            cooldown_s=cooldown_s,
            history_429=tuple(int(count) for count in self._minutes.last(now, 60)),
            history_5xx=tuple(int(count) for count in self._minutes.last(now, 60, column=1)),
        )

    def _count(self, name: str) -> int:
        kind = self._kinds.get(name)
        return kind.count if kind else 0


def _shown(name: str, kind: _Kind, now: float) -> ErrorKind:
    costs = [
        f"{kind.costs[cost]:,} {words[kind.costs[cost] != 1]}"
        for cost, words in _WORDS.items()
        if cost in kind.costs
    ]
    return ErrorKind(
        name=name,
        count=kind.count,
        per_min=_per_min(kind.ring, now),
        last_at=kind.last_at,
        cost=", ".join(costs),
        last_message=kind.last_message,
    )


def _per_min(ring: Ring, now: float) -> float:
    """The last minute's count; in the first minute what there was, not an extrapolation."""
    return 60.0 * ring.rate(now, 60.0) if ring.age(now) >= 60.0 else sum(ring.last(now, 7))
