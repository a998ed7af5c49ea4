"""The requests of batch jobs: no item is in two at a time, and none is lost, whatever packs come to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.model import Item, ItemPast, WireRequest
from llmtop.policy.packing import PackReading
from llmtop.submit.batch_packing import JobPacker
from llmtop.submit.work import Work

_PAGE = 3


class _World:
    """A ledger that knows of each item whether it is done or in an open job, and a feed on it in pages."""

    def __init__(self, count: int) -> None:
        self.items = [Item(seq=seq, id=f"m-{seq}", fields={}) for seq in range(count)]
        self.done: set[int] = set()
        self.open: dict[int, list[tuple[Item, ...]]] = {}
        self._pass: Iterator[Item] = iter(())

    @property
    def taken(self) -> set[int]:
        return {item.seq for packs in self.open.values() for pack in packs for item in pack}

    def _free(self, after: int) -> list[Item]:
        free = [item for item in self.items[after + 1 :] if item.seq not in self.done | self.taken]
        return free[:_PAGE]

    def _pages(self) -> Iterator[Item]:
        after = -1
        while page := self._free(after):
            yield from page
            after = page[-1].seq

    def take(self) -> Item | None:
        return next(self._pass, None)

    def past(self, item: Item) -> ItemPast | None:
        return None

    def refill(self) -> bool:
        self._pass = self._pages()
        return bool(self._free(-1))


class _Exchange:
    def can_pack(self, item: Item) -> bool:
        return item.seq % 7 != 3


class _Drive:
    """Fills jobs and ends them, a request at a time, as a machine of chance says."""

    def __init__(self, count: int, size: int) -> None:
        self.world = _World(count)
        self.size = size
        exchange: Any = _Exchange()
        self.packer = JobPacker(
            feed=self.world,
            exchange=exchange,
            item_of=self.world.items.__getitem__,
            size=lambda: self.size,
            sparing=None,
            keeps_left=lambda: True,
        )
        self._number = 0

    async def fill(self, requests: int, *, is_last_put_back: bool = False) -> bool:
        """Make a job of at most so many requests; False: there was none to make."""
        packs: list[tuple[Item, ...]] = []
        seqs: list[int] = []
        while len(packs) < requests and (pack := await self.packer.next()):
            assert len(pack) <= 9
            packs.append(pack)
            seqs += [item.seq for item in pack]
        assert len(seqs) == len(set(seqs))
        assert not set(seqs) & (self.world.taken | self.world.done)
        if is_last_put_back and packs:
            self.packer.put_back(packs.pop())
        if packs:
            self._number += 1
            self.world.open[self._number] = packs
            self.packer.intended(self._number, [item.seq for pack in packs for item in pack])
        return bool(packs)

    def end_one(self, number: int, outcome: str) -> None:
        """End a request of a job, and the job with its last one."""
        packs = self.world.open[number]
        pack = packs.pop()
        works = [Work(item=item, wire=WireRequest("", b"", {}), ready_at=0.0) for item in pack]
        if outcome == "expired":
            pass
        elif outcome == "spoiled" and len(pack) > 1:
            self.packer.spoiled(works)
        elif outcome == "sent back":
            self.packer.sent_back(pack[0], None)
            self.world.done.update(item.seq for item in pack[1:])
        elif outcome == "left" and len(pack) > 1:
            answers = {item.id: "" for item in pack[1:]}
            self.packer.answered(works, PackReading(answers=answers, missing=(pack[0].id,), malformed={}))
            self.world.done.update(item.seq for item in pack[1:])
        else:
            if len(pack) > 1:
                reading = PackReading(answers={item.id: "" for item in pack}, missing=(), malformed={})
                self.packer.answered(works, reading)
            self.world.done.update(item.seq for item in pack)
        if not packs:
            del self.world.open[number]
            self.packer.over(number)

    async def finish(self) -> None:
        """Let everything be answered from now on; every item must come to its end."""
        for _ in range(10 * len(self.world.items) + 10):
            if not await self.fill(4) and not self.packer.refill() and not self.world.open:
                break
            for number in list(self.world.open):
                while number in self.world.open:
                    self.end_one(number, "answered")


_OUTCOMES = st.sampled_from(["answered", "answered", "left", "spoiled", "expired", "sent back"])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), count=st.integers(0, 60), size=st.integers(1, 9))
def test_an_item_is_in_one_request_at_a_time_and_every_item_ends(
    data: st.DataObject, count: int, size: int
) -> None:
    async def drive() -> None:
        here = _Drive(count, size)
        for _ in range(data.draw(st.integers(0, 25))):
            step = data.draw(st.sampled_from(["fill", "end", "end", "refill", "drop", "size"]))
            if step == "fill":
                await here.fill(data.draw(st.integers(1, 5)), is_last_put_back=data.draw(st.booleans()))
            elif step == "end" and here.world.open:
                here.end_one(data.draw(st.sampled_from(sorted(here.world.open))), data.draw(_OUTCOMES))
            elif step == "refill":
                here.packer.refill()
            elif step == "drop":
                here.packer.drop()
                here.packer.refill()
            elif step == "size":
                here.size = data.draw(st.integers(1, 9))
        await here.finish()
        assert here.world.done == set(range(count))

    asyncio.run(drive())


def test_what_a_pack_left_waits_for_the_end_of_its_job_and_is_then_in_a_smaller_one() -> None:
    async def drive() -> list[int]:
        here = _Drive(16, 8)
        here.packer.refill()
        await here.fill(20)
        here.end_one(1, "spoiled")
        assert here.packer.refill()
        assert not await here.fill(20)
        assert here.packer.has_skipped
        while here.world.open:
            here.end_one(1, "answered")
        sizes = []
        for _ in range(2):
            await here.fill(2)
            sizes += [len(pack) for packs in here.world.open.values() for pack in packs]
            for number in list(here.world.open):
                while number in here.world.open:
                    here.end_one(number, "answered")
            here.packer.refill()
        return sizes

    assert max(asyncio.run(drive())) <= 4


def test_an_item_that_a_page_of_the_feed_has_as_free_is_not_asked_again_when_the_planner_gave_it() -> None:
    async def drive() -> _Drive:
        here = _Drive(7, 2)
        here.packer.refill()
        await here.fill(20)
        assert [[item.seq for item in pack] for pack in here.world.open[1]] == [[0, 1], [2, 4], [5, 6], [3]]
        for outcome in ("answered", "spoiled", "expired", "answered"):
            here.end_one(1, outcome)
        here.packer.refill()
        await here.fill(1)  # 2 and 4 are in hand, and 5 stands behind them in the same page
        assert [[item.seq for item in pack] for pack in here.world.open[2]] == [[5]]
        here.end_one(2, "answered")
        await here.finish()
        return here

    assert asyncio.run(drive()).world.done == set(range(7))
