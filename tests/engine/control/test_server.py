"""The control socket: whom it serves, what it refuses, and that nobody holds it up."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llmtop.control import peers
from llmtop.control.client import EngineClient, NotFound, RemoteRun
from llmtop.control.server import ControlServer
from llmtop.errors import StateError, UsageError
from llmtop.listing import ItemDetail, ItemPage, ItemQuery
from llmtop.model import Acknowledgement, Command, Decision, RunCounts
from llmtop.snapshot import LogLine, RunLine, Snapshot

FIRST = Snapshot(1, 0.0, "r-1", "motions", "running", RunCounts(total=3))
LINE = RunLine("r-1", "motions", "running", RunCounts(total=3), 0, False, 0.0, 1)


class Door:
    """A run that shows `now` whenever `push` says so."""

    run_id = "r-1"

    def __init__(self) -> None:
        self.now = FIRST
        self.commands: list[Command] = []
        self.fault: Exception | None = None
        self._pushed = asyncio.Event()
        self._is_ended = False

    def push(self, snapshot: Snapshot, *, is_last: bool = False) -> None:
        self.now, self._is_ended = snapshot, is_last
        self._pushed.set()
        self._pushed = asyncio.Event()

    async def snapshot(self) -> Snapshot:
        if self.fault is not None:
            raise self.fault
        return self.now

    async def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        while True:
            is_last, pushed = self._is_ended, self._pushed
            yield await self.snapshot()
            if is_last:
                return
            await pushed.wait()

    async def command(self, command: Command) -> Acknowledgement:
        self.commands.append(command)
        return Acknowledgement(True, "done")

    async def items(self, query: ItemQuery) -> ItemPage:
        return ItemPage((), None)

    async def item(self, item_id: str) -> ItemDetail | None:
        return None

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        return ()

    async def close(self) -> None:
        return


@pytest.fixture
def path() -> Iterator[Path]:
    """A socket's path must be short; pytest's folders are long."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="lt"))
    folder.chmod(0o755)
    yield folder / "s.sock"
    shutil.rmtree(folder)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def server(path: Path, door: Door) -> AsyncIterator[ControlServer]:
    async with ControlServer(path, {"r-1": door}, lambda: (LINE,), patience_s=0.3) as server:
        yield server


@pytest.fixture
async def remote(server: ControlServer) -> AsyncIterator[RemoteRun]:
    async with EngineClient(server.path) as client:
        yield RemoteRun(client, "r-1")


async def ask(path: Path, method: str, target: str, **more: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.request(method, f"http://engine{target}", **more) as answer,
    ):
        return answer.status, json.loads(await answer.read())


@contextmanager
def any_umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


# -- whom it serves ------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", [None, os.geteuid() + 1])
async def test_another_user_or_nobody_knows_who_gets_not_a_byte(
    server: ControlServer, monkeypatch: pytest.MonkeyPatch, uid: int | None
) -> None:
    monkeypatch.setattr(peers, "peer_uid", lambda _socket: uid)
    reader, writer = await asyncio.open_unix_connection(server.path)

    writer.write(b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    try:
        answered = await reader.read()
    except ConnectionError:
        answered = b""

    assert answered == b""
    writer.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_real_other_user_gets_not_a_byte(server: ControlServer) -> None:
    server.path.chmod(0o666)
    code = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX)\n"
        "s.connect(sys.argv[1])\n"
        "try:\n s.sendall(b'GET /v1/runs HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(len(s.recv(99)))\n"
        "except ConnectionError: print(0)"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(server.path), stdout=asyncio.subprocess.PIPE
    )

    assert (await child.communicate())[0].strip() == b"0"


def test_the_peer_of_a_socket_pair_is_oneself_and_a_closed_one_is_nobody() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)

    assert peers.peer_uid(one) == os.geteuid()
    one.close()
    other.close()
    assert peers.peer_uid(one) is None


@pytest.mark.parametrize("mask", [0, 0o077, 0o777])
async def test_the_socket_is_0600_whatever_the_umask_and_goes_at_the_end(path: Path, mask: int) -> None:
    with any_umask(mask):
        async with ControlServer(path, {}, tuple):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert not path.exists()


async def test_a_socket_that_a_dead_engine_left_is_no_obstacle(path: Path) -> None:
    path.write_text("left over")
    async with ControlServer(path, {}, lambda: (LINE,)), EngineClient(path) as client:
        assert await client.runs() == (LINE,)


async def test_a_socket_that_cannot_be_made_is_a_fault_of_the_state(path: Path) -> None:
    with pytest.raises(StateError, match="control socket"):
        async with ControlServer(path.parent / "no" / "s.sock", {}, tuple):
            pass
    with pytest.raises(StateError, match="too long"):
        async with ControlServer(path.parent / ("s" * 120), {}, tuple):
            pass


# -- what it refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", "/v1/runs/nobody/snapshot", None, 404),
        ("GET", "/v1/runs/nobody/stream", None, 404),
        ("GET", "/v2/runs", None, 404),
        ("GET", "/v1/runs/r-1/commands", None, 405),
        ("POST", "/v1/runs/r-1/commands", b"{", 400),
        ("POST", "/v1/runs/r-1/commands", b"[]", 400),
        ("POST", "/v1/runs/r-1/commands", b'{"verb":["set"],"origin":"a@b"}', 400),
        ("POST", "/v1/runs/r-1/commands", b" " * (1024 * 1024 + 1), 413),
        ("POST", "/v1/runs/r-1/items", b'{"limit":0}', 400),
        ("POST", "/v1/runs/r-1/items", b'{"limit":10001}', 400),
        ("POST", "/v1/runs/r-1/items", b'{"states":["asleep"]}', 400),
        ("POST", "/v1/runs/r-1/item", b'{"id":7}', 400),
        ("POST", "/v1/runs/r-1/item", b"7", 400),
        ("POST", "/v1/runs/r-1/item", b'{"id":"none"}', 404),
        ("GET", "/v1/runs/r-1/decisions?limit=-1", None, 400),
        ("GET", "/v1/runs/r-1/decisions?limit=%C2%B2", None, 400),
        ("GET", "/v1/runs/r-1/stream?interval=soon", None, 400),
        ("GET", "/v1/runs/r-1/stream?interval=nan", None, 400),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_sentence(
    server: ControlServer, door: Door, method: str, target: str, body: bytes | None, status: int
) -> None:
    found, answer = await ask(server.path, method, target, data=body)

    assert found == status
    assert isinstance(answer["error"], str)
    assert door.commands == []


async def test_faults_of_the_state_come_back_as_what_they_are_and_bugs_without_a_trace(
    remote: RemoteRun, server: ControlServer, door: Door
) -> None:
    door.fault = StateError("/x/run.db", "is damaged", "restore it")
    with pytest.raises(StateError, match="is damaged; restore it"):
        await remote.snapshot()

    door.fault = ZeroDivisionError("secret")
    assert await ask(server.path, "GET", "/v1/runs/r-1/snapshot") == (
        500,
        {"error": "a bug in llmtop: ZeroDivisionError"},
    )


# -- viewers -------------------------------------------------------------------------------------


async def test_every_viewer_gets_every_push_and_the_last_snapshot(
    server: ControlServer, path: Path, door: Door
) -> None:
    async def follow(seen: list[int], ready: asyncio.Event) -> None:
        async with EngineClient(path) as client:
            async for snapshot in RemoteRun(client, "r-1").snapshots(1.0):
                seen.append(snapshot.version)
                ready.set()

    seen: list[list[int]] = [[], [], []]
    ready = [asyncio.Event() for _ in seen]
    tasks = [asyncio.create_task(follow(*each)) for each in zip(seen, ready, strict=True)]
    await asyncio.gather(*(each.wait() for each in ready))
    assert server.viewers == 3

    door.push(replace(FIRST, version=2, state="finished"), is_last=True)
    await asyncio.gather(*tasks)

    assert seen == [[1, 2]] * 3
    await _nobody(server)


async def test_a_viewer_that_never_reads_is_let_go_and_holds_up_nobody(
    server: ControlServer, door: Door, remote: RemoteRun
) -> None:
    big = replace(FIRST, log=tuple(LogLine(0.0, "x", "y" * 10_000) for _ in range(100)))
    door.now = big
    stuck = socket.socket(socket.AF_UNIX)
    stuck.setblocking(False)
    stuck.connect(str(server.path))
    stuck.sendall(
        b"GET /v1/runs/r-1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    while server.viewers == 0:
        await asyncio.sleep(0)
    longest = 0.0
    while server.viewers:
        began = time.monotonic()
        assert (await remote.command(Command("pause", "a@b"))).is_ok
        longest = max(longest, time.monotonic() - began)

    assert longest < 0.25
    assert len(door.commands) > 3
    stuck.close()


async def test_a_viewer_that_leaves_is_forgotten_although_nothing_changes(
    server: ControlServer, path: Path
) -> None:
    async with EngineClient(path) as client:
        async for _ in RemoteRun(client, "r-1").snapshots(3600.0):
            break
    await _nobody(server)


async def test_a_stream_that_meets_a_bug_is_broken_off_and_said_so(remote: RemoteRun, door: Door) -> None:
    door.fault = ZeroDivisionError()
    with pytest.raises(StateError, match="broke off"):
        async for _ in remote.snapshots(1.0):
            pass


async def test_an_engine_that_ends_with_viewers_ends_within_its_second(path: Path, door: Door) -> None:
    async with EngineClient(path) as client:
        async with ControlServer(path, {"r-1": door}, tuple):
            stream = RemoteRun(client, "r-1").snapshots(1.0)
            await anext(stream)
            began = time.monotonic()
        assert time.monotonic() - began < 3.0
        with pytest.raises((StopAsyncIteration, StateError)):
            await anext(stream)


# -- the client ----------------------------------------------------------------------------------


async def test_what_the_client_asks_the_door_answers(remote: RemoteRun, door: Door) -> None:
    command = Command("set", "ada@box1", {"concurrency": "8"}, is_dry_run=True)

    assert await remote.snapshot() == FIRST
    assert await remote.command(command) == Acknowledgement(True, "done")
    assert door.commands == [command]
    assert await remote.items(ItemQuery(states=("done",))) == ItemPage((), None)
    assert await remote.item("none") is None
    assert await remote.decisions(5) == ()


async def test_a_run_that_is_not_there_is_a_usage_error(server: ControlServer) -> None:
    async with EngineClient(server.path) as client:
        with pytest.raises(UsageError, match="not a run"):
            await client.run("nobody")
        with pytest.raises(NotFound):
            await RemoteRun(client, "nobody").snapshot()


async def test_an_engine_that_is_gone_is_named(path: Path) -> None:
    async with EngineClient(path) as client:
        with pytest.raises(StateError, match="cannot be reached"):
            await client.runs()
        with pytest.raises(StateError, match="cannot be reached"):
            await anext(RemoteRun(client, "r-1").snapshots(1.0))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": 1}', b""])
async def test_an_answer_in_other_words_is_a_state_error(path: Path, body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, path), EngineClient(path) as client:
        with pytest.raises(StateError, match="another version"):
            await RemoteRun(client, "r-1").snapshot()


async def _nobody(server: ControlServer) -> None:
    async with asyncio.timeout(5.0):
        while server.viewers:
            await asyncio.sleep(0)
