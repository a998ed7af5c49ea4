from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from ledger_values import Listener, finishes, new_ledger, put_all, result, run_record

from llmtop.adapters.ledger import Finish, Ledger, LedgerReader, connection, owner_pid, writer
from llmtop.adapters.ledger.files import refuse_network_file_system
from llmtop.errors import RunOwned, StateError


async def test_a_database_that_another_process_holds_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_WAIT_S", 0.01)
    monkeypatch.setattr(writer, "_TROUBLE_AFTER_S", 0.05)
    ledger = new_ledger(folder)
    listener = Listener()
    listener.start(ledger)
    shell = sqlite3.connect(folder / "run.db", isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")

    kept = asyncio.Event()
    ledger.put(Finish(result(0)), kept.set)
    said = await listener.troubles.get()
    is_kept_while_locked = kept.is_set()
    shell.execute("COMMIT")
    shell.close()
    await kept.wait()

    assert said is not None
    assert "another process has locked" in said
    assert not is_kept_while_locked
    assert await listener.troubles.get() is None
    ledger.close()


async def test_closing_gives_up_on_a_database_that_stays_locked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_WAIT_S", 0.01)
    monkeypatch.setattr("llmtop.adapters.ledger.ledger._CLOSE_PATIENCE_S", 0.1)
    ledger = new_ledger(folder)
    Listener().start(ledger)
    shell = sqlite3.connect(folder / "run.db", isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    ledger.put(Finish(result(0)))

    with pytest.raises(StateError, match="is locked by another process"):
        ledger.close()

    shell.close()
    assert owner_pid(folder) is None


async def test_a_full_disk_is_told_once_and_nothing_shown_is_lost(folder: Path) -> None:
    ledger = new_ledger(folder, items=3000)
    listener = Listener()
    listener.start(ledger)
    ledger.put(Finish(result(0)))
    await ledger.flush()
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    kept: list[int] = []
    for seq in range(1, 3000):
        ledger.put(Finish(result(seq)), lambda seq=seq: kept.append(seq))  # type: ignore[misc]
    failure = await listener.failures.get()
    ledger.put(Finish(result(1)), lambda: kept.append(-1))

    assert isinstance(failure, StateError)
    assert "the disk is full" in str(failure)
    assert ledger.failure is failure
    with pytest.raises(StateError, match="the disk is full"):
        await ledger.flush()
    with pytest.raises(StateError, match="the disk is full"):
        ledger.close()
    assert listener.failures.empty()
    again = Ledger.open(folder)
    assert again.counts().done == 1 + len(kept)
    again.close()


_FILLS_A_DISK = """
import asyncio, resource, sys
from pathlib import Path
from ledger_values import finishes, new_ledger, result, Listener

async def main():
    ledger = new_ledger(Path(sys.argv[1]), items=2000)
    listener = Listener()
    listener.start(ledger)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    for seq in range(2000):
        ledger.put(finishes(result(seq))[0], lambda seq=seq: print("kept", seq))
    failure = await asyncio.wait_for(listener.failures.get(), 20)
    await asyncio.sleep(0)
    print("failed", failure.exit_code, failure)

asyncio.run(main())
"""


def test_files_that_cannot_grow_end_with_exit_code_4_and_a_run_that_can_go_on(folder: Path) -> None:
    found = _run_child(_FILLS_A_DISK, folder)

    words = [line.split() for line in found.stdout.splitlines()]
    kept = {int(word[1]) for word in words if word[0] == "kept"}
    assert [word[1] for word in words if word[0] == "failed"] == ["4"]
    ledger = Ledger.open(folder)
    pending = set(ledger.pending(-1, 5000))
    assert kept.isdisjoint(pending)
    assert (folder.parent / "out.jsonl").read_bytes().count(b"\n") == 2000 - len(pending)
    ledger.close()


_HOLDS_A_RUN = """
import sys, time
from pathlib import Path
from llmtop.adapters.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]))
print("open", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_told_who_owns_the_run_until_the_owner_dies(folder: Path) -> None:
    new_ledger(folder).close()
    owner = subprocess.Popen(
        [sys.executable, "-c", _HOLDS_A_RUN, str(folder)], stdout=subprocess.PIPE, env=_child_environ()
    )
    assert owner.stdout is not None
    owner.stdout.readline()

    with pytest.raises(RunOwned) as refused:
        Ledger.open(folder)
    seen = owner_pid(folder)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    assert refused.value.pid == seen == owner.pid
    assert owner_pid(folder) is None
    Ledger.open(folder).close()


def _damage_nothing_left(path: Path) -> None:
    path.write_bytes(b"")


def _damage_no_database(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)


def _damage_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    path.write_bytes(data)


def _damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 3 * 4096])


def _damage_no_tables(path: Path) -> None:
    path.unlink()
    plain = sqlite3.connect(path)
    plain.execute("CREATE TABLE other (x)")
    plain.close()


@pytest.mark.parametrize(
    "damage",
    [_damage_nothing_left, _damage_no_database, _damage_pages, _damage_cut, _damage_no_tables],
)
async def test_a_damaged_database_is_named_and_nothing_starts_from_zero(folder: Path, damage: object) -> None:
    ledger = new_ledger(folder, items=500)
    await put_all(ledger, finishes(*map(result, range(500))))
    ledger.close()
    assert callable(damage)
    damage(folder / "run.db")

    with pytest.raises(StateError, match=r"run\.db: is damaged") as refused:
        Ledger.open(folder)

    assert refused.value.exit_code == 4
    assert owner_pid(folder) is None
    assert (folder.parent / "out.jsonl").read_bytes().count(b"\n") == 500


def test_a_ledger_of_a_newer_version_is_refused_for_reading_and_writing(folder: Path) -> None:
    new_ledger(folder).close()
    plain = sqlite3.connect(folder / "run.db")
    plain.execute("PRAGMA user_version = 99")
    plain.close()

    for use in (Ledger.open, LedgerReader):
        with pytest.raises(StateError, match="was written by a newer llmtop"):
            use(folder)


def test_a_ledger_that_is_missing_is_an_error_and_is_not_made(folder: Path) -> None:
    folder.mkdir(parents=True)

    with pytest.raises(StateError, match="cannot be read"):
        Ledger.open(folder)

    assert not (folder / "run.db").exists()


def test_a_crash_while_a_ledger_is_made_leaves_none(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "run.db.new").write_bytes(b"half")

    new_ledger(folder).close()

    assert sorted(path.name for path in folder.iterdir()) == ["lock", "run.db"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "run"

    with pytest.raises(StateError, match="cannot be written") as refused:
        Ledger.create(folder, run_record(folder))

    assert refused.value.exit_code == 4


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs", "fuse.rclone"])
def test_a_network_file_system_is_refused_with_a_remedy(tmp_path: Path, kind: str) -> None:
    mountinfo = tmp_path / "mountinfo"
    place = str(tmp_path / "with space").replace(" ", "\\040")
    mountinfo.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"36 22 0:40 / {place} rw,relatime shared:1 - {kind} host:/x rw\n"
    )
    (tmp_path / "with space" / "home").mkdir(parents=True)

    with pytest.raises(StateError, match="--home or LLMTOP_HOME"):
        refuse_network_file_system(tmp_path / "with space" / "home", mountinfo)
    refuse_network_file_system(tmp_path, mountinfo)


@pytest.mark.parametrize("kind", ["ext4", "overlay", "fuse.fuse-overlayfs", "tmpfs"])
def test_a_local_file_system_is_taken(tmp_path: Path, kind: str) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"22 1 8:1 / / rw - {kind} /dev/sda1 rw\n")

    refuse_network_file_system(tmp_path, mountinfo)
    refuse_network_file_system(tmp_path, tmp_path / "no such file")


def _child_environ() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _run_child(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=_child_environ(),
    )
