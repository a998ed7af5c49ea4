"""The filters of one run: its chain, what it remembers, and what it has counted.

Both `apply` and `apply_async` filter an output; where `needs_pool`, `apply` blocks the event loop until
a function of the user's has answered, so whoever can wait takes the other. Neither counts: what
counts is what the ledger has committed, so `count` is told of results.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from llmtop.adapters.functions import FunctionPool, check_function
from llmtop.config.schema import RunConfig
from llmtop.errors import ConfigError, ConfigErrors
from llmtop.model import Item, Result
from llmtop.policy.filters import ChainResult, FilterChain, FilterCounts, PythonFunction, build_chain
from llmtop.snapshot import FilterView


def chain_of(config: RunConfig, *, allow_code: bool) -> FilterChain:
    """Return the chain of a config, with every function loaded once. Blocking.

    Raises ConfigErrors with the config file's name.
    """
    try:
        chain = build_chain(config.filters, allow_code=allow_code)
        faults = []
        for place, function in _elsewhere(chain).items():
            try:
                check_function(function.settings)
            except ConfigError as fault:
                where = f"filters[{place}].{fault.where}"
                faults.append(ConfigError(where, fault.what, fault.remedy))
        if faults:
            raise ConfigErrors("[[filters]]", faults)
    except ConfigErrors as error:
        raise ConfigErrors(str(config.file or config.name), error.errors) from None
    return chain


class RunFilters:
    """Filters outputs for one run. Belongs to the run's event loop; `close` ends its processes."""

    def __init__(self, chain: FilterChain) -> None:
        self.chain = chain
        self._memory = chain.memory()
        self._counts = FilterCounts([step.filter.name for step in chain.steps])
        functions = _elsewhere(chain)
        self._pools = {place: FunctionPool(function.settings) for place, function in functions.items()}

    def __repr__(self) -> str:
        return f"<RunFilters {self.chain}>"

    @property
    def needs_pool(self) -> bool:
        """Whether a filter runs in processes of its own, so that `apply` would block for them."""
        return bool(self._pools)

    def apply(self, output: Any, item: Item) -> ChainResult:
        """Filter an output here and now: a text, or a parsed JSON value."""
        passage = self.chain.passage(output, item, self._memory, self._pools)
        while (asked := passage.go_on()) is not None:
            passage.told(self._pools[asked.place].ask(asked.texts, item.fields))
        return passage.result

    async def apply_async(self, output: Any, item: Item) -> ChainResult:
        """Filter an output, and wait where a function of the user's runs in a process of its own.

        Cancelling it leaves nothing running; what `duplicate` has seen stays this item's.
        """
        passage = self.chain.passage(output, item, self._memory, self._pools)
        while (asked := passage.go_on()) is not None:
            passage.told(await self._pools[asked.place].ask_async(asked.texts, item.fields))
        return passage.result

    def count(self, result: Result) -> None:
        """Count what the filters did to a committed result."""
        self._counts.add(result.filters)

    def count_again(self, trail: Iterable[Any]) -> None:
        """Count an answer that was rejected, and whose item is asked again."""
        self._counts.add(trail, is_asked_again=True)

    def restore(self, lines: Iterable[bytes]) -> None:
        """Count and remember the ledger's results: its lines, those that filters touched at least.

        With a `duplicate` filter it needs all lines (`wants_all`). Blocking, in bounded memory.
        """
        for line in lines:
            kept = orjson.loads(line)
            self._counts.add(kept.get("filters", ()))
            if self.wants_all and kept["status"] == "done":
                self.chain.remember(kept["output"], Item(0, kept["id"], {}), self._memory)

    @property
    def wants_all(self) -> bool:
        """Whether `restore` needs the lines that no filter touched as well."""
        return any(step.filter.name == "duplicate" for step in self.chain.steps)

    def views(self) -> tuple[FilterView, ...]:
        """Return what each filter has done to the results that are committed, in order."""
        return _views(self._counts)

    def close(self) -> None:
        """End the processes of the user's functions. Safe to call twice."""
        for pool in self._pools.values():
            pool.close()


def views_of(names: Sequence[str], lines: Iterable[bytes], again: Iterable[Any]) -> tuple[FilterView, ...]:
    """Return what the filters of these names did to stored results, where no chain is at hand.

    `again`: what they did to answers whose items were asked again.
    """
    counts = FilterCounts(names)
    for trail in again:
        counts.add(trail, is_asked_again=True)
    for line in lines:
        counts.add(orjson.loads(line).get("filters", ()))
    return _views(counts)


def _views(counts: FilterCounts) -> tuple[FilterView, ...]:
    return tuple(
        FilterView(
            name, at + 1, counts.hits[at], counts.changed[at], counts.rejected[at], counts.asked_again[at]
        )
        for at, name in enumerate(counts.names)
    )


def _elsewhere(chain: FilterChain) -> dict[int, PythonFunction]:
    """Return the functions that have processes of their own, by their place in the chain."""
    return {
        place: step.filter
        for place, step in enumerate(chain.steps, start=1)
        if isinstance(step.filter, PythonFunction) and step.filter.is_elsewhere
    }
