"""An engine in a process of its own: it starts or says why not, outlives its starter, and ends."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from whole_runs import Desk, simulator, until

from llmtop.config.loader import load_config
from llmtop.control.beginning import listen
from llmtop.control.logs import EngineLog, tidy
from llmtop.control.opening import open_run
from llmtop.control.spawning import Beginning, RunOptions, Spawned, begin_engine, spawn_engine
from llmtop.errors import InputError, LlmtopError, RunOwned


@pytest.fixture(autouse=True)
def environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LLMTOP_HOME", "SIM_KEY"):
        monkeypatch.setenv(name, desk.environ[name])


async def spawned(desk: Desk, config: Path) -> Spawned:
    return await spawn_engine(desk.home, load_config(config), RunOptions())


def is_there(pid: int) -> bool:
    """Whether the process is there at all, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_watched_engine_that_gets_a_signal_ends_saves_and_leaves_nothing(desk: Desk) -> None:
    desk.items(500)
    async with simulator(latency_s=0.1) as server:
        engine = await spawned(desk, desk.config(server.base_url))
        assert os.getsid(engine.pid) == engine.pid
        if Path("/proc/self/fd").exists():
            assert Path(f"/proc/{engine.pid}/fd/0").readlink() == Path(os.devnull)
        await until(lambda: server.books.served > 4)
        door = await open_run(desk.home, engine.run_ids[0])
        stream = door.snapshots(0.2)
        await anext(stream)

        os.kill(engine.pid, signal.SIGHUP)
        os.kill(engine.pid, signal.SIGTERM)
        seen = [snapshot async for snapshot in stream]
        await door.close()
        await until(lambda: not is_there(engine.pid))

    assert (seen[-1].state, seen[-1].exit_code) == ("stopped", 143)
    assert list(desk.home.engines_folder.iterdir()) == []
    record = desk.rows("SELECT state, exit_code FROM run")
    assert record == [("stopped", 143)]


async def test_a_killed_engine_is_no_zombie_of_its_starter(desk: Desk) -> None:
    desk.items(50)
    async with simulator(latency_s=30.0) as server:
        engine = await spawned(desk, desk.config(server.base_url))
        os.kill(engine.pid, signal.SIGKILL)
        await until(lambda: not is_there(engine.pid))

    assert desk.home.engines() == ()


async def test_what_keeps_it_from_starting_is_raised_here(desk: Desk) -> None:
    async with simulator(latency_s=30.0) as server:
        config = desk.config(server.base_url)
        (desk.folder / "items.jsonl").write_text("no json\n")
        with pytest.raises(InputError, match="line 1"):
            await spawned(desk, config)

        desk.items(9)
        engine = await spawned(desk, config)
        with pytest.raises(RunOwned) as raised:
            await spawned(desk, config)
        assert raised.value.pid == engine.pid
        os.kill(engine.pid, signal.SIGKILL)
        await until(lambda: not is_there(engine.pid))


async def test_a_start_that_is_called_off_leaves_no_engine(desk: Desk) -> None:
    desk.items(300_000)
    async with simulator() as server:
        is_reading = asyncio.Event()
        loop = asyncio.get_running_loop()
        start = asyncio.create_task(
            spawn_engine(
                desk.home,
                load_config(desk.config(server.base_url)),
                RunOptions(),
                lambda part: loop.call_soon_threadsafe(is_reading.set) and None,
            )
        )
        await is_reading.wait()
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start

        assert desk.home.engines() == ()
        assert server.books.received == 0


async def test_a_long_input_is_handed_over_in_the_middle_and_heard_to_its_end_by_somebody_else(
    desk: Desk,
) -> None:
    desk.items(300_000)
    async with simulator(latency_s=30.0) as server:
        begun = await begin_engine(desk.home, load_config(desk.config(server.base_url)), RunOptions())
        assert isinstance(begun, Beginning)
        assert 0 < begun.part < 1
        assert os.get_inheritable(begun.words_fd)
        parts: list[float] = []
        ready = await asyncio.to_thread(listen, begun.words_fd, begun.pid, parts.append, heard=begun.heard)
        os.close(begun.words_fd)
        assert isinstance(ready, Spawned)
        assert ready.run_ids
        assert parts == sorted(parts)
        assert parts[-1] == 1.0
        os.kill(begun.pid, signal.SIGKILL)
        await until(lambda: not is_there(begun.pid))


async def test_a_short_input_is_not_handed_over(desk: Desk) -> None:
    desk.items(20)
    async with simulator(latency_s=30.0) as server:
        begun = await begin_engine(desk.home, load_config(desk.config(server.base_url)), RunOptions())
        assert isinstance(begun, Spawned)
        os.kill(begun.pid, signal.SIGKILL)
        await until(lambda: not is_there(begun.pid))


async def test_an_engine_that_cannot_even_begin_is_said_to_have_ended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.items(1)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(LlmtopError, match="ended before it accepted commands"):
        await spawned(desk, desk.config("http://127.0.0.1:9"))


def test_the_log_is_clean_bounded_and_private_and_an_empty_one_goes(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "1.log", limit_bytes=1000)
    log.write("a\x1b]0;title\x07b\n")
    try:
        secret = "s3cret"
        raise ValueError(f"no {len(secret)}")
    except ValueError as error:
        log.bug(error)
    log.write("x" * 500 + "\n" + "y" * 500 + "\n" + "z\n")
    log.close()
    EngineLog(tmp_path / "2.log").close()

    text = (tmp_path / "1.log").read_text()
    assert text.startswith("ab\n--- ")
    assert "ValueError: no 6" in text
    assert text.endswith("(the log is full)\n")
    assert (tmp_path / "1.log").stat().st_size < 1100
    assert (tmp_path / "1.log").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "2.log").exists()


def test_logs_of_dead_engines_go_but_for_the_newest_ten(tmp_path: Path) -> None:
    gone = 2**22 + 1
    for index in range(15):
        path = tmp_path / f"{gone + index}.log"
        path.write_text("" if index == 14 else "a bug")
        os.utime(path, (1000 + index, 1000 + index))
    (tmp_path / f"{os.getpid()}.log").write_text("")

    tidy(tmp_path)

    assert {int(path.stem) for path in tmp_path.iterdir()} == {
        os.getpid(),
        *range(gone + 5, gone + 14),
    }
