"""A ledger or an output that cannot be written or read: sending stops, exit 4, nothing accepted is lost."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

import pytest
from whole_runs import Desk, each_once, ended, simulator, until


async def test_a_disk_that_fills_up_stops_the_sending_with_4_and_the_run_goes_on_later(desk: Desk) -> None:
    ids = desk.items(400)
    async with simulator(latency_s=0.01, output_tokens=120) as server:
        config = desk.config(server.base_url, execution={"concurrency": 8})
        process = await desk.started("run", config)
        await until(lambda: server.books.served >= 20)
        size = max(path.stat().st_size for path in desk.home_folder.glob("runs/*/*"))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size + 1, size + 1))

        said = await ended(process)

        assert said.code == 4, said.out + said.err
        assert server.books.served < len(ids)
        accepted = desk.lines()
        assert server.books.received - len(accepted) <= 2 * 8
        assert await desk.goes_on(config) == 0
        assert desk.written_ids() == each_once(ids)
        final = desk.lines()
        assert {each: final[each] for each in accepted} == accepted


async def test_a_damaged_ledger_is_named_and_nothing_starts_from_zero_in_silence(desk: Desk) -> None:
    desk.items(5)
    async with simulator() as server:
        config = desk.config(server.base_url)
        await desk.llmtop("run", config)
        (ledger,) = desk.home_folder.glob("runs/*/run.db")
        ledger.write_bytes(b"not a database, whatever it says" * 200)

        said = await desk.llmtop("run", config)

        assert said.code == 4
        assert "run.db" in said.err and "damaged" in said.err
        assert server.books.received == 5
        assert (await desk.llmtop("run", config, "--fresh")).code == 0


@pytest.mark.parametrize("kind", ["folder", "link", "missing_folder", "read_only"])
async def test_an_output_that_cannot_be_written_is_refused_before_anything_is_sent(
    desk: Desk, kind: str
) -> None:
    desk.items(3)
    victim = desk.folder / "victim"
    victim.write_text("precious")
    path = desk.output
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(victim)
    elif kind == "missing_folder":
        path = desk.folder / "no" / "such" / "out.jsonl"
    else:
        path = Path("/proc/self/no-such-file")
    async with simulator() as server:
        said = await desk.llmtop("run", desk.config(server.base_url), "-o", path)

        assert said.code in (2, 4), said.err
        assert path.name in said.err or "output.path: is a folder" in said.err
        assert server.books.received == 0
        assert victim.read_text() == "precious"
        assert desk.home.run_ids() == []


async def test_an_input_that_changes_under_a_run_is_named_and_mixes_nothing_up(desk: Desk) -> None:
    desk.items(20)
    async with simulator(latency_s=0.1) as server:
        config = desk.config(server.base_url, execution={"concurrency": 1})
        process = await desk.started("run", config)
        await until(lambda: server.books.served >= 2)
        process.send_signal(signal.SIGTERM)
        await ended(process)
        desk.items(20, text="another rain")
        server.change({"latency_s": 0.0})

        said = await desk.llmtop("run", config)

        assert said.code == 0
        assert "input content changed since" in said.err
        assert len(desk.home.run_ids()) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
async def test_everything_a_run_leaves_is_private_whatever_the_umask(desk: Desk) -> None:
    desk.items(30)
    old = os.umask(0)
    try:
        async with simulator(latency_s=0.2) as server:
            process = await desk.started("run", desk.config(server.base_url))
            await until(lambda: server.books.served >= 1)
            os.umask(old)
            found = [desk.home_folder, *desk.home_folder.rglob("*"), desk.output]
            loose = [path for path in found if path.lstat().st_mode & 0o077]
            sockets = [path for path in found if path.is_socket()]
            server.change({"latency_s": 0.0})
            assert (await ended(process)).code == 0
    finally:
        os.umask(old)

    assert loose == []
    assert len(sockets) == 1
    assert not list(desk.home_folder.rglob("*.sock"))


async def test_more_concurrency_than_open_files_is_refused_at_the_start_and_live(desk: Desk) -> None:
    desk.items(400)

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    async with simulator(latency_s=0.05) as server:
        wide = desk.config(server.base_url, execution={"concurrency": 150})
        said = await ended(await desk.started("run", wide, preexec_fn=few_files))
        assert said.code == 2
        assert "execution.concurrency" in said.err and "ulimit -n 214" in said.err
        assert server.books.received == 0

        narrow = desk.config(server.base_url, "narrow", execution={"concurrency": 4})
        run = await desk.started("run", narrow, preexec_fn=few_files)
        await until(lambda: server.books.served >= 4)
        refused = await desk.llmtop("set", "narrow", "concurrency=150")
        taken = await desk.llmtop("set", "narrow", "concurrency=136")
        assert (refused.code, taken.code) == (2, 0), refused.err + taken.err
        assert "may open 200 files" in refused.err and "136 at the most" in refused.err
        assert (await ended(run)).code == 0
