"""`llmtop pause`, `resume`, `cancel`, `set`, `retry`: commands to a run, through its one door."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmtop.cleaning import clean
from llmtop.control.protocol import RunDoor
from llmtop.errors import UsageError
from llmtop.model import Acknowledgement, CommandVerb
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.doors import RunArgument, ask, with_door
from llmtop_tui.cli.printing import put, put_json, say

KEYS = (
    "concurrency, requests_per_second, requests_per_minute, tokens_per_minute, items_per_request, max_cost, "
    "tuner (on or off)"
)


def pause(
    common: Common,
    run: RunArgument,
    now: Annotated[
        bool,
        option("--now", help="Abort the calls in flight and put them back."),
    ] = False,
) -> None:
    """Pause a run: nothing new is sent.

    Calls in flight land, or are put back with --now. The pause survives a restart.
    """
    _tell(common, run, "hold" if now else "pause")


def resume(common: Common, run: RunArgument) -> None:
    """Let a paused run go on."""
    _tell(common, run, "resume")


def cancel(common: Common, run: RunArgument) -> None:
    """End a run for good; what is finished is kept."""
    _tell(common, run, "cancel")


def set_values(
    common: Common,
    run: RunArgument,
    changes: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE", help=f"Keys: {KEYS}.", show_default=False)
    ],
    dry_run: Annotated[
        bool,
        option("--dry-run", help="Say what would change, change nothing."),
    ] = False,
) -> None:
    """Change settings of a live run; prints old -> new.

    All or none: an unknown key or a bad value changes nothing.
    """
    _tell(common, run, "set", pairs(changes, "KEY=VALUE"), is_dry_run=dry_run)


def retry(
    common: Common,
    run: RunArgument,
    failed: Annotated[bool, option("--failed", help="Every failed item.")] = False,
    rejected: Annotated[bool, option("--rejected", help="Every rejected item.")] = False,
    item: Annotated[
        list[str] | None,
        option("--item", metavar="ID", help="This item; may be repeated."),
    ] = None,
) -> None:
    """Put items back in the queue of a run, live or stopped.

    They are asked, and paid, again.
    """
    if not (failed or rejected or item):
        raise UsageError("retry", "names no items", "Say --failed, --rejected or --item ID")
    _tell(common, run, "retry", {"failed": failed, "rejected": rejected, "ids": item or []})


def pairs(words: list[str], what: str) -> dict[str, str]:
    """Read KEY=VALUE words. Raises UsageError for one without `=` and for a key that comes twice."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(what, f"{word!r} is no KEY=VALUE", "Write it like concurrency=32")
        if key in found:
            raise UsageError(key, "is given twice", "Give it once")
        found[key] = value.strip()
    return found


def _tell(
    common: Common,
    run: str,
    verb: CommandVerb,
    values: dict[str, Any] | None = None,
    *,
    is_dry_run: bool = False,
) -> None:
    async def go(door: RunDoor) -> tuple[str, Acknowledgement]:
        return door.run_id, await ask(door, verb, values, is_dry_run=is_dry_run)

    run_id, answer = with_door(common, run, go)
    if common.is_json:
        changes = [{"key": each.key, "old": each.old, "new": each.new} for each in answer.changes]
        put_json(
            {
                "run_id": run_id,
                "ok": True,
                "message": answer.message,
                "dry_run": is_dry_run,
                "changes": changes,
            }
        )
        return
    for change in answer.changes:
        put(f"{clean(change.key)}: {clean(change.old)} -> {clean(change.new)}")
    if answer.message and (verb != "set" or is_dry_run):
        say(f"{run_id}: {answer.message}")
