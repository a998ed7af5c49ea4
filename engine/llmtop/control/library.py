"""The runs of a state folder, by the words that a user has for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llmtop.adapters.ledger.reader import LedgerReader
from llmtop.adapters.ledger.records import RunRecord, Totals
from llmtop.adapters.ledger.state_folder import EngineRecord, StateFolder
from llmtop.errors import StateError, UsageError
from llmtop.snapshot import RunLine, RunState

_AT_REST: tuple[RunState, ...] = ("finished", "cancelled", "failed", "paused", "budget", "refused", "stopped")
_NAMED_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class RunRef:
    """A run that a user named."""

    run_id: str
    name: str
    folder: Path


class Home:
    """The state folder as front ends see it."""

    def __init__(self, folder: StateFolder) -> None:
        """Use `open`."""
        self.folder = folder
        self.faults: tuple[StateError, ...] = ()
        """Ledgers that the last `runs` could not read."""

    @classmethod
    def open(cls, path: Path | None, environ: Mapping[str, str]) -> Home:
        """Open the folder of `--home`, else of LLMTOP_HOME, else the platform's. Raises StateError."""
        return cls(StateFolder.open(path, environ))

    def new_run_id(self, name: str) -> str:
        """Return an id that no run has yet."""
        return self.folder.new_run_id(name)

    def runs(self) -> tuple[RunLine, ...]:
        """Return every run, newest first. What cannot be read is in `faults`."""
        faults: list[StateError] = []
        lines: list[RunLine] = []
        for run_id in self.folder.run_ids():
            try:
                with LedgerReader(self.folder.run_folder(run_id)) as reader:
                    lines.append(_line(reader.record(), reader.totals(), self.owner_pid(run_id)))
            except StateError as error:
                faults.append(error)
        self.faults = tuple(faults)
        return tuple(sorted(lines, key=lambda line: (line.created_at, line.run_id), reverse=True))

    def resolve(self, ref: str) -> RunRef:
        """Return the run of this id, name (its newest), unique prefix of an id, or `latest`.

        Raises UsageError that names what could have been meant.
        """
        run_ids = self.folder.run_ids()
        if ref in run_ids:
            with LedgerReader(self.folder.run_folder(ref)) as reader:
                return self._ref(reader.record())
        records = self.folder.records()
        if ref == "latest" and records:
            return self._ref(records[0])
        named = next((record for record in records if record.name == ref), None)
        if named is not None:
            return self._ref(named)
        begun = [record for record in records if ref and record.id.startswith(ref)]
        if len(begun) == 1:
            return self._ref(begun[0])
        raise _no_such_run(ref, begun or records, is_ambiguous=bool(begun))

    def find_unfinished(self, fingerprint: str) -> RunRecord | None:
        """Return the newest run of this fingerprint that is neither finished nor cancelled."""
        return self.folder.find_unfinished(fingerprint)

    def owner_pid(self, run_id: str) -> int | None:
        """Return the pid of the process that owns the run, None when nobody does."""
        return self.folder.owner_pid(run_id)

    def engine_of(self, run_id: str) -> EngineRecord | None:
        """Return the live engine that owns the run and takes commands."""
        return self.folder.engine_of(run_id)

    def engines(self) -> tuple[EngineRecord, ...]:
        """Return the live engines; what dead ones left is removed."""
        return self.folder.engines()

    def _ref(self, record: RunRecord) -> RunRef:
        return RunRef(record.id, record.name, self.folder.run_folder(record.id))


def state_at_rest(record: RunRecord, pid: int | None) -> RunState:
    """Return the state to show: a run whose process died says `running` in its ledger, and is stopped."""
    if pid is not None or record.state in _AT_REST:
        return record.state
    return "paused" if record.is_paused else "stopped"


def is_lower_bound(totals: Totals) -> bool:
    """Whether more may have been spent than is known."""
    return totals.unknown_cost > 0 or totals.estimated > 0 or totals.maybe_billed > 0


def _line(record: RunRecord, totals: Totals, pid: int | None) -> RunLine:
    return RunLine(
        run_id=record.id,
        name=record.name,
        state=state_at_rest(record, pid),
        counts=totals.counts,
        cost_pusd=totals.spent_pusd,
        is_cost_at_least=is_lower_bound(totals),
        created_at=record.created_at,
        pid=pid,
        model=record.model,
    )


def _no_such_run(ref: str, candidates: list[RunRecord], *, is_ambiguous: bool) -> UsageError:
    names = ", ".join(record.id for record in candidates[:_NAMED_AT_MOST])
    more = f" and {len(candidates) - _NAMED_AT_MOST} more" if len(candidates) > _NAMED_AT_MOST else ""
    if is_ambiguous:
        return UsageError(f"run {ref!r}", f"could be {names}{more}", "give more of the id")
    remedy = f"there are {names}{more}" if names else "this state folder holds no run yet"
    return UsageError(f"run {ref!r}", "is not in the state folder", remedy)
