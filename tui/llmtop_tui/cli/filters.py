"""`llmtop filters test`."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmtop.cleaning import clean
from llmtop.errors import UsageError
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.configs import AllowCodeOption, SetOption, load_all
from llmtop_tui.cli.printing import Column, put, put_json, say, table, terminal_width
from llmtop_tui.format import count
from llmtop_tui.jsonlines import dumps

if TYPE_CHECKING:
    from llmtop.config.schema import RunConfig
    from llmtop.control.filter_test import Example, Trial

_COLUMNS = (
    Column("FILTER", least=8),
    Column("PLACE", "right"),
    Column("HITS", "right"),
    Column("CHANGED", "right"),
    Column("REJECTED", "right"),
)
_EXCERPT = 160
_LEAD = 40
"""Characters that are shown before the first difference."""


def test(
    common: Common,
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="TOML file with [[filters]].")],
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Over what this run has stored.", show_default=False)
    ] = None,
    text: Annotated[
        list[str] | None, option("--text", help="Over this text, as if it were an answer; may be repeated.")
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", min=0, max=100, help="Shown of each filter (default 2).")
    ] = 2,
    set_: SetOption = None,
    allow_code: AllowCodeOption = False,
) -> None:
    """Try the filters of a config; nothing is sent, nothing is changed.

    Over the answers that a run has stored, over texts, or over the lines of
    standard input.
    """
    if run is not None and text:
        raise UsageError("--text", "contradicts RUN", "Keep one of them")
    loaded = load_all([config], overrides=set_ or ())
    without = next((each for each in loaded if not each.filters), None)
    if without is not None:
        raise UsageError(config, f"{without.name} has no [[filters]]", "docs/filters.md lists them")
    trials = _tried(common, loaded, run, text, allow_code, examples)
    if common.is_json:
        put_json([_as_object(trial, run) for trial in trials])
        return
    for at, trial in enumerate(trials):
        for line in ([""] if at else []) + _lines(trial):
            put(line)
    say("nothing was sent" if run is None else f"nothing was sent; answers as they are stored in {run}")


def _tried(
    common: Common,
    configs: tuple[RunConfig, ...],
    run: str | None,
    texts: list[str] | None,
    allow_code: bool,
    examples: int,
) -> list[Trial]:
    from llmtop.control.filter_test import try_run, try_texts

    if run is not None:
        folder = common.home().resolve(run).folder
        return [try_run(each, folder, allow_code=allow_code, examples=examples) for each in configs]
    each_its_own = itertools.tee(iter(texts) if texts else _stdin_lines(), len(configs))
    return [
        try_texts(each, lines, allow_code=allow_code, examples=examples)
        for each, lines in zip(configs, each_its_own, strict=True)
    ]


def _stdin_lines() -> Iterator[str]:
    if os.isatty(0):
        say("reads texts from the terminal, one a line, until Ctrl-D")
    for line in sys.stdin.buffer:
        said = line.decode("utf-8", "replace").rstrip("\r\n")
        if said.strip():
            yield said


def _lines(trial: Trial) -> list[str]:
    rows = [
        (clean(each.name), str(each.place), count(each.hits), count(each.changed), count(each.rejected))
        for each in trial.filters
    ]
    lines = [*table(_COLUMNS, rows, terminal_width()), "", _sum(trial)]
    for each in trial.filters:
        for example in each.examples:
            head = f"{each.place} {clean(each.name)}, item {clean(example.item_id, limit=80)}"
            lines += ["", f"{head}: {clean(example.said, limit=200)}", *_shown(example)]
    return lines


def _sum(trial: Trial) -> str:
    untouched = trial.passed - trial.changed
    parts = [f"{count(untouched)} pass as they are", f"{count(trial.changed)} changed"]
    again = f" ({count(trial.asked_again)} asked again first)" if trial.asked_again else ""
    parts.append(f"{count(trial.rejected)} rejected{again}")
    if trial.unreadable:
        parts.append(f"{count(trial.unreadable)} not of the form that request.response_format asks for")
    return f"{clean(trial.name)}: of {count(trial.seen)} answers {', '.join(parts)}"


def _shown(example: Example) -> list[str]:
    """Return the text before and after, from shortly before the first difference on."""
    before = _text(example.before)
    if example.after is None:
        return [f"  - {_cut(before, 0)}"]
    after = _text(example.after)
    same = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), 0)
    start = max(0, same - _LEAD)
    return [f"  - {_cut(before, start)}", f"  + {_cut(after, start)}"]


def _cut(text: str, start: int) -> str:
    lead = "... " if start else ""
    rest = " ..." if len(text) > start + _EXCERPT else ""
    return f"{lead}{clean(text[start : start + _EXCERPT], limit=_EXCERPT)}{rest}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def _as_object(trial: Trial, run: str | None) -> dict[str, Any]:
    return {
        "name": trial.name,
        "run": run,
        "answers": trial.seen,
        "counts": {
            "done": trial.passed,
            "changed": trial.changed,
            "rejected": trial.rejected,
            "asked_again": trial.asked_again,
            "unreadable": trial.unreadable,
        },
        "filters": [
            {
                "use": each.name,
                "place": each.place,
                "hits": each.hits,
                "changed": each.changed,
                "rejected": each.rejected,
                "examples": [
                    {"id": e.item_id, "before": e.before, "after": e.after, "said": e.said}
                    for e in each.examples
                ],
            }
            for each in trial.filters
        ],
    }
