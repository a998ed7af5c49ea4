"""Runs over the same items, side by side: what came of them, how fast, and at what price.

From the ledgers alone, so a live run is compared as it stands and nobody is held up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmtop.adapters.home import Home, RunRef, is_lower_bound, state_at_rest
from llmtop.adapters.ledger import LedgerReader
from llmtop.adapters.ledger.comparison import ComparisonReader
from llmtop.adapters.sources import open_source
from llmtop.config.effective import from_record
from llmtop.config.input_format import STDIN
from llmtop.config.kinds import KINDS
from llmtop.config.schema import RunConfig
from llmtop.errors import LlmtopError, StateError, UsageError
from llmtop.model import RunCounts
from llmtop.policy.rendering import needed_fields
from llmtop.policy.template import Template
from llmtop.snapshot import RunState

_SAVED_EVERY_S = 10.0
"""A live run writes down how long it has run this often."""
_LABEL_CHARACTERS = 100
"""Longer texts are not expected to be equal: agreement is about labels, numbers and structures."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a run's outputs are those of the first run."""

    equal: int
    compared: int
    """Items that both have done, with outputs that can be equal: parsed values, and short texts."""

    @property
    def share(self) -> float | None:
        """From 0 to 1; None: nothing can be compared."""
        return self.equal / self.compared if self.compared else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """One run of a comparison. Money in pico-dollars."""

    run_id: str
    name: str
    model: str
    state: RunState
    counts: RunCounts
    rejected_by: Mapping[str, int]
    """Rule -> items, most frequent first."""
    asked_again_by: Mapping[str, int]
    """Rule -> answers that it rejected and whose items were asked again, most frequent first."""
    failed_by: Mapping[str, int]
    """Kind of error -> items, most frequent first."""
    elapsed_s: float
    items_per_s: float | None
    """Results a second of running time."""
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    requests: int
    cache_hits: int
    """Results from the cache and from identical requests."""
    input_tokens: int
    output_tokens: int
    cost_pusd: int
    is_cost_at_least: bool
    cost_per_1000_pusd: int | None
    """Of a thousand items with a result; None: there is none, or the price is unknown."""
    whole_items: int | None
    """Items of the whole input, beyond `input.limit`; None: it cannot be read any more."""
    cost_whole_pusd: int | None
    """What the whole input would cost at that price."""
    agreement: Agreement | None
    """With the first run; None for the first."""


def compare(home: Home, refs: Sequence[str]) -> tuple[ComparedRun, ...]:
    """Compare runs by the words of `Home.resolve`, in that order. Blocking: reads every result.

    Raises UsageError for fewer than two runs, the same one twice, and runs over different items.
    """
    found = [home.resolve(ref) for ref in refs]
    if len(found) < 2:
        raise UsageError("compare", "needs two runs or more", "`llmtop runs` lists them")
    for index, ref in enumerate(found):
        if ref.run_id in (other.run_id for other in found[:index]):
            raise UsageError(refs[index], f"is the run {ref.run_id} a second time", "Name each run once")
    with ExitStack() as stack:
        readers = [stack.enter_context(ComparisonReader(ref.folder)) for ref in found]
        for ref, reader in zip(found[1:], readers[1:], strict=True):
            _refuse_other_items(found[0], readers[0], ref, reader)
        wholes: dict[str, int | None] = {}
        return tuple(
            replace(
                _compared(home, ref, reader, wholes),
                agreement=None if reader is readers[0] else _agreement(readers[0], reader),
            )
            for ref, reader in zip(found, readers, strict=True)
        )


def peers(home: Home, run_id: str, at_most: int) -> list[str]:
    """Return the ids of a run and of the newest others over the same items, the run first. Blocking.

    Ledgers that cannot be read are left out; raises StateError for the run's own.
    """
    lines = home.runs()
    total = next((each.counts.total for each in lines if each.run_id == run_id), None)
    found = [run_id]
    with ComparisonReader(home.run_folder(run_id)) as reader:
        digest = reader.items_digest()
    for each in lines:
        if len(found) == at_most:
            break
        if each.run_id == run_id or each.counts.total != total:
            continue
        try:
            with ComparisonReader(home.run_folder(each.run_id)) as reader:
                if reader.items_digest() == digest:
                    found.append(each.run_id)
        except StateError:
            continue
    return found


def _refuse_other_items(
    first: RunRef, reader: ComparisonReader, other: RunRef, other_reader: ComparisonReader
) -> None:
    if reader.items_digest() == other_reader.items_digest():
        return
    one, two = reader.first_difference(other_reader)
    if one is None or two is None:
        more, less = (other, first) if one is None else (first, other)
        what = f"has items that {less.run_id} has not ({(two if one is None else one)!r} is the first)"
        raise UsageError(more.run_id, what, "Compare runs over the same items; `--limit N` takes the first N")
    what = f"is over other items than {first.run_id}: {two!r} stands where that has {one!r}"
    raise UsageError(other.run_id, what, "Compare runs over the same input")


def _compared(
    home: Home, ref: RunRef, reader: ComparisonReader, wholes: dict[str, int | None]
) -> ComparedRun:
    with LedgerReader(ref.folder) as ledger:
        record, totals = ledger.record(), ledger.totals()
    pid = home.owner_pid(ref.run_id)
    elapsed_s = record.elapsed_s
    last_at = reader.last_finished_at()
    if pid is not None and last_at is not None and record.started_at is not None:
        # what it has run since it last wrote that down is known from its newest result
        elapsed_s = max(elapsed_s, min(last_at - record.started_at, elapsed_s + _SAVED_EVERY_S))
    finished = totals.counts.finished
    latencies = reader.latencies()
    is_priced = totals.unknown_cost == 0
    per_1000 = totals.spent_pusd * 1000 // finished if finished and is_priced else None
    whole = _whole_items(ref.folder, from_record(record.config), totals.counts.total, wholes)
    return ComparedRun(
        run_id=ref.run_id,
        name=record.name,
        model=record.model,
        state=state_at_rest(record, pid),
        counts=totals.counts,
        rejected_by=reader.rejected_by(),
        asked_again_by=reader.asked_again_by(),
        failed_by=reader.failed_by(),
        elapsed_s=elapsed_s,
        items_per_s=finished / elapsed_s if finished and elapsed_s > 0 else None,
        latency_p50_ms=latencies.p50_ms,
        latency_p95_ms=latencies.p95_ms,
        requests=totals.requests,
        cache_hits=totals.cache_hits + totals.dup_joined,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        cost_pusd=totals.spent_pusd,
        is_cost_at_least=is_lower_bound(totals),
        cost_per_1000_pusd=per_1000,
        whole_items=whole,
        cost_whole_pusd=None if per_1000 is None or whole is None else totals.spent_pusd * whole // finished,
        agreement=None,
    )


def _whole_items(folder: Path, config: RunConfig, total: int, known: dict[str, int | None]) -> int | None:
    """Count the items of a run's input without its limit; each file is read once."""
    given = config.input
    if given.limit is None or total < given.limit:
        return total
    if given.path == STDIN:
        return None
    key = str((given.path, given.format, given.id_field))
    if key not in known:
        try:
            source = open_source(replace(given, limit=None))
            template = None if config.request.prompt is None else Template(config.request.prompt)
            lines = KINDS[config.provider.kind].lines
            known[key] = sum(1 for _ in source.scan(needed_fields(template), lines=lines))
        except (LlmtopError, OSError):
            known[key] = None
    return known[key]


def _agreement(first: ComparisonReader, other: ComparisonReader) -> Agreement:
    equal = compared = 0
    for one, two in _pairs(first.outputs(), other.outputs()):
        left, right = _comparable(one), _comparable(two)
        if left is None or right is None:
            continue
        compared += 1
        equal += left == right
    return Agreement(equal, compared)


def _pairs(first: Iterator[tuple[int, Any]], other: Iterator[tuple[int, Any]]) -> Iterator[tuple[Any, Any]]:
    """Yield the outputs of the items that both have, from two streams in input order."""
    one, two = next(first, None), next(other, None)
    while one is not None and two is not None:
        if one[0] == two[0]:
            yield one[1], two[1]
            one, two = next(first, None), next(other, None)
        elif one[0] < two[0]:
            one = next(first, None)
        else:
            two = next(other, None)


def _comparable(output: Any) -> tuple[str, Any] | None:
    """Return an output as it is compared; None for a long text. White space and case do not count."""
    if not isinstance(output, str):
        return "value", output
    text = " ".join(output.split()).casefold()
    return ("text", text) if len(text) <= _LABEL_CHARACTERS else None
