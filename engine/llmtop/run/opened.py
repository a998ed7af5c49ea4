"""From a config to a run that can start: checked, found or made anew, with its items on record.

Everything that can be wrong is found here, before the first request. Blocking: an engine calls it
in a thread of its own.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from llmtop import __version__
from llmtop.adapters.home import Home
from llmtop.adapters.ledger import Ledger, LedgerReader, RunRecord, Totals
from llmtop.adapters.secrets import Secret, find_key
from llmtop.adapters.sources import ScannedItem, Source, open_source
from llmtop.config.effective import to_record
from llmtop.config.fingerprint import CONTENT, differing, fingerprint, fingerprint_parts
from llmtop.config.input_format import STDIN
from llmtop.config.kinds import KINDS
from llmtop.config.schema import RunConfig
from llmtop.errors import ConfigError, RunOwned, StateError, UsageError
from llmtop.policy.answers import OutputForm
from llmtop.policy.filters import FilterChain
from llmtop.policy.packing import PackPrompt
from llmtop.policy.pricing import Pricer
from llmtop.policy.rendering import needed_fields
from llmtop.policy.template import Template
from llmtop.run.filtering import RunFilters, chain_of
from llmtop.run.prompts import SPOOL
from llmtop.run.workload import plan_view
from llmtop.snapshot import PlanView, plan_view_of

_GONE_FOR_GOOD = ("cancelled",)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """How to start: which run to continue, or none."""

    resume: str | None = None
    """Id of a run to continue; None: the unfinished one with the same fingerprint, if there is one."""
    is_fresh: bool = False
    """Start anew whatever there is."""
    allow_code: bool = False
    """Whether the config's `python` filters may run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A config whose prompt, schema, key and prices have been looked at."""

    config: RunConfig
    template: Template | None
    form: OutputForm
    key: Secret | None
    pricer: Pricer
    chain: FilterChain


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A run that is ready to start, and that this process owns."""

    config: RunConfig
    checked: Checked
    record: RunRecord
    ledger: Ledger
    source: Source
    totals: Totals
    notices: tuple[str, ...]
    """What the user should know: what is continued, what is new and why."""
    is_finished: bool
    """Nothing is left to do."""
    filters: RunFilters | None = None
    """With what they did so far; None: the config has none."""
    plan: PlanView | None = None
    """What it was expected to take; None: a run of an earlier version."""


def check(
    config: RunConfig, pricer: Pricer, environ: Mapping[str, str], *, allow_code: bool = False
) -> Checked:
    """Look at everything that needs no input. Raises ConfigError, or ConfigErrors for its filters.

    Blocking where a filter has processes of its own: its function is loaded in one.
    """
    prompt = config.request.prompt
    PackPrompt(config.request.pack_prompt)
    checked = Checked(
        config=config,
        template=None if prompt is None else Template(prompt),
        form=OutputForm(config.request.response_format, config.request.schema),
        key=find_key(config.provider, environ),
        pricer=pricer,
        chain=chain_of(config, allow_code=allow_code),
    )
    if config.budget.max_cost is not None and not pricer.is_known and not config.prices.allow_unknown_price:
        raise ConfigError(
            "budget.max_cost",
            f'cannot hold: the price of "{config.provider.model}" is unknown',
            "give [prices] input and output, or set prices.allow_unknown_price = true",
        )
    return checked


class Opener:
    """Opens runs in one state folder."""

    def __init__(
        self,
        home: Home,
        *,
        stdin: BinaryIO | None = None,
        on_progress: Callable[[float], None] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._home = home
        self._stdin = stdin
        self._on_progress = on_progress
        self._wall = wall

    def open(self, checked: Checked, options: StartOptions) -> Opened:
        """Continue the run that this config began, or begin one.

        Raises InputError, UsageError (nothing to resume), RunOwned, StateError.
        """
        config = checked.config
        run_id = self._home.new_run_id(config.name)
        folder = self._home.run_folder(run_id)
        try:
            if config.input.path == STDIN:
                self._home.make_run_folder(run_id)
            source = open_source(config.input, spool=folder / SPOOL, stdin=self._stdin)
            candidates = [] if options.is_fresh else self._candidates(checked, options)
            if candidates:
                for _ in self._scan(source, checked):
                    continue
                found = self._same(candidates, checked, source, options)
                if found is not None:
                    return self._continue(checked, found, source, folder)
            return self._begin(checked, run_id, folder, source, options)
        except BaseException:
            _drop(folder)
            raise

    def _scan(self, source: Source, checked: Checked) -> Iterator[ScannedItem]:
        lines = KINDS[checked.config.provider.kind].lines
        return source.scan(needed_fields(checked.template), self._on_progress, lines)

    # -- a run that exists -------------------------------------------------------------------

    def _candidates(self, checked: Checked, options: StartOptions) -> list[RunRecord]:
        """Runs that differ from this config in their input's content at most, newest first.

        A copy of a config under another name and with another output is a run of its own.
        """
        config = checked.config
        parts = fingerprint_parts(config, "")
        if options.resume:
            records = [self._record(options.resume)]
        else:
            records = [record for record in self._readable(config.name) if _is_of(record, config)]
        same = [record for record in records if differing(record.fingerprint_parts, parts) in ([], [CONTENT])]
        if options.resume and not same:
            keys = ", ".join(differing(records[0].fingerprint_parts, parts))
            raise UsageError(options.resume, f"was another run: {keys} differ", "start without --resume")
        return [record for record in same if options.resume or record.state not in _GONE_FOR_GOOD]

    def _readable(self, name: str) -> list[RunRecord]:
        """All runs, newest first, without those whose input was never read to its end.

        Raises StateError where one of this name is damaged (promise R11).
        """
        faults: list[StateError] = []
        records = self._home.records(faults)
        for fault in faults:
            if Path(fault.where).parent.name.rpartition("-")[0] == self._home.slug(name):
                raise StateError(
                    fault.where, fault.what, "restore it from a backup, or start anew with --fresh"
                )
        return [record for record in records if record.fingerprint or not self._home.drop_unread(record.id)]

    def _same(
        self, candidates: list[RunRecord], checked: Checked, source: Source, options: StartOptions
    ) -> RunRecord | None:
        mark = fingerprint(fingerprint_parts(checked.config, source.digest or ""))
        found = next((record for record in candidates if record.fingerprint == mark), None)
        if found is None and options.resume:
            raise UsageError(options.resume, "was over another input", "start without --resume")
        return found

    def _continue(self, checked: Checked, record: RunRecord, source: Source, new_folder: Path) -> Opened:
        folder = self._home.run_folder(record.id)
        try:
            ledger = Ledger.open(folder, _record_of(checked, record.id, source, record.created_at))
        except RunOwned as error:
            if error.pid == os.getpid():
                what = f"is the same run as another config of this command ({record.id})"
                raise UsageError(
                    checked.config.name, what, "give it a name and an output of its own"
                ) from error
            raise
        spool = new_folder / SPOOL
        if spool.exists():
            spool.replace(folder / SPOOL)
            source = open_source(checked.config.input, spool=folder / SPOOL)
        _drop(new_folder)
        try:
            totals = ledger.totals()
            filters = _filters(checked, folder)
        except BaseException:
            ledger.close()
            raise
        counts = totals.counts
        if counts.pending:
            word = f"continues run {record.id}: {counts.pending:,} of {counts.total:,} items left"
        else:
            done = f"{counts.done:,} of {counts.total:,} items done"
            word = f"run {record.id} is finished: {done} (--fresh starts anew)"
        return Opened(
            config=checked.config,
            checked=checked,
            record=ledger.record,
            ledger=ledger,
            source=source,
            totals=totals,
            notices=(word, *ledger.notices),
            is_finished=not counts.pending,
            plan=plan_view_of(ledger.plan()),
            filters=filters,
        )

    # -- a new run ---------------------------------------------------------------------------

    def _begin(
        self, checked: Checked, run_id: str, folder: Path, source: Source, options: StartOptions
    ) -> Opened:
        config = checked.config
        ledger = Ledger.create(folder, _record_of(checked, run_id, source, self._wall()))
        try:
            ledger.add_items(self._scan(source, checked))
            parts = fingerprint_parts(config, source.digest or "")
            ledger.identify(fingerprint(parts), parts)
            totals = ledger.totals()
            expected = plan_view(config, source, totals.counts.total, checked.pricer)
            ledger.expect(asdict(expected))
            notices = () if options.is_fresh else self._what_changed(run_id, config.name, parts)
            return Opened(
                config=config,
                checked=checked,
                record=ledger.record,
                ledger=ledger,
                source=source,
                totals=totals,
                notices=(*notices, *ledger.notices),
                is_finished=False,
                filters=_filters(checked, None),
                plan=expected,
            )
        except BaseException:
            ledger.close()
            raise

    def _what_changed(self, run_id: str, name: str, parts: Mapping[str, str]) -> tuple[str, ...]:
        earlier = next(
            (r for r in self._home.records() if r.name == name and r.id != run_id and r.state != "finished"),
            None,
        )
        if earlier is None:
            return ()
        keys = differing(earlier.fingerprint_parts, parts)
        if not keys:
            return ()
        return (f"a new run: {', '.join(keys)} changed since {earlier.id}",)

    def _record(self, run_id: str) -> RunRecord:
        with LedgerReader(self._home.run_folder(run_id)) as reader:
            return reader.record()


def _filters(checked: Checked, folder: Path | None) -> RunFilters | None:
    """Return the run's filters, with what the results in `folder` say of them; None: it has none."""
    if not len(checked.chain):
        return None
    filters = RunFilters(checked.chain)
    if folder is not None:
        with LedgerReader(folder) as reader:
            filters.restore(reader.results() if filters.wants_all else reader.results_filtered())
            for trail in reader.asked_again():
                filters.count_again(trail)
    return filters


def _is_of(record: RunRecord, config: RunConfig) -> bool:
    output = _text(config.output.path)
    return record.name == config.name or (output is not None and record.output_path == output)


def _record_of(checked: Checked, run_id: str, source: Source, created_at: float) -> RunRecord:
    config = checked.config
    return RunRecord(
        id=run_id,
        name=config.name,
        created_at=created_at,
        llmtop_version=__version__,
        model=config.provider.model,
        provider=config.provider.kind,
        config=to_record(config),
        source_path=str(source.name),
        output_path=_text(config.output.path),
        rejected_path=_text(config.output.rejected_path),
        prices=checked.pricer.record(),
    )


def _drop(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
