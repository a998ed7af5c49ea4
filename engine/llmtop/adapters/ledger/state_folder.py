"""The state folder: where runs and live engines are found.

runs/<run-id>/run.db, lock      one folder a run
engines/<pid>.json, <pid>.sock  one record a live engine process; the process holds a lock on it
cache.db                        shared by all processes
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_state_dir

from llmtop.adapters.ledger.connection import DATABASE_NAME
from llmtop.adapters.ledger.files import make_private_folder, refuse_network_file_system, unwritable
from llmtop.adapters.ledger.lock import owner_pid
from llmtop.adapters.ledger.reader import LedgerReader
from llmtop.adapters.ledger.records import RunRecord
from llmtop.errors import StateError

SOCKET_PATH_BYTES = 100
"""A Unix socket's path must be shorter (the kernel takes 108 with the final zero, other systems 104)."""

_SLUG_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """A live engine process and its control socket."""

    pid: int
    socket: str
    started_at: float
    version: str = ""


class EngineEntry:
    """An engine's record in the state folder, locked until `withdraw` or the end of the process."""

    def __init__(self, path: Path, fd: int) -> None:
        """Use `StateFolder.announce`."""
        self._path = path
        self._fd = fd

    def withdraw(self) -> None:
        """Take the record away. Safe to call twice."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


class StateFolder:
    """Paths, ids and locks below one state folder."""

    def __init__(self, root: Path) -> None:
        """Use `open`."""
        self.root = root
        self.runs_folder = root / "runs"
        self.engines_folder = root / "engines"

    def __repr__(self) -> str:
        return f"StateFolder({self.root})"

    @classmethod
    def open(cls, path: Path | None, environ: Mapping[str, str]) -> StateFolder:
        """Open the folder of `--home`, else of LLMTOP_HOME, else the platform's; make it when it is missing.

        Raises StateError when it cannot be made or lies on a network file system.
        """
        named = environ.get("LLMTOP_HOME")
        root = path or (Path(named) if named else Path(user_state_dir("llmtop", appauthor=False)))
        folder = cls(root.expanduser().absolute())
        for part in (folder.root, folder.runs_folder, folder.engines_folder):
            make_private_folder(part)
        refuse_network_file_system(folder.root)
        return folder

    def run_folder(self, run_id: str) -> Path:
        """Return the folder of a run."""
        return self.runs_folder / run_id

    def new_run_id(self, name: str) -> str:
        """Return an id that no run has yet: the name in plain letters and six hex digits."""
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain)[:_SLUG_CHARACTERS].strip("-") or "run"
        while True:
            run_id = f"{slug}-{secrets.token_hex(3)}"
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
        path = self.engines_folder / f"{pid}.sock"
        if len(os.fsencode(path)) < SOCKET_PATH_BYTES:
            return path
        mark = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]
        runtime = environ.get("XDG_RUNTIME_DIR")
        place = Path(runtime or tempfile.gettempdir()) / f"llmtop-{os.geteuid()}-{mark}"
        _make_own_folder(place)
        path = place / f"{pid}.sock"
        if len(os.fsencode(path)) >= SOCKET_PATH_BYTES:
            raise StateError(str(path), "is too long for a socket", "set XDG_RUNTIME_DIR to a short path")
        return path

    def announce(self, record: EngineRecord) -> EngineEntry:
        """Make this engine known; it appears in `engines()` until it withdraws or its process ends."""
        path = self.engines_folder / f"{record.pid}.json"
        draft = self.engines_folder / f".{record.pid}.{secrets.token_hex(4)}.tmp"
        try:
            fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # locked before it can be seen
            os.write(fd, json.dumps(asdict(record)).encode())
            draft.replace(path)
        except OSError as error:
            raise unwritable(path, error) from error
        return EngineEntry(path, fd)

    def engines(self) -> tuple[EngineRecord, ...]:
        """Return the live engines, oldest first; remove what dead ones left."""
        live = [record for path in self.engines_folder.glob("*.json") for record in _live(path)]
        return tuple(sorted(live, key=lambda record: (record.started_at, record.pid)))

    def engine_of(self, run_id: str) -> EngineRecord | None:
        """Return the live engine that owns the run and takes commands, None when there is none."""
        pid = self.owner_pid(run_id)
        if pid is None:
            return None
        return next((record for record in self.engines() if record.pid == pid), None)


def _live(path: Path) -> Iterator[EngineRecord]:
    """Yield the record when its process lives; else remove it and its socket."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return  # withdrawn just now, or planted
    try:
        data = os.read(fd, 1 << 16)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            with contextlib.suppress(ValueError, TypeError):
                yield EngineRecord(**json.loads(data))
            return
        path.unlink(missing_ok=True)
        with contextlib.suppress(ValueError, TypeError, OSError):
            socket = Path(EngineRecord(**json.loads(data)).socket)
            if stat.S_ISSOCK(socket.lstat().st_mode):
                socket.unlink()
    finally:
        os.close(fd)


def _make_own_folder(place: Path) -> None:
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
        place.chmod(0o700)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StateError(
            str(place), "is not a folder that only this user can enter", "remove it, or set XDG_RUNTIME_DIR"
        )
