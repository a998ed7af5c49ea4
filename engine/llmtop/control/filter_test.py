"""A filter chain tried out over given texts, or over what a run has stored: nothing is sent.

Every filter is run on its own, on what the one before it left, so that each one's doing is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from llmtop.adapters.ledger import LedgerReader
from llmtop.adapters.ledger.lines import storable
from llmtop.adapters.sources import Source, open_source
from llmtop.config.effective import from_record
from llmtop.config.schema import RunConfig
from llmtop.errors import LlmtopError
from llmtop.model import Item
from llmtop.policy.answers import OutputForm
from llmtop.policy.filters import Rejection
from llmtop.run.filtering import RunFilters, chain_of
from llmtop.run.prompts import SPOOL

Output = tuple[Item, Any]
"""An output, and the item that it is for."""


@dataclass(frozen=True, slots=True)
class Example:
    """What one filter did to one output."""

    item_id: str
    before: Any
    after: Any
    """None where it was rejected."""
    said: str
    """What it did, or why it rejected."""


@dataclass(slots=True)
class Tried:
    """What one filter did to all outputs."""

    name: str
    place: int
    hits: int = 0
    changed: int = 0
    rejected: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class Trial:
    """What the chain did to all outputs."""

    name: str
    """Of the config's run."""
    filters: list[Tried]
    seen: int = 0
    changed: int = 0
    """Passed, but not as they came."""
    rejected: int = 0
    asked_again: int = 0
    """Of the rejected: those that a run would ask again first."""
    unreadable: int = 0
    """Given texts that are not of the form that the config asks for; no filter saw them."""

    @property
    def passed(self) -> int:
        """Outputs that would be done, changed or not."""
        return self.seen - self.rejected - self.unreadable


def try_texts(config: RunConfig, texts: Iterable[str], *, allow_code: bool, examples: int) -> Trial:
    """Run the chain of a config over texts, as if they were answers. Raises ConfigErrors."""
    form = OutputForm(config.request.response_format, config.request.schema)

    def outputs() -> Iterator[Output | None]:
        for number, text in enumerate(texts, start=1):
            output, fault = form.accept(text)
            yield None if fault is not None else (Item(number, str(number), {}, line=number), output)

    return _try(config, outputs(), allow_code=allow_code, examples=examples)


def try_run(config: RunConfig, folder: Path, *, allow_code: bool, examples: int) -> Trial:
    """Run the chain of a config over the outputs that the run in `folder` has stored.

    They are as that run's own filters left them. Raises ConfigErrors, StateError.
    """
    with LedgerReader(folder) as reader:
        needs_fields = any(table.get("use") == "python" for table in config.filters)
        source = _source(reader, folder) if needs_fields else None
        stored = _stored(reader, source)
        return _try(config, stored, allow_code=allow_code, examples=examples)


def _source(reader: LedgerReader, folder: Path) -> Source | None:
    """Return the run's input, for the fields that functions ask for; None: it is no longer there."""
    try:
        return open_source(from_record(reader.record().config).input, spool=folder / SPOOL)
    except LlmtopError:
        return None


def _stored(reader: LedgerReader, source: Source | None) -> Iterator[Output]:
    for seq, line in reader.numbered_results(("done", "rejected")):
        kept = orjson.loads(line)
        yield _item(reader, source, seq, kept), kept["output"]


def _item(reader: LedgerReader, source: Source | None, seq: int, kept: dict[str, Any]) -> Item:
    """Return the item as the input has it, else with what the result says of it."""
    known = Item(seq, kept["id"], kept.get("metadata") or {})
    if source is None:
        return known
    _, _, line, offset = reader.place(seq)
    try:
        item = source.item(seq, offset, line)
    except (LlmtopError, OSError):
        return known
    return item if storable(item.id) == kept["id"] else known


def _try(config: RunConfig, outputs: Iterable[Output | None], *, allow_code: bool, examples: int) -> Trial:
    chain = chain_of(config, allow_code=allow_code)
    trial = Trial(config.name, [Tried(s.filter.name, at) for at, s in enumerate(chain.steps, start=1)])
    filters = [RunFilters(alone) for alone in chain.apart()]
    try:
        for each in outputs:
            trial.seen += 1
            if each is None:
                trial.unreadable += 1
            else:
                _pass(trial, filters, *each, examples)
    finally:
        for one in filters:
            one.close()
    return trial


def _pass(trial: Trial, filters: list[RunFilters], item: Item, output: Any, examples: int) -> None:
    is_changed = False
    for tried, one in zip(trial.filters, filters, strict=True):
        result = one.apply(output, item)
        for entry in result.trail:
            tried.hits += entry["hits"]
            said = str(entry.get("reason") or entry.get("what"))
            after = None if result.rejected_by else result.output
            if len(tried.examples) < examples:
                tried.examples.append(Example(item.id, output, after, said))
        if result.rejected_by is not None:
            tried.rejected += 1
            _count_rejected(trial, result.rejected_by)
            return
        if result.trail:
            tried.changed += 1
            is_changed = True
        output = result.output
    trial.changed += is_changed


def _count_rejected(trial: Trial, rejection: Rejection) -> None:
    trial.rejected += 1
    trial.asked_again += rejection.step.on_reject == "retry"
