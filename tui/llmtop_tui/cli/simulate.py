"""`llmtop simulate`: the simulated provider as a server on loopback."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Annotated

from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.printing import put, say
from llmtop_tui.jsonlines import dumps


def simulate(
    common: Common,
    port: Annotated[
        int, option("--port", metavar="P", min=0, max=65535, help="0 (default): any free port.")
    ] = 0,
    profile: Annotated[
        str,
        option(
            "--profile", metavar="NAME|FILE", help="How it behaves: a named profile, or a TOML file of one."
        ),
    ] = "quickstart",
) -> int:
    """Serve the simulated provider on 127.0.0.1, until Ctrl-C. It speaks the OpenAI chat format."""

    def on_ready(url: str) -> None:
        put(dumps({"url": url, "profile": profile}) if common.is_json else url)
        sys.stdout.flush()
        say(f"provider.base_url = {url!r} in a config sends there; Ctrl-C ends it")

    import asyncio

    return asyncio.run(_serve(profile, port, on_ready))


async def _serve(profile: str, port: int, on_ready: Callable[[str], None]) -> int:
    import asyncio

    from llmtop.control.launch import simulate as serve

    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        me.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        await serve(profile, port, on_ready)
    except asyncio.CancelledError:
        if not received:
            raise
    return 0
