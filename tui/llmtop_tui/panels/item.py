"""One item: its head, and each of its parts as lines. Everything in it was written by others."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from llmtop.cleaning import clean
from llmtop.listing import AttemptRow, ItemDetail
from llmtop_tui import format as fmt
from llmtop_tui.ink import EMPTY, Line, line, pad, said, wrap
from llmtop_tui.panels.items import STATE_WORDS

PARTS = (
    ("prompt", "p", "Prompt"),
    ("answer", "a", "Answer"),
    ("filters", "f", "Filters"),
    ("attempts", "t", "Attempts"),
    ("raw", "j", "Raw JSON"),
)
_LONGEST = 200_000
_MOST_LINES = 5_000


def head(detail: ItemDetail) -> Line:
    """What was sent and what it came to, in one line."""
    row, last = detail.row, detail.attempts[-1] if detail.attempts else None
    model = said((detail.result or {}).get("model") or "", 40)
    status = "-" if last is None or last.http_status is None else str(last.http_status)
    latency = fmt.latency(None if row.latency_ms is None else row.latency_ms / 1000)
    tokens = f"{fmt.count(row.input_tokens)} in {fmt.count(row.output_tokens)} out"
    parts = [f"attempts {row.attempts}", status, latency, model, tokens, fmt.money(row.cost_pusd)]
    return line(" " + "   ".join(part for part in parts if part))


def outcome(detail: ItemDetail) -> Line:
    """The state in one word, with the reason."""
    row = detail.row
    word = STATE_WORDS[row.state].upper()
    if row.error_type is not None:
        text = f"{word}: {said(row.error_type, 40)}"
        return line((text, "bad" if row.state == "failed" else "warn"))
    return line((word, "good" if row.state == "done" else "strong"))


def tabs(chosen: str, *, is_wrapped: bool) -> Line:
    """The parts, the shown one in brackets."""
    spans: list[Any] = [" "]
    for name, key, title in PARTS:
        spans += [(f"[{key} {title}] ", "strong")] if name == chosen else [(f"{key} ", "key"), f"{title}  "]
    return line(*spans, ("  w", "key"), f" wrap {'on' if is_wrapped else 'off'}")


def text_of_part(detail: ItemDetail, part: str) -> str:
    """One part as plain text, cleaned: what is copied and saved."""
    if part == "prompt":
        return _prompt(detail)
    if part == "answer":
        return _answer(detail)
    if part == "raw":
        return "\n\n".join(_body(each) for each in detail.attempts) or "no raw answer is kept"
    spans = filters(detail, 100) if part == "filters" else attempts(detail, 100)
    return "\n".join("".join(text for text, _ in each).rstrip() for each in spans)


def part_lines(detail: ItemDetail, part: str, width: int, *, is_wrapped: bool) -> list[Line]:
    """One part as lines."""
    if part == "filters":
        return filters(detail, width)
    if part == "attempts":
        return attempts(detail, width)
    body = _folded(text_of_part(detail, part), width, is_wrapped=is_wrapped)
    if part in {"prompt", "answer"} and (detail.result or {}).get("filters"):
        body += [EMPTY, *filters(detail, width)]
    return body


def filters(detail: ItemDetail, width: int) -> list[Line]:
    """What each filter did, and the text before and after them."""
    result = detail.result
    if result is None:
        return [line(("no result yet: no filter has seen it", "muted"))]
    traces = result.get("filters") or ()
    body = [line(("filters", "strong"))]
    body += [_trace(trace) for trace in traces if isinstance(trace, Mapping)]
    if not traces:
        body.append(line(("no filter had anything to do", "muted")))
    if detail.row.state == "rejected":
        body.append(line(("stopped: ", "warn"), said(detail.row.error_message or "", 400)))
    before, after = _raw_text(detail), result.get("output")
    if traces and before and isinstance(after, str) and before != after:
        body += [EMPTY, line(("before and after", "strong")), *_changes(before, after, width)]
    elif traces and before and not isinstance(after, str):
        body += [EMPTY, line(("before", "strong")), *_folded(before, width, is_wrapped=True)]
    return body


def _trace(trace: Mapping[str, Any]) -> Line:
    rest = {name: value for name, value in trace.items() if name not in {"use", "place", "hits"}}
    words = "  ".join(f"{said(name, 20)}: {said(value, 300)}" for name, value in rest.items())
    place = f"{said(trace['place'], 4):>2} " if "place" in trace else ""
    hits = trace.get("hits")
    number = "" if hits is None else f"{said(hits, 9)} hit{'' if hits == 1 else 's'}"
    return line(
        (f"  {place}", "muted"), (pad(said(trace.get("use", "?"), 24), 18), "strong"), pad(number, 9), words
    )


def _changes(before: str, after: str, width: int) -> list[Line]:
    old, new = (clean(text, limit=_LONGEST, is_multiline=True).split("\n") for text in (before, after))
    body: list[Line] = []
    for change in difflib.unified_diff(old[:500], new[:500], lineterm="", n=1):
        if change.startswith(("---", "+++", "@@")):
            continue
        role = {"-": "warn", "+": "you"}.get(change[:1], "muted")
        mark, text = change[:1], change[1:]
        for number, piece in enumerate(wrap(text, max(width - 3, 10)) or [""]):
            body.append(line((f"{mark if number == 0 else ' '} {piece}", role)))  # type: ignore[arg-type]
    return body


def attempts(detail: ItemDetail, width: int) -> list[Line]:
    """Every send: when, how long, status, what was asked of us, request id, error."""
    heading = pad("TRY", 4) + pad("SENT", 10) + pad("TOOK", 9) + pad("HTTP", 6) + pad("OUTCOME", 18)
    body = [line((f"{heading}WAIT     COST      REQUEST ID", "muted"))]
    for each in detail.attempts:
        body.append(_attempt(each))
        if each.error_type is not None:
            error = said(f"{each.error_type}: {each.error_message or ''}", 600)
            body += [line(("    " + text, "warn")) for text in wrap(error, max(width - 4, 10))]
    return body if detail.attempts else [line(("not sent yet", "muted"))]


def _attempt(each: AttemptRow) -> Line:
    wait = "-" if each.retry_after_s is None else f"{each.retry_after_s:.1f} s"
    text = pad(str(each.number), 4) + pad(fmt.clock(each.started_at), 10)
    text += pad(fmt.latency(None if each.latency_ms is None else each.latency_ms / 1000), 9)
    text += pad("-" if each.http_status is None else str(each.http_status), 6)
    text += pad(said(each.outcome or "open or lost", 17), 18) + pad(wait, 9)
    text += pad(fmt.money(each.cost_pusd), 10) + said(each.request_id or "-", 80)
    return line((text, "plain"), ("  possibly billed" if each.is_maybe_billed else "", "warn"))


def question(detail: ItemDetail) -> tuple[str, str]:
    """The last message as it was sent, cleaned, and its role: what differs from item to item."""
    if not detail.messages:
        return clean(detail.messages_note, limit=400) or "the input can no longer be read", ""
    message = detail.messages[-1]
    return _text(message.get("content")), clean(str(message.get("role", "")), limit=20)


def reply(detail: ItemDetail) -> str:
    """The output, or else the answer as it came, cleaned; empty where there is none."""
    output = (detail.result or {}).get("output")
    return _text(output) if output is not None else _text(_raw_text(detail))


def _prompt(detail: ItemDetail) -> str:
    parts = [f"({clean(detail.messages_note, limit=400)})\n"] if detail.messages_note else []
    for message in detail.messages or ():
        role = clean(str(message.get("role", "?")), limit=20)
        parts.append(f"--- {role}\n{_text(message.get('content'))}\n")
    return "\n".join(parts) or "the input can no longer be read"


def _answer(detail: ItemDetail) -> str:
    result = detail.result
    if result is None:
        return "no answer yet"
    parts = []
    if detail.row.error_type is not None:
        parts.append(f"{clean(detail.row.error_type)}: {clean(detail.row.error_message or '', limit=2000)}\n")
    output = result.get("output")
    if output is None and (raw := _raw_text(detail)):
        parts.append(f"--- as it came\n{_text(raw)}")
    elif output is not None:
        parts.append(_text(output))
    return "\n".join(parts) or "nothing came"


def _body(attempt: AttemptRow) -> str:
    title = f"--- attempt {attempt.number}"
    if not attempt.body:
        return f"{title}: no answer is kept"
    try:
        text = json.dumps(json.loads(attempt.body), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        text = attempt.body
    return f"{title}\n{_text(text)}"


def _raw_text(detail: ItemDetail) -> str:
    """The answer's text as the provider gave it: the longest one that stands where answers stand."""
    for attempt in reversed(detail.attempts):
        try:
            body = json.loads(attempt.body or "")
        except (ValueError, RecursionError):
            continue
        found = sorted(_texts(body, 0), key=len)
        if found:
            return found[-1]
    return ""


def _texts(value: Any, depth: int) -> list[str]:
    if depth > 8:
        return []
    if isinstance(value, Mapping):
        own = [text for name in ("content", "text") if isinstance(text := value.get(name), str)]
        return own + [text for each in value.values() for text in _texts(each, depth + 1)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [text for each in value[:100] for text in _texts(each, depth + 1)]
    return []


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return clean(text, limit=_LONGEST, is_multiline=True)


def _folded(text: str, width: int, *, is_wrapped: bool) -> list[Line]:
    body: list[Line] = []
    for each in text.split("\n")[:_MOST_LINES]:
        indent = " " * min(len(each) - len(each.lstrip(" ")), 20)
        role = "key" if each.startswith("--- ") else "plain"
        pieces = wrap(each, max(width - len(indent), 10)) if is_wrapped else [each.lstrip(" ")]
        body += [line((indent + piece, role)) for piece in pieces or [""]]  # type: ignore[arg-type]
    return body
