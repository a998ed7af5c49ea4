from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_values import finishes, new_ledger, put_all, result

from llmtop.adapters.engines import EngineRecord
from llmtop.adapters.home import Home
from llmtop.adapters.ledger import Ledger, StateChange
from llmtop.errors import StateError, UsageError
from llmtop.model import Attempt


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty state folder."""
    return Home.open(tmp_path / "state", {})


def _add(home: Home, run_id: str, name: str, created_at: float, **changes: object) -> Ledger:
    return new_ledger(
        home.make_run_folder(run_id), 3, name=name, created_at=created_at, output_path=None, **changes
    )


@pytest.fixture
def three(home: Home) -> Home:
    """Three runs, two of one name."""
    _add(home, "gemma-aa11bb", "gemma", 1.0, fingerprint="f1").close()
    _add(home, "motions-3f9a2c", "motions", 2.0, fingerprint="f2").close()
    _add(home, "motions-3e0000", "motions", 3.0, fingerprint="f2").close()
    return home


def test_the_folder_is_the_option_else_the_variable_and_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        named = Home.open(None, {"LLMTOP_HOME": str(tmp_path / "a" / "b")})
        chosen = Home.open(tmp_path / "c", {"LLMTOP_HOME": str(tmp_path / "never")})
    finally:
        os.umask(before)

    assert named.folder == tmp_path / "a" / "b"
    assert chosen.folder == tmp_path / "c"
    assert not (tmp_path / "never").exists()
    for path in (tmp_path / "a", named.folder, named.runs_folder, named.engines_folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_state_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(StateError, match="state"):
        Home.open(tmp_path / "state", {})


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Motions 2026", "motions-2026"),
        ("../../x", "x"),
        ("日本", "run"),
        ("Één -- twee", "een-twee"),
        ("a" * 99, "a" * 40),
    ],
)
def test_a_run_id_is_plain_letters_and_six_hex_digits(home: Home, name: str, slug: str) -> None:
    run_id = home.new_run_id(name)

    assert run_id[:-7] == slug
    assert run_id[-7] == "-"
    assert int(run_id[-6:], 16) >= 0
    assert home.run_folder(run_id).parent == home.runs_folder


@pytest.mark.parametrize(
    ("ref", "run_id"),
    [
        ("gemma-aa11bb", "gemma-aa11bb"),
        ("motions", "motions-3e0000"),
        ("latest", "motions-3e0000"),
        ("motions-3f", "motions-3f9a2c"),
        ("g", "gemma-aa11bb"),
    ],
)
def test_a_run_is_found_by_what_a_user_calls_it(three: Home, ref: str, run_id: str) -> None:
    found = three.resolve(ref)

    assert (found.run_id, found.folder) == (run_id, three.run_folder(run_id))


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("motions-3", "could be motions-3e0000, motions-3f9a2c; give more of the id"),
        ("x", "is not in the state folder; there are motions-3e0000, motions-3f9a2c, gemma-aa11bb"),
        ("../gemma-aa11bb", "is not in the state folder"),
        ("", "is not in the state folder"),
    ],
)
def test_a_run_that_is_not_clear_is_refused_with_candidates(three: Home, ref: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        three.resolve(ref)

    assert said in str(refused.value)


def test_an_empty_state_folder_says_so(home: Home) -> None:
    with pytest.raises(UsageError, match="holds no run yet"):
        home.resolve("latest")


def test_runs_come_newest_first_and_a_broken_one_does_not_hide_the_others(three: Home) -> None:
    (three.run_folder("motions-3f9a2c") / "run.db").write_bytes(b"")
    (three.runs_folder / "half-made").mkdir()

    lines = three.runs()

    assert [(line.run_id, line.state, line.pid, line.counts.total) for line in lines] == [
        ("motions-3e0000", "stopped", None, 3),
        ("gemma-aa11bb", "stopped", None, 3),
    ]
    assert ["is damaged" in str(fault) for fault in three.faults] == [True]


async def test_a_line_shows_owner_and_counts_and_what_is_possibly_billed_does_not_blur_the_cost(
    home: Home,
) -> None:
    ledger = _add(home, "live-000001", "live", 1.0)
    await put_all(ledger, [Attempt(1, 2, 1, 1.0), *finishes(result(0)), StateChange(at=1.0, state="running")])
    owned = home.runs()[0]
    ledger.close()
    Ledger.open(home.run_folder("live-000001")).close()
    left = home.runs()[0]

    assert (owned.pid, owned.state, owned.counts.done) == (os.getpid(), "running", 1)
    assert (left.pid, left.state, left.is_cost_at_least) == (None, "stopped", False)


async def test_the_unfinished_run_of_a_fingerprint_is_found_and_a_finished_one_is_not(three: Home) -> None:
    assert three.find_finished("f2") is None
    ledger = Ledger.open(three.run_folder("motions-3e0000"))
    await put_all(ledger, [StateChange(at=9.0, state="finished", exit_code=0)])
    ledger.close()

    unfinished, finished = three.find_unfinished("f2"), three.find_finished("f2")

    assert unfinished is not None
    assert unfinished.id == "motions-3f9a2c"
    assert finished is not None
    assert (finished.id, finished.finished_at, finished.exit_code) == ("motions-3e0000", 9.0, 0)
    assert three.find_unfinished("f9") is None


def test_an_engine_is_known_while_it_lives(home: Home) -> None:
    record = EngineRecord(os.getpid(), str(home.socket_path(os.getpid(), {})), 5.0, "0.0.1")
    ledger = _add(home, "live-000001", "live", 1.0)

    entry = home.announce(record)
    seen = (home.engines(), home.engine_of("live-000001"))
    entry.withdraw()
    entry.withdraw()

    assert seen == ((record,), record)
    assert home.engine_of("live-000001") is None
    assert list(home.engines_folder.iterdir()) == []
    ledger.close()


_ANNOUNCES = """
import os, sys, time
from pathlib import Path
from llmtop.adapters.engines import EngineRecord
from llmtop.adapters.home import Home
home = Home.open(Path(sys.argv[1]), {})
entry = home.announce(EngineRecord(os.getpid(), str(home.socket_path(os.getpid(), {})), 1.0))
print("there", flush=True)
time.sleep(60)
"""


def test_what_a_killed_engine_left_is_removed(home: Home) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _ANNOUNCES, str(home.folder)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert child.stdout is not None
    child.stdout.readline()
    alive = home.engines()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(alive[0].socket)
    child.kill()
    child.communicate()

    assert [record.pid for record in alive] == [child.pid]
    assert home.engines() == ()
    assert list(home.engines_folder.iterdir()) == []
    listener.close()


def test_a_record_cannot_make_us_remove_a_file_that_is_no_socket(home: Home, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    record = {"pid": 1, "socket": str(victim), "started_at": 1.0, "version": ""}
    (home.engines_folder / "1.json").write_text(json.dumps(record))
    (home.engines_folder / "2.json").write_text("[not a record")

    assert home.engines() == ()
    assert victim.read_text() == "precious"


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Home]:
    """A state folder whose paths are too long for a socket."""
    yield Home.open(tmp_path / ("d" * 100), {})


def test_a_socket_stands_beside_its_record_where_the_path_is_short_enough(deep: Home, tmp_path: Path) -> None:
    runtime = Path("/tmp") if len(str(tmp_path)) > 60 else tmp_path
    path = deep.socket_path(4_000_000, {"XDG_RUNTIME_DIR": str(runtime)})

    try:
        assert len(os.fsencode(path)) < 100
        assert path.is_relative_to(runtime)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert Home(Path("/s")).socket_path(7, {}) == Path("/s/engines/7.sock")
    finally:
        path.parent.rmdir()


def test_a_folder_for_sockets_that_others_can_enter_is_refused(deep: Home, tmp_path: Path) -> None:
    place = deep.socket_path(7, {"XDG_RUNTIME_DIR": str(tmp_path)}).parent
    place.chmod(0o755)

    with pytest.raises(StateError, match="only this user can enter"):
        deep.socket_path(7, {"XDG_RUNTIME_DIR": str(tmp_path)})
