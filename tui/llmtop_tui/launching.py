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

_COMMAND = "import sys; from llmtop_tui.cli import main; sys.exit(main())"


async def start_demo(home: Home) -> str:
    """Start the demo in the background; return its run id. Raises LlmtopError."""
    return await _started(home, "demo")


async def start_config(home: Home, path: str) -> str:
    """Start the run of a config file in the background; return its run id. Raises LlmtopError."""
    if not path.strip():
        raise UsageError("", "no config file was named")
    return await _started(home, "run", os.path.expanduser(path.strip()))  # noqa: PTH111


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
        lines = error.decode("utf-8", "replace").strip().splitlines()
        raise LlmtopError("", _fault(lines[-1] if lines else ""))
    run_id = json.loads(out.decode().strip().splitlines()[-1]).get("run_id")
    if not isinstance(run_id, str):
        raise LlmtopError("", "that run has nothing left to do")
    return run_id


def _fault(line: str) -> str:
    try:
        return said(json.loads(line)["error"]["message"], 300)
    except (ValueError, KeyError, TypeError):
        return said(line, 300) or "it could not be started"
