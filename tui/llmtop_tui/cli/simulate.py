"""`llmtop simulate`: the simulated provider as a server on loopback."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.printing import put, say
from llmtop_tui.jsonlines import dumps

if TYPE_CHECKING:
    from llmtop.control.launch import Addresses

OnReady = Callable[["Addresses"], None]


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
    set_: Annotated[
        list[str] | None,
        option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting of the profile, like batch_speed=3600; may be repeated.",
        ),
    ] = None,
) -> int:
    """Serve the simulated provider on 127.0.0.1, until Ctrl-C: OpenAI, Anthropic, Gemini and more."""

    def on_ready(at: Addresses) -> None:
        said = {"url": at.openai, "profile": profile, "addresses": at._asdict()}
        put(dumps(said) if common.is_json else at.openai)
        sys.stdout.flush()
        for line in _lines(at):
            say(line)

    import asyncio

    return asyncio.run(_serve(profile, set_ or (), port, on_ready))


def _lines(at: Addresses) -> Iterator[str]:
    """Yield what to set so that a program asks the simulator."""
    yield f"llmtop     base_url = {at.openai!r} under [provider], with any key"
    yield f"openai     OPENAI_BASE_URL={at.openai}"
    yield f"anthropic  ANTHROPIC_BASE_URL={at.anthropic}"
    yield f"google     GOOGLE_GEMINI_BASE_URL={at.gemini}"
    yield f"azure      AZURE_OPENAI_ENDPOINT={at.azure}"
    yield f"groq       GROQ_BASE_URL={at.groq}"
    yield f"together   TOGETHER_BASE_URL={at.together}"
    yield f"mistral    Mistral(server_url={at.mistral!r})"
    yield f"books      {at.anthropic}/_sim/books; Ctrl-C ends it"


async def _serve(profile: str, settings: Sequence[str], port: int, on_ready: OnReady) -> int:
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
        await serve(profile, settings, port, on_ready)
    except asyncio.CancelledError:
        if not received:
            raise
    return 0
