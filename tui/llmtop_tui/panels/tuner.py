"""What is set and by whom: the live settings, the last decisions, the next step."""

from __future__ import annotations

from llmtop.model import Decision
from llmtop.snapshot import Knob, TunerView
from llmtop_tui import format as fmt
from llmtop_tui.ink import EMPTY, Line, Span, cells, line, pad, right, said, width_of
from llmtop_tui.looks import Looks
from llmtop_tui.panels import curve
from llmtop_tui.panels.words import KNOB_NAMES, skeleton, wished
from llmtop_tui.scene import Scene

TITLE = "Tuner and settings"
_WIDE, _NARROW = (21, 12, 14), (20, 8, 9)
"""Cells of name, value and range."""


def short(scene: Scene, width: int, looks: Looks) -> Line:
    """One line: whether it is on, and as many of the last decisions as fit."""
    if scene.snapshot is None:
        return line((" tune ", "muted"), ("-", "muted"))
    t = scene.snapshot.tuner
    wanted = scene.wishes.get("tuner")
    spans: list[Span] = [
        (" tune ", "muted"),
        (f"{'on' if t.is_on else 'off':<3}", "good" if t.is_on else "strong"),
    ]
    if wanted:
        spans.append((f" {looks.glyphs.you} {said(wanted, 6)}", "you"))
    room = width - width_of(tuple(spans))
    for decision in reversed(t.decisions):
        text = f"   {_change(decision, looks)} {fmt.clock(decision.at)} "
        why = said(decision.why, 60)
        if cells(text) + cells(why) > room and len(spans) > 2:
            break
        spans += [(text, "plain"), (why, "muted")]
        room -= cells(text) + cells(why)
    if not t.decisions:
        spans.append(
            (
                f"   {said(t.next_step or t.phase, 60)}" if t.next_step or t.phase else "   no change yet",
                "muted",
            )
        )
    return tuple(spans)


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """The live settings with range and origin, then decisions, newest first."""
    if scene.snapshot is None:
        return skeleton(("tuner", "settings", "decisions"), 10)[:height]
    t = scene.snapshot.tuner
    state: Line = line("tuner ", ("on", "good") if t.is_on else ("off", "strong"))
    if wanted := scene.wishes.get("tuner"):
        state = line(*state, (f" {looks.glyphs.you} {said(wanted, 6)}", "you"))
    step = " ".join(part for part in (said(t.phase, 40), said(t.next_step, 60)) if part)
    body: list[Line] = [line(*state, "   ", (step, "muted"))]
    columns = _NARROW if width < 66 else _WIDE
    body += [_knob(each, scene, looks, columns) for each in t.knobs[: max(height // 2 - 1, 1)]]
    room = height - len(body)
    body += [_decision(each, width, looks) for each in reversed(t.decisions[-room:])] if room > 0 else []
    return body[:height]


def screen(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """The whole screen: settings, evidence, all decisions."""
    if scene.snapshot is None:
        return skeleton(("tuner", "settings", "evidence", "decisions"), 10)[:height]
    t = scene.snapshot.tuner
    body: list[Line] = [
        line((pad("SETTING", 24) + right("NOW", 12) + "  RANGE          FROM, CHANGED", "muted"))
    ]
    body += [_knob(each, scene, looks, (24, 12, 14)) for each in t.knobs] or [
        line(("none reported", "muted"))
    ]
    body += [EMPTY, line(("EVIDENCE FOR THE NEXT STEP", "muted"))]
    body.append(line((said(t.phase) or "-", "strong"), "  ", said(t.next_step)))
    body += [line(pad(said(name, 20), 20), (said(value, 60), "strong")) for name, value in t.evidence]
    body += [EMPTY, *curve.lines(t.curve, width, looks)]
    body += [EMPTY, line((pad("TIME", 10) + pad("WHAT", _change_width(width)) + "WHY, BY", "muted"))]
    room = max(height - len(body), 0)
    body += _decisions(t, room, width, looks)
    return body[:height]


def _decisions(t: TunerView, room: int, width: int, looks: Looks) -> list[Line]:
    if not t.decisions:
        return [line(("no change yet", "muted"))]
    return [_decision(each, width, looks) for each in reversed(t.decisions[-room:])] if room else []


def _knob(each: Knob, scene: Scene, looks: Looks, columns: tuple[int, int, int]) -> Line:
    name_width, value_width, range_width = columns
    value, role = wished(scene, each.name, said(each.value, 14) or "-", looks)
    bounds = f"{said(each.low, 10)}-{said(each.high, 10)}" if each.low or each.high else "fixed"
    changed = f" {fmt.clock(each.changed_at)}" if each.changed_at else ""
    pinned = "  by hand" if each.is_pinned else ""
    return line(
        pad(said(each.name, 30), name_width),
        (right(value, value_width), role),
        ("  " + pad(bounds, range_width), "muted"),
        said(each.origin, 30),
        changed,
        (pinned, "you"),
    )


def _change(each: Decision, looks: Looks) -> str:
    name = KNOB_NAMES.get(each.what, said(each.what, 16))
    old, new = said(each.old, 20), said(each.new, 20)
    return f"{name} {old}{looks.glyphs.to}{new}" if old else f"{name} {new}"


def _change_width(width: int) -> int:
    return 16 if width < 66 else 20 if width < 90 else 28


def _decision(each: Decision, width: int, looks: Looks) -> Line:
    by = said(each.by, 30)
    change_width = _change_width(width)
    return line(
        (fmt.clock(each.at) + "  ", "muted"),
        (pad(_change(each, looks), change_width - 1) + " ", "strong"),
        said(each.why, 120),
        (f"  {by}" if by else "", "you" if "@" in by else "muted"),
    )
