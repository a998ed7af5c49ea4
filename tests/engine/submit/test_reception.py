"""What follows from an answer: money when it is kept, the next try, the end of an attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from submission import (
    ANSWER,
    BAD,
    FAULT,
    NO_MONEY,
    OUTPUT_TOKENS,
    PRICE_PUSD,
    REFUSED,
    World,
    fault,
)

from llmtop.model import Answer, Outcome, ProviderError, Usage

pytestmark = pytest.mark.looptime

LOST = fault(Outcome.TIMEOUT, "timeout")
NEVER_SENT = fault(Outcome.FAULT, "connection", is_sent=False)


async def world_after(*replies: Answer | ProviderError, tries: int = 3) -> World:
    world = World(1, tries=tries)
    world.provider.script(0, *replies)
    await world.run()
    return world


async def test_a_result_counts_when_it_is_committed_and_not_before() -> None:
    world = World(1)
    world.reception.settlement.on_result = lambda result: world.log.append(("counted", result.seq))

    await world.run()

    assert [what for what, _ in world.log] == ["attempt", "sent", "result", "counted"]


@pytest.mark.parametrize(
    ("error", "maybe_billed"),
    [(FAULT, True), (REFUSED, False), (LOST, True), (NEVER_SENT, False)],
)
async def test_a_lost_answer_keeps_its_reservation_and_a_refused_one_gives_it_back(
    error: ProviderError, maybe_billed: bool
) -> None:
    unanswered = replace(error, error=replace(error.error, http_status=None))

    world = await world_after(unanswered)

    assert world.budget.maybe == (2 * PRICE_PUSD if maybe_billed else 0)
    assert world.budget.spent == PRICE_PUSD
    assert world.paper.ends[1].is_maybe_billed is maybe_billed
    assert world.reception.accounts.maybe_billed == int(maybe_billed)


async def test_an_item_fails_after_its_tries_with_the_last_reason_and_what_it_cost() -> None:
    billed = replace(FAULT, usage=Usage(input_tokens=20, output_tokens=3))

    world = await world_after(billed, billed, billed)

    result = world.results[0]
    assert (result.status, result.attempts, result.output) == ("failed", 3, None)
    assert result.error == FAULT.error
    assert result.cost_pusd == world.budget.spent == 3 * PRICE_PUSD
    assert [end.outcome for end in world.paper.ends.values()] == [Outcome.FAULT] * 3


async def test_a_request_that_is_wrong_itself_is_not_repeated() -> None:
    world = await world_after(BAD)

    assert world.results[0].error == BAD.error
    assert len(world.provider.served) == 1


async def test_an_answer_of_the_wrong_form_is_paid_for_and_asked_again() -> None:
    world = await world_after(replace(ANSWER, text="spoiled"))

    assert world.statuses() == {0: "done"}
    assert world.budget.spent == 2 * PRICE_PUSD
    assert world.paper.ends[1].outcome is Outcome.PARTIAL
    assert world.results[0].usage == ANSWER.usage


@pytest.mark.parametrize("usage", [None, Usage(input_tokens=-1, output_tokens=5)])
async def test_usage_that_is_missing_or_nonsense_is_estimated_and_flagged(usage: Usage | None) -> None:
    world = await world_after(replace(ANSWER, usage=usage))

    kept = world.results[0].usage
    assert kept.is_estimated
    assert min(kept.input_tokens, kept.output_tokens) > 0
    assert world.reception.accounts.estimated == 1


async def test_a_price_that_the_provider_tells_is_the_price() -> None:
    world = await world_after(replace(ANSWER, cost_pusd=7))

    assert world.results[0].cost_pusd == world.budget.spent == 7


async def test_what_stops_the_run_is_told_with_its_reason_and_costs_no_try() -> None:
    world = World(1, tries=1)
    world.provider.script(0, NO_MONEY)
    world.reception.on_halt = lambda halt: (world.halts.append(halt), world.lane.resume())

    await world.run()

    assert [(halt.reason, halt.error) for halt in world.halts] == [("refused", NO_MONEY.error)]
    assert world.statuses() == {0: "done"}


async def test_the_table_shows_what_landed_with_what_follows() -> None:
    world = await world_after(REFUSED, ANSWER)

    refused, answered = world.reception.settlement.recent
    assert (refused.status, refused.error, refused.again_in_s) == (None, REFUSED.error, 3.0)
    assert (answered.status, answered.error, answered.tokens) == ("done", None, 20 + OUTPUT_TOKENS)
