"""Open a run by what a user calls it, do one thing with it, let go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from llmtop.control.protocol import RunDoor
from llmtop.errors import UsageError
from llmtop.model import Acknowledgement, Command, CommandVerb
from llmtop_tui.cli.common import Common

T = TypeVar("T")


def complete_run(incomplete: str) -> list[str]:
    """Return names and ids of runs for the shell; nothing where the state folder cannot be read."""
    from llmtop.errors import LlmtopError

    try:
        lines = Common().home().runs()
    except (LlmtopError, OSError):
        return []
    words = dict.fromkeys(["latest", *(line.name for line in lines), *(line.run_id for line in lines)])
    return [word for word in words if word.startswith(incomplete)]


RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Id, name, unique prefix of an id, or latest.",
        autocompletion=complete_run,
        show_default=False,
    ),
]


def with_door(common: Common, ref: str, action: Callable[[RunDoor], Awaitable[T]]) -> T:
    """Open a run, live or not, do `action` with it and let go of it."""
    import asyncio

    from llmtop.control.opening import open_run

    async def go() -> T:
        door = await open_run(common.home(), ref)
        try:
            return await action(door)
        finally:
            await door.close()

    return asyncio.run(go())


def origin() -> str:
    """Return who asks: `user@host`."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


async def ask(
    door: RunDoor, verb: CommandVerb, values: Mapping[str, Any] | None = None, *, is_dry_run: bool = False
) -> Acknowledgement:
    """Send one command. Raises UsageError with the engine's words when it is refused."""
    answer = await door.command(Command(verb, origin(), values, is_dry_run))
    if not answer.is_ok:
        raise UsageError("" if door.run_id in answer.message else door.run_id, answer.message)
    return answer
