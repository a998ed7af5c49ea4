"""`llmtop items` and `llmtop item`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Annotated, Any, cast, get_args

import typer

from llmtop.cleaning import clean
from llmtop.control.protocol import RunDoor
from llmtop.errors import UsageError
from llmtop.listing import AttemptRow, ItemDetail, ItemQuery, ItemRow, ItemState
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.doors import RunArgument, with_door
from llmtop_tui.cli.printing import Column, put, put_json, say, table, terminal_width
from llmtop_tui.figures import date_and_clock, usd, usd_exact, utc
from llmtop_tui.format import UNKNOWN, count, latency
from llmtop_tui.jsonlines import dumps

_PAGE = 500
_MOST_TEXT = 1_000_000
_COLUMNS = (
    Column("ITEM", least=10),
    Column("STATE"),
    Column("TRY", "right"),
    Column("LAT", "right"),
    Column("IN", "right"),
    Column("OUT", "right"),
    Column("COST", "right"),
    Column("OUTPUT OR ERROR", least=12),
)
_ATTEMPTS = (
    Column("TRY", "right"),
    Column("STARTED"),
    Column("LAT", "right"),
    Column("HTTP", "right"),
    Column("OUTCOME"),
    Column("COST", "right"),
    Column("ERROR", least=12),
)


def states_of(words: str | None) -> tuple[ItemState, ...]:
    """Read `done,failed`. Raises UsageError for a word that is no state."""
    names = get_args(ItemState)
    found = [word.strip() for word in (words or "").split(",") if word.strip()]
    for word in found:
        if word not in names:
            raise UsageError("--status", f"{word!r} is no status", f"Use one or more of {','.join(names)}")
    return cast(tuple[ItemState, ...], tuple(dict.fromkeys(found)))


def items(
    common: Common,
    run: RunArgument,
    status: Annotated[
        str | None,
        option("--status", metavar="LIST", help="done,rejected,failed,pending,in_flight."),
    ] = None,
    limit: Annotated[
        int | None,
        option("--limit", min=1, metavar="N", help="At most so many."),
    ] = None,
    search: Annotated[
        str | None,
        option("--search", metavar="TEXT", help="Part of an id or of an output."),
    ] = None,
    error: Annotated[
        str | None,
        option("--error", metavar="TYPE", help="Only this error type, such as timeout."),
    ] = None,
    row: Annotated[
        str | None,
        option("--row", metavar="KEY", help="Only those of one request, pack or batch job: p00827, b0003."),
    ] = None,
) -> None:
    """List items of a run, in input order."""
    query = ItemQuery(states=states_of(status), error_type=error, search=search, limit=_PAGE, of_row=row)
    with_door(common, run, lambda door: _items(common, door, query, limit))


async def _items(common: Common, door: RunDoor, query: ItemQuery, limit: int | None) -> None:
    shown = 0
    async for page in _pages(door, query, limit):
        if common.is_json:
            for row in page:
                put(("[\n" if shown == 0 else ",") + dumps(row_object(row)))
                shown += 1
            continue
        lines = table(_COLUMNS, [_row(row) for row in page], terminal_width())
        for line in lines if shown == 0 else lines[1:]:
            put(line)
        shown += len(page)
    if common.is_json:
        put("]" if shown else "[]")
    elif not shown:
        say("no such items in this run")


async def _pages(door: RunDoor, query: ItemQuery, limit: int | None) -> AsyncIterator[tuple[ItemRow, ...]]:
    after: int | None = query.after_seq
    left = limit
    while after is not None and (left is None or left > 0):
        size = query.limit if left is None else min(left, query.limit)
        page = await door.items(replace(query, after_seq=after, limit=size))
        if page.rows:
            yield page.rows
        left = None if left is None else left - len(page.rows)
        after = page.next_after_seq


def _row(row: ItemRow) -> tuple[str, ...]:
    note = row.preview if row.error_type is None else f"{row.error_type}: {row.error_message or ''}"
    return (
        clean(row.id),
        row.state,
        str(row.attempts),
        latency(None if row.latency_ms is None else row.latency_ms / 1000),
        count(row.input_tokens),
        count(row.output_tokens),
        usd(row.cost_pusd),
        clean(note, limit=200),
    )


def row_object(row: ItemRow) -> dict[str, Any]:
    """Return a row for a program."""
    made = asdict(row)
    made["status"] = made.pop("state")
    made["cost_usd"] = usd_exact(made.pop("cost_pusd"))
    made["finished_at"] = utc(row.finished_at)
    return made


def item(
    common: Common,
    run: RunArgument,
    item_id: Annotated[
        str, typer.Argument(metavar="ID", help="The item's id; behind -- when it starts with a dash.")
    ],
) -> None:
    """Show one item: prompt, attempts, raw answers, filters."""
    with_door(common, run, lambda door: _item(common, door, item_id))


async def _item(common: Common, door: RunDoor, item_id: str) -> None:
    detail = await door.item(item_id)
    if detail is None:
        raise UsageError(door.run_id, f"has no item {item_id!r}", f"`llmtop items {door.run_id}` lists them")
    if common.is_json:
        put_json(detail_object(detail))
        return
    for line in detail_lines(detail):
        put(line)


def detail_object(detail: ItemDetail) -> dict[str, Any]:
    """Return an item for a program."""
    attempts = []
    for attempt in detail.attempts:
        made = asdict(attempt)
        made["cost_usd"] = usd_exact(made.pop("cost_pusd"))
        made["started_at"], made["ended_at"] = utc(attempt.started_at), utc(attempt.ended_at)
        attempts.append(made)
    return {
        **row_object(detail.row),
        "messages": detail.messages,
        "messages_note": detail.messages_note or None,
        "result": detail.result,
        "attempts": attempts,
    }


def detail_lines(detail: ItemDetail) -> list[str]:
    """Return an item for a person. Everything in it was written by others, so everything is cleaned."""
    row = detail.row
    lines = [
        f"item       {clean(row.id)}",
        f"state      {row.state}, attempts {row.attempts}, finished {date_and_clock(row.finished_at)}",
        f"tokens     {count(row.input_tokens)} in, {count(row.output_tokens)} out, cost {usd(row.cost_pusd)}",
    ]
    if row.error_type is not None:
        lines.append(f"error      {clean(row.error_type)}: {clean(row.error_message or '')}")
    for message in detail.messages or ():
        lines += ["", f"--- prompt, {clean(str(message.get('role', '?')))}", *_text(message.get("content"))]
    if detail.messages_note:
        lines += ["", f"--- prompt: {clean(detail.messages_note)}"]
    if detail.result is not None:
        lines += ["", "--- output", *_text(detail.result.get("output"))]
        for trace in detail.result.get("filters") or ():
            lines.append(f"filter     {clean(json.dumps(trace, ensure_ascii=False))}")
    if detail.attempts:
        lines += ["", *table(_ATTEMPTS, [_attempt(each) for each in detail.attempts], terminal_width())]
    for attempt in detail.attempts:
        if attempt.body:
            lines += ["", f"--- raw answer of attempt {attempt.number}", *_text(attempt.body)]
    return lines


def _text(value: Any) -> list[str]:
    if value is None:
        return [UNKNOWN]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return clean(text, limit=_MOST_TEXT, is_multiline=True).split("\n")


def _attempt(attempt: AttemptRow) -> tuple[str, ...]:
    error = UNKNOWN if attempt.error_type is None else f"{attempt.error_type}: {attempt.error_message or ''}"
    billed = " (possibly billed)" if attempt.is_maybe_billed else ""
    return (
        str(attempt.number),
        date_and_clock(attempt.started_at),
        latency(None if attempt.latency_ms is None else attempt.latency_ms / 1000),
        UNKNOWN if attempt.http_status is None else str(attempt.http_status),
        clean(attempt.outcome or "open or lost"),
        usd(attempt.cost_pusd) + billed,
        clean(error, limit=300),
    )
