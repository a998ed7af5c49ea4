"""Runs that are started or gone on with from the screen: an engine in a process of its own, as ever."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

from llmtop.errors import LlmtopError, UsageError
from llmtop_tui.ink import said

if TYPE_CHECKING:
    from llmtop.control.library import Home
    from llmtop_tui.session import Session

_LINGER_S, _LOOK_S = 6.0, 0.1
"""How long an engine that nobody watches any more may take to end."""
_COMMAND = "import sys; from llmtop_tui.cli import main; sys.exit(main())"


async def start_demo(home: Home) -> str:
    """Start the demo in the background; return its run id. Raises LlmtopError."""
    return await _started(home, "demo")


async def start_config(home: Home, path: str) -> str:
    """Start the run of a config file in the background; return its run id. Raises LlmtopError."""
    if not path.strip():
        raise UsageError("", "no config file was named")
    return await _started(home, "run", os.path.expanduser(path.strip()))  # noqa: PTH111


async def resume_after(home: Home, session: Session) -> str:
    """Go on with the run that is looked at: an engine that has nothing to do stays while it is watched."""
    await session.let_go()
    for _ in range(int(_LINGER_S / _LOOK_S)):
        if home.owner_pid(session.door.run_id) is None:
            break
        await asyncio.sleep(_LOOK_S)
    try:
        return await resume(home, session.door.run_id)
    except LlmtopError:
        session.restart()
        raise


async def resume(home: Home, run_id: str) -> str:
    """Go on with a run in the background; return its run id. Raises LlmtopError."""
    from llmtop.control.resuming import resume_run  # the config's schema: for whoever starts something

    return (await resume_run(home, run_id)).run_ids[0]


async def _started(home: Home, *words: str) -> str:
    """Run the shell command that does the same: it checks the config and tells all its faults."""
    argv = (sys.executable, "-P", "-c", _COMMAND, "--home", str(home.folder), *words, "--detach", "--json")
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    out, error = await process.communicate()
    if process.returncode != 0:
        raise LlmtopError("", _fault(error.decode("utf-8", "replace")))
    run_id = json.loads(out).get("run_id")
    if not isinstance(run_id, str):
        raise LlmtopError("", "that run has nothing left to do")
    return run_id


def _fault(text: str) -> str:
    """The message of the error object; notices may stand before it."""
    try:
        return said(json.loads(text[text.index("{") :])["error"]["message"], 300)
    except (ValueError, KeyError, TypeError):
        return said(text.strip().rpartition("\n")[2], 300) or "it could not be started"
