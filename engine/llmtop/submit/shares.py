"""What one request cost, shared out to its items, so that the shares add up to it exactly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from llmtop.frozen import value
from llmtop.model import Answer, ItemError, Result, Usage
from llmtop.policy.packing import share, share_usage
from llmtop.submit.work import Flight, Landed, Work


@value(frozen=True, slots=True)
class Share:
    """One item's part of a request."""

    usage: Usage
    cost_pusd: int | None
    latency_ms: int

    def of(self, answer: Answer, work: Work, output: Any) -> Answer:
        """Return the answer as if the item had been asked alone: what the cache keeps."""
        text = answer.text
        if work.parts:
            text = output if isinstance(output, str) else orjson.dumps(output).decode()
        return replace(answer, text=text, usage=self.usage, cost_pusd=self.cost_pusd)


def shares_of(
    work: Work,
    outputs: Sequence[tuple[Work, Any]],
    usage: Usage,
    cost_pusd: int | None,
    latency_ms: int,
) -> Mapping[int, Share]:
    """Charge every item its part, and return the parts by seq. None: the price is unknown.

    Input is shared by the length of what each item asks alone, output by the length of its answer;
    money as the tokens, time equally.
    """
    members = work.members
    if len(members) == 1:
        _charge(work, cost_pusd)
        return {work.item.seq: Share(usage, cost_pusd, latency_ms)}
    lengths = {member.item.seq: _length(output) for member, output in outputs}
    usages = share_usage(
        usage,
        [len(member.wire.body) for member in members],
        [lengths.get(member.item.seq, 0) for member in members],
    )
    weights = [each.input_tokens + each.output_tokens for each in usages]
    costs: list[int | None] = [None] * len(members)
    if cost_pusd is not None:
        costs = [*share(cost_pusd, weights)]
    times = share(latency_ms, [1] * len(members))
    for member, cost in zip(members, costs, strict=True):
        _charge(member, cost)
    return {
        member.item.seq: Share(own_usage, own_cost, own_time)
        for member, own_usage, own_cost, own_time in zip(members, usages, costs, times, strict=True)
    }


def owed_by(shares: Mapping[int, Share], settled: Collection[int]) -> tuple[tuple[int, int | None], ...]:
    """Return what the items that go on owe: those that are not `settled` (by seq), with their shares."""
    return tuple(
        (seq, share.cost_pusd) for seq, share in shares.items() if share.cost_pusd != 0 and seq not in settled
    )


def pack_id_of(work: Work, attempt_id: int) -> str | None:
    """Return the name of the pack that a request carried; None: one item alone."""
    return f"p{attempt_id:05d}" if work.parts else None


def landed_of(
    flight: Flight,
    results: Sequence[Result],
    latency_s: float,
    usage: Usage | None,
    cost_pusd: int | None,
    error: ItemError | None,
    again_in_s: float | None,
) -> Landed:
    """Return the row of a request that has come back, with the results that it brought."""
    return Landed(
        attempt=flight.attempt,
        item_id=flight.work.item.id,
        latency_s=latency_s,
        tokens=usage.input_tokens + usage.output_tokens if usage else None,
        cost_pusd=cost_pusd,
        status=results[0].status if results else None,
        error=error,
        again_in_s=again_in_s,
        items=len(flight.work.members),
        done=sum([result.status == "done" for result in results]),
        rejected=sum([result.status == "rejected" for result in results]),
    )


def _charge(work: Work, cost_pusd: int | None) -> None:
    if cost_pusd is None:
        work.is_cost_known = False
    else:
        work.cost_pusd += cost_pusd


def _length(output: Any) -> int:
    text = output if isinstance(output, str) else orjson.dumps(output).decode()
    return max(1, len(text))
