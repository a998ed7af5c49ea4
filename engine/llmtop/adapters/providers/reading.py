"""What reading an answer has in common in all formats: naming complaints, unreadable and useless bodies."""

from __future__ import annotations

from dataclasses import dataclass

from llmtop.adapters.providers import hints
from llmtop.adapters.providers.complaints import Complaint, page_text
from llmtop.adapters.providers.naming import Name, name_error
from llmtop.model import ErrorType, ItemError, LimitHeaders, Outcome, ProviderError, RawReply, Usage

_MAX_MESSAGE = 1_000


@dataclass(frozen=True, slots=True)
class Spent:
    """What an answer says that it used and cost, useful or not."""

    usage: Usage | None = None
    cost_pusd: int | None = None
    answer_id: str | None = None
    text: str = ""
    """What it said, where that may be of use all the same: of an answer that was cut."""


NOTHING = Spent()


class Reading:
    """One answer while it is read: what all of its possible ends have in common."""

    __slots__ = ("limits", "now", "raw", "request_id")

    def __init__(
        self, raw: RawReply, limits: tuple[LimitHeaders, ...], request_id: str | None, now: float
    ) -> None:
        """`now`: epoch seconds, for waits that are given as dates."""
        self.raw = raw
        self.limits = limits
        self.request_id = None if request_id is None else hints.text_of(request_id, 200)
        self.now = now

    def complaint(self, status: int, said: Complaint) -> ProviderError:
        """Name the error of a complaint under `status`."""
        wait = hints.wait_s(self.raw.headers, said.details, said.message, self.now)
        name = name_error(status, said, wait, hints.exhausted_scope(self.limits))
        return self._named(name, said.message or f"HTTP {status}", status, wait)

    def unreadable(self, problem: str) -> ProviderError:
        """Name the error of a body that is not JSON."""
        status, body = self.raw.status, self.raw.body
        if not 200 <= status < 300:
            return self.complaint(status, Complaint(message=page_text(body)))
        if body.lstrip()[:6] in (b"data: ", b"event:"):
            message = "the answer is a stream of events: `stream` must not be set"
            return self.useless("bad_request", Outcome.BAD, message)
        return self.useless("invalid_response", Outcome.FAULT, f"the answer {problem}: {page_text(body)}")

    def useless(
        self, kind: ErrorType, outcome: Outcome, message: str, spent: Spent = NOTHING
    ) -> ProviderError:
        """An answer that is of no use, and costs all the same."""
        return ProviderError(
            error=ItemError(kind, hints.text_of(message, _MAX_MESSAGE), self.raw.status),
            outcome=outcome,
            usage=spent.usage,
            cost_pusd=spent.cost_pusd,
            limits=self.limits,
            request_id=self.request_id or spent.answer_id,
            is_final=outcome is Outcome.BAD,
            text=hints.storable(spent.text) if kind == "truncated" else "",
        )

    def _named(self, name: Name, message: str, status: int, wait_s: float | None) -> ProviderError:
        return ProviderError(
            error=ItemError(name.type, hints.text_of(message, _MAX_MESSAGE), status),
            outcome=name.outcome,
            retry_after_s=wait_s,
            scope=name.scope,
            limits=self.limits,
            request_id=self.request_id,
            is_counted=name.is_counted,
            is_final=name.is_final,
        )


def id_of(value: object) -> str | None:
    """Return an id of others as it is stored."""
    return hints.text_of(value, 200) if isinstance(value, str) else None
