"""The provider's own books: what it received, refused, answered and billed.

At any moment: received = refused + rejected + spoiled + cut + served + abandoned + in flight.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from llmtop.adapters.simulator.usage import Tokens

_MOST_SECONDS = 86_400
_SHOWN_APART = frozenset(("served_ids", "pack_sizes", "arrivals"))
"""Entries with keys of other kinds, or too many of them."""


@dataclass(slots=True, kw_only=True)
class Books:
    """Counters since the start or the last reset. Money is whole pico-dollars."""

    received: int = 0
    """Chat requests that arrived whole."""
    served: int = 0
    """Good answers, odd ones (`HARMLESS_FAULTS`) included."""
    cut: int = 0
    """Answers that ended at the request's own maximum of tokens."""
    spoiled: int = 0
    """Requests that a fault took the answer from."""
    abandoned: int = 0
    """Requests whose client went away before the answer."""
    refused: Counter[str] = field(default_factory=Counter)
    """By cause: requests, tokens, concurrency, ramp, quota."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Faulty requests (4xx), by code."""
    faults: Counter[str] = field(default_factory=Counter)
    """By kind, harmless ones included."""
    status_429: int = 0
    in_flight: int = 0
    """Requests being worked on; refused ones never are."""
    max_in_flight: int = 0
    billed_requests: int = 0
    billed_pusd: int = 0
    prompt_tokens: int = 0
    """Billed tokens; cached ones included."""
    cached_tokens: int = 0
    completion_tokens: int = 0
    """Billed tokens; reasoning included."""
    reasoning_tokens: int = 0
    served_ids: Counter[str] = field(default_factory=Counter)
    """Id in the prompt (the prompt's reference where it has none) -> good answers that it got."""
    pack_sizes: Counter[int] = field(default_factory=Counter)
    """Items in a request (1 for a prompt that is not packed) -> requests that were let in."""
    batches_created: Counter[str] = field(default_factory=Counter)
    """Batch jobs by API: openai, anthropic, gemini; those whose answer was lost included."""
    batches_twice: int = 0
    """Batch jobs with the very lines of an earlier one that did not fail."""
    batch_overlaps: int = 0
    """Batch jobs that had a prompt in common with another one that was alive at that moment."""
    batch_uploads: int = 0
    """Files that were stored."""
    batch_lines: int = 0
    """Lines of all batch jobs that were created."""
    batch_lines_served: int = 0
    """Lines that came to a good answer."""
    batch_lines_failed: int = 0
    """Lines that came to an error."""
    batch_lines_undone: int = 0
    """Lines that expired, were cancelled, or lost with a failed batch."""
    batch_lines_billed: int = 0
    """Lines that the model was asked: their tokens and money are part of the counters above."""
    arrivals: Counter[int] = field(default_factory=Counter)
    """Second since the first request -> requests received in it; of the first day."""

    def arrive(self, at_s: float) -> None:
        """A chat request came, `at_s` seconds after the first one."""
        self.received += 1
        second = math.floor(at_s)
        if second < _MOST_SECONDS:
            self.arrivals[second] += 1

    def begin(self) -> None:
        """A request was let in."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def bill(self, tokens: Tokens, cost_pusd: int) -> None:
        """The model did its work."""
        self.billed_requests += 1
        self.billed_pusd += cost_pusd
        self.prompt_tokens += tokens.prompt
        self.cached_tokens += tokens.cached
        self.completion_tokens += tokens.completion
        self.reasoning_tokens += tokens.reasoning

    def serve(self, ids: Iterable[str]) -> None:
        """A good answer for these ids is on its way; an empty `ids` counts the answer alone."""
        self.served += 1
        for item_id in ids:
            self.served_ids[item_id] += 1

    def serve_line(self, ids: Iterable[str]) -> None:
        """A line of a batch came to a good answer for these ids."""
        self.batch_lines_served += 1
        for item_id in ids:
            self.served_ids[item_id] += 1

    def bill_line(self, tokens: Tokens, cost_pusd: int) -> None:
        """The model did its work on a line of a batch."""
        self.bill(tokens, cost_pusd)
        self.batch_lines_billed += 1

    def as_json(self, *, has_ids: bool) -> dict[str, Any]:
        """Return the books as `GET /_sim/books` shows them; the ids themselves only where wanted."""
        plain = {name: value for name, value in self._entries() if isinstance(value, int)}
        counted = {
            name: dict(value)
            for name, value in self._entries()
            if isinstance(value, Counter) and name not in _SHOWN_APART
        }
        ids = {
            "distinct_ids": len(self.served_ids),
            "ids_served_twice": sum(1 for count in self.served_ids.values() if count > 1),
        }
        arrivals = {str(second): count for second, count in sorted(self.arrivals.items())}
        sizes = {str(size): count for size, count in sorted(self.pack_sizes.items())}
        shown = {"served_ids": dict(self.served_ids)} if has_ids else {}
        return {**plain, **counted, **ids, "pack_sizes": sizes, "arrivals": arrivals, **shown}

    def _entries(self) -> Iterator[tuple[str, object]]:
        """Yield each entry's name and value, in the order in which they stand here."""
        for entry in fields(self):
            yield entry.name, getattr(self, entry.name)
