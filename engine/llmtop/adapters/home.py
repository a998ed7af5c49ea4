"""The state folder: where runs and live engines are found.

runs/<run-id>/run.db, lock      one folder a run
engines/<pid>.json, <pid>.sock  one record a live engine process
cache.db                        shared by all processes
"""

from __future__ import annotations

import re
import secrets
import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_dir

from llmtop.adapters.engines import EngineEntry, EngineRecord, announce, live_engines, socket_path
from llmtop.adapters.ledger import LedgerReader, RunRecord, Totals, owner_pid
from llmtop.adapters.ledger.connection import DATABASE_NAME
from llmtop.adapters.ledger.files import make_private_folder, refuse_network_file_system
from llmtop.adapters.ledger.lock import RunLock
from llmtop.errors import RunOwned, StateError, UsageError
from llmtop.snapshot import RunLine, RunState

_SLUG_CHARACTERS = 40
_AT_REST: tuple[RunState, ...] = ("finished", "cancelled", "failed", "paused", "budget", "refused", "stopped")
_NAMED_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class RunRef:
    """A run that a user named."""

    run_id: str
    name: str
    folder: Path


class Home:
    """One state folder: its runs by the words that a user has for them, and its live engines."""

    def __init__(self, folder: Path) -> None:
        """Use `open`."""
        self.folder = folder
        self.runs_folder = folder / "runs"
        self.engines_folder = folder / "engines"
        self.faults: tuple[StateError, ...] = ()
        """Ledgers that the last `runs` could not read."""

    def __repr__(self) -> str:
        return f"Home({self.folder})"

    @classmethod
    def open(cls, path: Path | None, environ: Mapping[str, str]) -> Home:
        """Open the folder of `--home`, else of LLMTOP_HOME, else the platform's; make it when it is missing.

        Raises StateError when it cannot be made or lies on a network file system.
        """
        named = environ.get("LLMTOP_HOME")
        root = path or (Path(named) if named else Path(user_state_dir("llmtop", appauthor=False)))
        home = cls(root.expanduser().absolute())
        for part in (home.folder, home.runs_folder, home.engines_folder):
            make_private_folder(part)
        refuse_network_file_system(home.folder)
        return home

    def run_folder(self, run_id: str) -> Path:
        """Return the folder of a run."""
        return self.runs_folder / run_id

    def make_run_folder(self, run_id: str) -> Path:
        """Make the folder of a new run, 0700, and return it. Raises StateError."""
        folder = self.run_folder(run_id)
        make_private_folder(folder)
        return folder

    def slug(self, name: str) -> str:
        """Return a run's name in plain letters: what its id begins with."""
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        return re.sub(r"[^a-z0-9]+", "-", plain)[:_SLUG_CHARACTERS].strip("-") or "run"

    def new_run_id(self, name: str) -> str:
        """Return an id that no run has yet: the name in plain letters and six hex digits."""
        while True:
            run_id = f"{self.slug(name)}-{secrets.token_hex(3)}"
            if not self.run_folder(run_id).exists():
                return run_id

    def run_ids(self) -> list[str]:
        """Return the ids of all runs, in no order. A folder whose ledger was never finished is none."""
        return [entry.name for entry in self.runs_folder.iterdir() if (entry / DATABASE_NAME).exists()]

    def records(self, faults: list[StateError] | None = None) -> list[RunRecord]:
        """Return the records of all runs, newest first. Ledgers that cannot be read are put into `faults`."""
        records: list[RunRecord] = []
        for run_id in self.run_ids():
            try:
                with LedgerReader(self.run_folder(run_id)) as reader:
                    records.append(reader.record())
            except StateError as error:
                if faults is not None:
                    faults.append(error)
        return sorted(records, key=lambda record: (record.created_at, record.id), reverse=True)

    def drop_unread(self, run_id: str) -> bool:
        """Remove a run whose process died while it read the input: of that nothing was sent.

        Returns False, and does nothing, where somebody owns it or it is a run after all.
        """
        folder = self.run_folder(run_id)
        try:
            lock = RunLock(folder)
        except RunOwned:
            return False
        try:
            with LedgerReader(folder) as reader:
                is_unread = not reader.record().fingerprint
            if is_unread:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            lock.release()
        return is_unread

    def find_unfinished(self, fingerprint: str) -> RunRecord | None:
        """Return the newest run of this fingerprint that is neither finished nor cancelled."""
        alike = (record for record in self.records() if record.fingerprint == fingerprint)
        return next((record for record in alike if record.state not in ("finished", "cancelled")), None)

    def find_finished(self, fingerprint: str) -> RunRecord | None:
        """Return the newest run of this fingerprint that is finished."""
        alike = (record for record in self.records() if record.fingerprint == fingerprint)
        return next((record for record in alike if record.state == "finished"), None)

    def newest_named(self, name: str) -> RunRecord | None:
        """Return the newest run of this name."""
        return next((record for record in self.records() if record.name == name), None)

    def owner_pid(self, run_id: str) -> int | None:
        """Return the pid of the process that owns the run, None when nobody does."""
        return owner_pid(self.run_folder(run_id))

    def socket_path(self, pid: int, environ: Mapping[str, str]) -> Path:
        """Return where this engine's control socket goes, in a folder that only this user can enter."""
        return socket_path(self.engines_folder, pid, environ)

    def announce(self, record: EngineRecord) -> EngineEntry:
        """Make this engine known; it appears in `engines()` until it withdraws or its process ends."""
        return announce(self.engines_folder, record)

    def engines(self) -> tuple[EngineRecord, ...]:
        """Return the live engines, oldest first; remove what dead ones left."""
        return live_engines(self.engines_folder)

    def engine_of(self, run_id: str) -> EngineRecord | None:
        """Return the live engine that owns the run and takes commands, None when there is none."""
        pid = self.owner_pid(run_id)
        if pid is None:
            return None
        return next((record for record in self.engines() if record.pid == pid), None)

    def runs(self) -> tuple[RunLine, ...]:
        """Return every run, newest first. What cannot be read is in `faults`."""
        faults: list[StateError] = []
        lines: list[RunLine] = []
        for run_id in self.run_ids():
            try:
                with LedgerReader(self.run_folder(run_id)) as reader:
                    lines.append(_line(reader.record(), reader.totals(), self.owner_pid(run_id)))
            except StateError as error:
                faults.append(error)
        self.faults = tuple(faults)
        return tuple(sorted(lines, key=lambda line: (line.created_at, line.run_id), reverse=True))

    def resolve(self, ref: str) -> RunRef:
        """Return the run of this id, name (its newest), unique prefix of an id, or `latest`.

        Raises UsageError that names what could have been meant.
        """
        run_ids = self.run_ids()
        if ref in run_ids:
            with LedgerReader(self.run_folder(ref)) as reader:
                return self._ref(reader.record())
        records = self.records()
        if ref == "latest" and records:
            return self._ref(records[0])
        named = next((record for record in records if record.name == ref), None)
        if named is not None:
            return self._ref(named)
        begun = [record for record in records if ref and record.id.startswith(ref)]
        if len(begun) == 1:
            return self._ref(begun[0])
        raise _no_such_run(ref, begun or records, is_ambiguous=bool(begun))

    def _ref(self, record: RunRecord) -> RunRef:
        return RunRef(record.id, record.name, self.run_folder(record.id))


def state_at_rest(record: RunRecord, pid: int | None) -> RunState:
    """Return the state to show: a run whose process died says `running` in its ledger, and is stopped."""
    if pid is not None or record.state in _AT_REST:
        return record.state
    return "paused" if record.is_paused else "stopped"


def is_lower_bound(totals: Totals) -> bool:
    """Whether more was spent than is known. What is possibly billed is told apart, and not counted here."""
    return totals.unknown_cost > 0 or totals.estimated > 0


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
