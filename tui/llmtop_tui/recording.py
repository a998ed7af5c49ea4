"""A recording in text: keys, and what the screen says after each; made from the program itself.

`python -m llmtop_tui.recording docs/recording.md` writes it, over the fixed snapshot of the pictures.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from llmtop_tui.ink import text_of
from llmtop_tui.panel import LineWidget
from llmtop_tui.pictures import over_list, over_run
from llmtop_tui.sample import SAMPLE

_SIZE = (80, 24)
_STEPS: tuple[tuple[tuple[str, ...], str], ...] = (
    ((), "`llmtop attach`: everything about the run"),
    (("3",), "`3`: its items, in flight first"),
    (("tab", "tab", "tab"), "`tab` three times: the rejected ones"),
    (("enter",), "`enter`: the prompt of the first"),
    (("f",), "`f`: what each filter did to its answer"),
    (("t",), "`t`: its attempts"),
    (("escape", "5"), "`esc`, `5`: errors by kind, `enter` would show their items"),
    (("4",), "`4`: the tuner, and what it goes by"),
    (("1", "X"), "`1`, `X`: the ways to end a run; `esc` goes back"),
)
_HEAD = """# A recording

Keys, and what the screen says after them, at 80x24. Made from a fixed snapshot by
`python -m llmtop_tui.recording docs/recording.md`.
"""


async def record() -> str:
    """Play the steps; return the page."""
    parts = [_HEAD]
    app = over_run(SAMPLE)
    async with app.run_test(size=_SIZE) as pilot:
        while app.session is not None and app.session.snapshot is None:
            await asyncio.sleep(0.01)
        for keys, words in _STEPS:
            for key in keys:
                await pilot.press(key)
                await asyncio.sleep(0.1)
                await pilot.pause()
            app.redraw()
            await pilot.pause()
            parts.append(_frame(words, _text(app.screen.query(LineWidget))))
    await app.finish()
    runs = over_list()
    async with runs.run_test(size=_SIZE) as pilot:
        await asyncio.sleep(0.1)
        await pilot.pause()
        shown = _text(runs.screen.query(LineWidget))
        parts.append(_frame("`llmtop` alone: every run of the state folder", shown))
    await runs.finish()
    return "\n".join(parts)


def _text(widgets: object) -> str:
    """The rows of the screen, dialogs over what lies below them."""
    rows = [[" "] * _SIZE[0] for _ in range(_SIZE[1])]
    for widget in widgets:  # type: ignore[attr-defined]
        region = widget.region
        if not region or not all(getattr(node, "display", True) for node in widget.ancestors_with_self):
            continue
        for y, spans in enumerate(widget._lines[: region.height]):
            for x, char in enumerate(text_of(spans)[: region.width]):
                rows[region.y + y][region.x + x] = char
    return "\n".join("".join(row).rstrip() for row in rows)


def _frame(words: str, text: str) -> str:
    return f"## {words}\n\n```text\n{text}\n```\n"


def main() -> None:
    """Write the page."""
    if len(sys.argv) != 2:
        sys.exit("llmtop_tui.recording: name the file to write, as in docs/recording.md")
    os.environ["TZ"] = "UTC"
    time.tzset()
    Path(sys.argv[1]).write_text(asyncio.run(record()), encoding="utf-8")


if __name__ == "__main__":
    main()
