"""The limit that kills: every tree of the table, hybrid hosts, nested groups, and a real group."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmtop.adapters.probes.cgroup import find_hierarchy
from llmtop.adapters.probes.memory import MemoryProbe

GIB = 1024**3
UNLIMITED_V1 = 9223372036854771712
V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"


class Tree:
    """A root folder with /proc and /sys/fs/cgroup, built by hand. Sizes are in GiB."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sys = root / "sys/fs/cgroup"
        (root / "proc/self").mkdir(parents=True)
        self.sys.mkdir(parents=True)

    def proc(self, cgroup: str, *mounts: str) -> Tree:
        (self.root / "proc/self/cgroup").write_text(cgroup)
        (self.root / "proc/self/mountinfo").write_text("\n".join(mounts) + "\n")
        return self

    def v2(self, path: str, limit: object, current: float, inactive: float = 0, high: object = "max") -> Tree:
        self._write(
            self.sys / path,
            {"memory.max": _size(limit), "memory.high": _size(high), "memory.current": _size(current)},
            f"anon 1\ninactive_file {_size(inactive)}\nactive_file 7\n",
        )
        return self

    def v1(self, path: str, limit: object, usage: float, inactive: float = 0) -> Tree:
        self._write(
            self.sys / "memory" / path,
            {"memory.limit_in_bytes": _size(limit), "memory.usage_in_bytes": _size(usage)},
            f"inactive_file 5\ntotal_inactive_file {_size(inactive)}\n",
        )
        return self

    def machine(self, total: float, free: float, available: float) -> Tree:
        lines = {"MemTotal": total, "MemFree": free, "MemAvailable": available}
        text = "".join(f"{name}:   {int(gib * GIB / 1024)} kB\n" for name, gib in lines.items())
        (self.root / "proc/meminfo").write_text(text)
        return self

    @staticmethod
    def _write(folder: Path, values: dict[str, str], stat: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            (folder / name).write_text(value + "\n")
        (folder / "memory.stat").write_text(stat)


def _size(value: object) -> str:
    return str(int(value * GIB)) if isinstance(value, int | float) and value < 2**40 else str(value)


def v1_mount(root: str = "/") -> str:
    return f"35 23 0:32 {root} /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_version_2_at_the_root(tree: Tree) -> None:
    tree.proc("0::/\n", V2_MOUNT).v2("", 4, 3, 1)

    reading = MemoryProbe(tree.root).read()

    assert (reading.limit_bytes, reading.limit_name) == (4 * GIB, "memory.max")
    assert (reading.working_set_bytes, reading.usage_bytes) == (2 * GIB, 3 * GIB)
    assert reading.source == "cgroup v2"


def test_a_limit_on_a_group_between_is_found_and_use_is_read_there(tree: Tree) -> None:
    tree.proc("0::/user.slice/user-1000.slice/run.scope\n", V2_MOUNT)
    tree.v2("user.slice/user-1000.slice/run.scope", "max", 1)
    tree.v2("user.slice/user-1000.slice", 8, 6, 1)
    tree.v2("user.slice", "max", 9)

    reading = MemoryProbe(tree.root).read()

    assert (reading.limit_bytes, reading.working_set_bytes, reading.usage_bytes) == (
        8 * GIB,
        5 * GIB,
        6 * GIB,
    )
    assert reading.group.endswith("user-1000.slice")


def test_version_1_in_a_container_whose_mount_root_is_its_own_group(tree: Tree) -> None:
    tree.proc("5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n", v1_mount("/docker/abc"))
    tree.v1("", 2, 1, 0.5)

    reading = MemoryProbe(tree.root).read()

    assert (reading.limit_bytes, reading.working_set_bytes) == (2 * GIB, GIB // 2)
    assert (reading.source, reading.limit_name) == ("cgroup v1", "memory.limit_in_bytes")


def test_a_hybrid_host_is_read_on_version_1_where_the_memory_is(tree: Tree) -> None:
    hybrid = "41 23 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
    tree.proc("4:memory:/p/x\n0::/\n", hybrid, v1_mount())
    (tree.sys / "unified").mkdir()
    tree.v1("p/x", UNLIMITED_V1, 1).v1("p", 6, 3, 1).v1("", UNLIMITED_V1, 20)

    reading = MemoryProbe(tree.root).read()

    assert (reading.limit_bytes, reading.working_set_bytes) == (6 * GIB, 2 * GIB)
    assert reading.source == "cgroup v1"


def test_the_high_mark_is_a_limit_too(tree: Tree) -> None:
    tree.proc("0::/\n", V2_MOUNT).v2("", 4, 3, 1, high=3)

    reading = MemoryProbe(tree.root).read()

    assert (reading.limit_bytes, reading.limit_name) == (3 * GIB, "memory.high")


def test_a_path_that_leads_out_of_the_mount_falls_back_to_the_mount(tree: Tree) -> None:
    tree.proc("0::/../other\n", V2_MOUNT).v2("", 4, 3, 1)
    (tree.sys.parent / "other").mkdir()

    assert MemoryProbe(tree.root).read().limit_bytes == 4 * GIB


def test_a_path_that_does_not_exist_falls_back_to_the_mount(tree: Tree) -> None:
    tree.proc("0::/gone/away\n", V2_MOUNT).v2("", 4, 3, 1)

    assert MemoryProbe(tree.root).read().limit_bytes == 4 * GIB


def test_without_any_file_there_is_nothing_and_no_exception(tmp_path: Path) -> None:
    reading = MemoryProbe(tmp_path).read()

    assert (reading.source, reading.limit_bytes, reading.working_set_bytes) == ("unknown", None, None)


def test_of_several_limits_the_fullest_counts_and_not_the_smallest(tree: Tree) -> None:
    tree.proc("0::/a/b\n", V2_MOUNT).v2("a/b", 2, 0.5).v2("a", 8, 7)

    assert MemoryProbe(tree.root).read().limit_bytes == 8 * GIB


def test_without_a_limit_the_machine_stands_for_it(tree: Tree) -> None:
    tree.proc("0::/\n", V2_MOUNT).v2("", "max", 3).machine(16, 2, 10)

    reading = MemoryProbe(tree.root).read()

    assert (reading.source, reading.limit_bytes) == ("machine", 16 * GIB)
    assert (reading.usage_bytes, reading.working_set_bytes) == (14 * GIB, 6 * GIB)


def test_a_limit_above_the_machines_memory_is_none(tree: Tree) -> None:
    tree.proc("0::/\n", V2_MOUNT).v2("", 64, 3).machine(16, 2, 10)

    assert MemoryProbe(tree.root).read().source == "machine"


def test_a_limit_of_all_the_machines_memory_is_one(tree: Tree) -> None:
    tree.proc("0::/\n", V2_MOUNT).v2("", 16, 3).machine(16, 2, 10)

    assert MemoryProbe(tree.root).read().source == "cgroup v2"


def test_the_working_set_is_never_negative(tree: Tree) -> None:
    tree.proc("0::/\n", V2_MOUNT).v2("", 4, 1, 2)

    assert MemoryProbe(tree.root).read().working_set_bytes == 0


@pytest.mark.parametrize("text", ["", "garbage", "-5", "12 34", "\x00", "1e9"])
def test_a_limit_that_is_no_number_is_none(tree: Tree, text: str) -> None:
    tree.proc("0::/\n", V2_MOUNT).v2("", 4, 3)
    (tree.sys / "memory.max").write_text(text)

    assert MemoryProbe(tree.root).read().limit_bytes is None


@pytest.mark.parametrize("cgroup", ["", "garbage\n", "0::\n", "::::\n", "4:memory:/x\n"])
@pytest.mark.parametrize("mount", ["", "too short", "30 23 0:26 / /nowhere rw - cgroup2", "- - -"])
def test_broken_proc_files_are_no_exception(tree: Tree, cgroup: str, mount: str) -> None:
    tree.proc(cgroup, mount)

    assert MemoryProbe(tree.root).read().source == "unknown"


def test_a_mount_point_with_a_space_is_found(tree: Tree) -> None:
    tree.proc("0::/\n", r"30 23 0:26 / /sys/fs/my\040groups rw - cgroup2 cgroup2 rw")
    tree.sys = tree.root / "sys/fs/my groups"
    tree.v2("", 4, 3)

    assert MemoryProbe(tree.root).read().limit_bytes == 4 * GIB


def test_of_several_mounts_the_one_over_our_group_is_taken(tree: Tree) -> None:
    other = "36 23 0:32 /docker/zzz /sys/fs/elsewhere rw - cgroup cgroup rw,memory"
    tree.proc("4:memory:/docker/abc\n", other, v1_mount("/docker/abc")).v1("", 2, 1)
    (tree.root / "sys/fs/elsewhere").mkdir()

    assert MemoryProbe(tree.root).read().limit_bytes == 2 * GIB


def test_pressure_is_that_of_the_group_with_the_limit_else_the_machines(tree: Tree) -> None:
    tree.proc("0::/a\n", V2_MOUNT).v2("a", 4, 3)
    (tree.root / "proc/pressure").mkdir()
    (tree.root / "proc/pressure/memory").write_text("some avg10=1.50 avg60=0.00 avg300=0.00 total=3\n")
    assert MemoryProbe(tree.root).read().pressure_some_pct == 1.5

    (tree.sys / "a/memory.pressure").write_text(
        "some avg10=12.25 avg60=1.00 avg300=0.20 total=9\nfull avg10=3.00\n"
    )

    assert MemoryProbe(tree.root).read().pressure_some_pct == 12.25


def test_a_limit_changed_live_is_seen_at_once_and_a_moved_process_within_a_minute(tree: Tree) -> None:
    now = 0.0
    tree.proc("0::/a\n", V2_MOUNT).v2("a", 4, 3).v2("b", 1, 0.5)
    probe = MemoryProbe(tree.root, clock=lambda: now)
    assert probe.read().limit_bytes == 4 * GIB

    tree.v2("a", 5, 3)
    assert probe.read().limit_bytes == 5 * GIB
    (tree.root / "proc/self/cgroup").write_text("0::/b\n")
    now = 61.0

    assert probe.read().limit_bytes == GIB


def test_a_group_that_vanishes_while_it_is_read_is_no_exception(tree: Tree) -> None:
    tree.proc("0::/a\n", V2_MOUNT).v2("a", 4, 3)
    probe = MemoryProbe(tree.root)
    probe.read()

    (tree.sys / "a/memory.current").unlink()

    assert probe.read().limit_bytes is None


@pytest.fixture
def real_group() -> Iterator[tuple[Path, str]]:
    """A memory group with a limit of 256 MiB, beside ours; it is removed afterwards."""
    hierarchy = find_hierarchy(Path("/"), "self", "memory")
    if hierarchy is None:
        pytest.skip("there is no memory control group here")
    group = hierarchy.folders[-1] / f"llmtop-test-{os.getpid()}"
    limit = "memory.max" if hierarchy.version == 2 else "memory.limit_in_bytes"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        if not (group / limit).exists():
            pytest.skip("the memory controller is not given to groups here")
        (group / limit).write_text(str(256 * 1024**2))
        yield group, limit
    finally:
        group.rmdir()


def test_a_real_group_with_a_limit_is_read_as_the_kernel_sees_it(real_group: tuple[Path, str]) -> None:
    group, limit = real_group
    held = "import sys; held = b'x' * (64 << 20); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", f"input(); {held}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            (group / "cgroup.procs").write_text(str(child.pid))
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "ready\n"
            reading = MemoryProbe(pid=str(child.pid)).read()
        finally:
            child.kill()
            child.wait()

    assert (reading.limit_bytes, reading.limit_name) == (256 * 1024**2, limit)
    assert Path(reading.group) == group
    assert reading.working_set_bytes is not None
    assert 64 * 1024**2 <= reading.working_set_bytes <= 160 * 1024**2
