"""Processes and machine: our own tree, other Python processes of this user, and who talks to an API."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmtop.adapters.probes.cgroup import Hierarchy
from llmtop.adapters.probes.processes import (
    OtherProcesses,
    ProcessProbe,
    _allowed_cores,
    _descendants,
    _summed,
)
from llmtop.adapters.probes.sockets import Remote, Talk, find_talkers

WAIT = "import sys; print('ready', flush=True); sys.stdin.read()"
TALK = (
    "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); "
    "print('ready', flush=True); sys.stdin.read()"
)


@contextlib.contextmanager
def python(*words: str) -> Iterator[int]:
    """A Python process that lives until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child.pid
        finally:
            child.kill()


def test_the_engine_itself_is_measured() -> None:
    reading = ProcessProbe().read()

    assert reading.engine_pid == os.getpid()
    assert reading.engine_rss_bytes is not None
    assert reading.engine_rss_bytes > 5 * 1024**2
    assert reading.cores >= 1
    assert reading.engine_cpu_pct is None, "there is nothing to compare the first reading with"


def test_cpu_is_known_from_the_second_reading_on() -> None:
    probe = ProcessProbe()
    probe.read()
    sum(number * number for number in range(300_000))

    reading = probe.read()

    assert reading.engine_cpu_pct is not None
    assert reading.engine_cpu_pct > 10
    assert reading.cpu_pct is None or 0 <= reading.cpu_pct <= 100


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_open_files_are_counted(tmp_path: Path) -> None:
    probe = ProcessProbe()
    before = probe.read().open_files
    assert before is not None

    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        during = probe.read().open_files

    assert during == before + 2


def test_a_child_is_in_our_own_tree_and_not_among_the_others() -> None:
    with python(WAIT) as pid:
        others = ProcessProbe().scan()

        assert others.children >= 1
        assert pid not in others.pids


@pytest.mark.skipif(not hasattr(os, "fork"), reason="an orphan is made with fork")
def test_a_python_process_that_is_not_ours_is_counted_with_its_memory() -> None:
    orphan = "import os, sys; os.fork() and os._exit(0); print(os.getpid(), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", orphan], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        child.wait()
        probe = ProcessProbe()
        others = probe.scan()

    assert pid in others.pids or others.count > len(others.pids)
    assert others.rss_bytes >= others.largest_rss_bytes > 1024**2
    assert probe.read().others == others


def test_the_scan_looks_again_only_after_five_seconds() -> None:
    now = 100.0
    probe = ProcessProbe(clock=lambda: now)
    first = probe.scan()
    with python(WAIT):
        now = 104.9
        assert probe.scan() is first
        now = 105.0
        assert probe.scan().children == first.children + 1


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="connections are read from /proc")
def test_a_process_connected_where_we_are_connected_uses_the_same_api() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with python(TALK, port) as ours, python(TALK, port) as theirs, python(WAIT) as silent:
            talkers = find_talkers(ours, [theirs, silent])

    assert talkers == {theirs: Talk(is_api=True, is_same=True)}


def tcp_table(proc: Path, rows: dict[str, str]) -> None:
    """`rows`: inode -> remote address and port, all established."""
    (proc / "net").mkdir(parents=True, exist_ok=True)
    lines = ["  sl  local_address rem_address   st ..."]
    for inode, remote in rows.items():
        lines.append(f"0: 0100007F:9C40 {remote} 01 00000000:00000000 00:00000000 00000000 0 0 {inode} 1")
    (proc / "net/tcp").write_text("\n".join(lines) + "\n")


def process(proc: Path, pid: int, *inodes: str) -> None:
    (proc / str(pid) / "fd").mkdir(parents=True)
    for number, inode in enumerate(inodes):
        (proc / str(pid) / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


def test_port_443_is_api_work_and_another_port_is_not(tmp_path: Path) -> None:
    tcp_table(tmp_path, {"1": "0A0B0C0D:01BB", "2": "0A0B0C0D:1538"})
    process(tmp_path, 7, "1")
    process(tmp_path, 8, "2")

    assert find_talkers(1, [7, 8, 9], tmp_path) == {7: Talk(is_api=True, is_same=False)}


def test_without_a_table_of_connections_nothing_is_known(tmp_path: Path) -> None:
    assert find_talkers(1, [7], tmp_path) is None


def test_a_socket_that_is_not_established_does_not_count(tmp_path: Path) -> None:
    tcp_table(tmp_path, {"1": "0A0B0C0D:01BB"})
    table = tmp_path / "net/tcp"
    table.write_text(table.read_text().replace(" 01 ", " 06 "))
    process(tmp_path, 7, "1")

    assert find_talkers(1, [7], tmp_path) == {}
    assert Remote("0A0B0C0D", 443).port == 443


def test_the_largest_processes_come_first_and_twenty_at_most() -> None:
    memory = {pid: pid * 1000 for pid in range(1, 41)}

    others = _summed(memory, {3: Talk(True, True), 5: Talk(True, False)}, children=2)

    assert others.pids == tuple(range(40, 20, -1))
    assert (others.count, others.rss_bytes, others.largest_rss_bytes) == (40, 820_000, 40_000)
    assert (others.api_count, others.api_rss_bytes, others.same_count, others.same_rss_bytes) == (
        2,
        8000,
        1,
        3000,
    )
    assert others.children == 2
    assert _summed(memory, None, 0).api_count is None
    assert _summed({}, {}, 0) == OtherProcesses(api_count=0)


def test_descendants_are_found_whatever_the_order_and_a_circle_ends() -> None:
    assert _descendants(1, {4: 3, 3: 2, 2: 1, 9: 8, 8: 9}) == {2, 3, 4}
    assert _descendants(8, {9: 8, 8: 9}) == {9}


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "100000"}, 1),
    ],
)
def test_a_cpu_quota_lowers_the_cores(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")

    assert _allowed_cores(Hierarchy(2, (tmp_path,))) == cores


@pytest.mark.parametrize("files", [{"cpu.max": "max 100000"}, {"cpu.cfs_quota_us": "-1"}, {}])
def test_no_quota_leaves_the_cores_of_the_machine(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")

    assert _allowed_cores(Hierarchy(2, (tmp_path,))) == _allowed_cores(None)


def test_a_root_without_files_is_no_exception(tmp_path: Path) -> None:
    reading = ProcessProbe(tmp_path).read()

    assert (reading.cgroup_processes, reading.open_files) == (None, None)


def test_the_processes_of_our_own_group_are_counted(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "proc/self/mountinfo").write_text("30 23 0:26 / /groups rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups/cgroup.procs").write_text("1\n17\n23\n")

    assert ProcessProbe(tmp_path).read().cgroup_processes == 3


@pytest.mark.skipif(shutil.which("sleep") is None, reason="needs a program that is not Python")
def test_what_is_not_python_is_not_counted() -> None:
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as child:
        try:
            assert child.pid not in ProcessProbe().scan().pids
        finally:
            child.kill()
