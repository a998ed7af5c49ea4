"""What an answer comes to, as values: the end of an attempt, and the result of an item.

No state and no waiting here; `realtime` decides when and what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from llmtop.model import (
    Answer,
    Attempt,
    AttemptEnd,
    ItemError,
    ItemStatus,
    Outcome,
    ProviderError,
    Reply,
    Result,
    Usage,
)
from llmtop.policy.packing import PackReading
from llmtop.submit.work import Work

NO_USAGE = Usage()


def is_maybe_billed(error: ProviderError) -> bool:
    """Whether the provider may have billed a call that brought us nothing usable.

    A time-out, a connection that broke after the request had left, and a 200 whose body is no answer
    and reports no usage. Refusals and 4xx or 5xx answers are not billed.
    """
    if error.usage is not None or error.cost_pusd is not None:
        return False
    if error.outcome is Outcome.TIMEOUT:
        return error.is_sent
    status = error.error.http_status
    is_lost = status is None or 200 <= status < 300
    return is_lost and error.is_sent and error.outcome is Outcome.FAULT


def answer_in(reply: Reply, work: Work, model: str) -> Answer | None:
    """Return the answer in a reply; of a pack also one that was cut: its entries before the cut are whole."""
    if isinstance(reply, Answer):
        return reply
    if not work.parts or not reply.text.strip():
        return None
    return Answer(
        text=reply.text,
        finish_reason="stop",
        model=model,
        usage=reply.usage,
        cost_pusd=reply.cost_pusd,
        limits=reply.limits,
        request_id=reply.request_id,
    )


class AnswerReader(Protocol):
    """The part of an exchange that tells what an answer holds."""

    def accept(self, text: str) -> tuple[Any, ItemError | None]:
        """Turn an answer's text into the item's output, or say what is wrong with it."""

    def read_pack(self, text: str, ids: Sequence[str]) -> PackReading:
        """Tell the answers of a pack apart, by id."""


def outputs_in(
    text: str, work: Work, reader: AnswerReader, on_pack: Callable[[PackReading], None]
) -> tuple[list[tuple[Work, Any]], ItemError | None]:
    """Return what an answer holds for each item, or why it holds nothing; `on_pack` is told of a pack's."""
    if not work.parts:
        output, fault = reader.accept(text)
        return [(work, output)], fault
    reading = reader.read_pack(text, [part.item.id for part in work.parts])
    if reading.is_failed:
        return [], ItemError("invalid_response", "no answer of the pack can be read", 200)
    on_pack(reading)
    answers = reading.answers
    return [(part, answers[part.item.id]) for part in work.parts if part.item.id in answers], None


def spoiled(answer: Answer, fault: ItemError) -> ProviderError:
    """An answer that came and was billed, but is not of the form that was asked for."""
    return ProviderError(
        error=fault,
        outcome=Outcome.PARTIAL,
        usage=answer.usage or NO_USAGE,
        cost_pusd=answer.cost_pusd,
        limits=answer.limits,
        request_id=answer.request_id,
    )


def left_words(left: int, items: int) -> str:
    """Say what a pack left unanswered."""
    return f"{left} of {items} answers of a pack are missing or not usable"


def end_of_answer(
    attempt: Attempt,
    answer: Answer,
    at: float,
    latency_s: float,
    usage: Usage,
    cost: int | None,
    body: bytes | None,
    is_same: bool | None = None,
) -> AttemptEnd:
    """The end of an attempt that brought an answer. `is_same`: of a check, whether it agrees."""
    return AttemptEnd(
        id=attempt.id,
        outcome=Outcome.OK,
        ended_at=at,
        latency_ms=round(latency_s * 1000),
        http_status=200,
        usage=usage,
        cost_pusd=cost,
        request_id=answer.request_id,
        body=body,
        is_same=is_same,
    )


def end_of_error(
    attempt: Attempt,
    error: ProviderError,
    at: float,
    latency_s: float,
    usage: Usage | None,
    cost: int | None,
    body: bytes | None,
) -> AttemptEnd:
    """The end of an attempt that brought none."""
    return AttemptEnd(
        id=attempt.id,
        outcome=error.outcome,
        ended_at=at,
        latency_ms=round(latency_s * 1000),
        http_status=error.error.http_status,
        error_type=error.error.type,
        error_message=error.error.message,
        retry_after_s=error.retry_after_s,
        usage=usage,
        cost_pusd=cost,
        is_maybe_billed=is_maybe_billed(error),
        request_id=error.request_id,
        body=body,
    )


def aborted(attempt: Attempt, at: float, latency_s: float, *, is_sent: bool) -> AttemptEnd:
    """The end of an attempt that we broke off: its item goes back to the queue."""
    return AttemptEnd(
        id=attempt.id,
        outcome=Outcome.FAULT,
        ended_at=at,
        latency_ms=round(latency_s * 1000),
        error_type="cancelled",
        error_message="broken off by a pause or stop; the item goes back to the queue",
        is_maybe_billed=is_sent,
    )


def result_of(
    work: Work,
    status: ItemStatus,
    *,
    output: Any,
    error: ItemError | None,
    answer: Answer | None,
    usage: Usage,
    model: str,
    at: float,
    latency_ms: int,
    metadata: Mapping[str, Any],
    pack_id: str | None = None,
    filters: tuple[Mapping[str, Any], ...] = (),
) -> Result:
    """What one item came to. `usage` and `latency_ms` are its share of the request's."""
    return Result(
        seq=work.item.seq,
        id=work.item.id,
        status=status,
        output=output,
        error=error,
        finish_reason=answer.finish_reason if answer else None,
        usage=usage,
        cost_pusd=work.cost_pusd if work.is_cost_known else None,
        model=answer.model if answer else model,
        via="realtime",
        attempts=work.sends,
        latency_ms=latency_ms,
        started_at=work.first_sent_at,
        finished_at=at,
        pack_id=pack_id,
        filters=filters,
        metadata=metadata,
    )
