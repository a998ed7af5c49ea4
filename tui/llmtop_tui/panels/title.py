"""The two lines on top: which run, how far, in which state; and what holds it back."""

from __future__ import annotations

from llmtop.snapshot import Snapshot
from llmtop_tui import format as fmt
from llmtop_tui.ink import EMPTY, Line, Span, cells, fit, line, said, spread, width_of
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels.words import STATE_ROLES, cause, open_jobs
from llmtop_tui.plot import bar
from llmtop_tui.scene import SILENT_AFTER_S, Scene

_BAR_MIN = 12
_SINCE = frozenset({"held", "paused", "budget", "refused", "waiting"})
"""States of which the title says how long they last."""
_WORDS = {"waiting": "WAITING FOR BATCH", "silent": "NO ANSWER", "gone": "ENGINE GONE"}


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Title and held-by line."""
    return [title(scene, width, looks), held(scene, width, looks)][:height]


def title(scene: Scene, width: int, looks: Looks) -> Line:
    """Name, state, progress, time left; age of the figures and the clock at the right."""
    tail = _tail(scene, width)
    s = scene.snapshot
    if s is None:
        name = said(scene.name, 24 if width < 100 else 40) or "llmtop"
        return spread(line(" ", (name, "strong"), "  ", *_starting(scene, looks)), tail, width)
    name = said(s.name, 24 if width < 100 else 40)
    head: list[Span] = [
        (" ", "plain"),
        (name, "strong"),
        ("  ", "plain"),
        *state(scene, looks),
        ("  ", "plain"),
    ]
    if scene.link == "live" and s.state != "starting":
        head += _progress(s, width)
    left = _eta(s, width) if scene.link == "live" else EMPTY
    if left and scene.age_s <= SILENT_AFTER_S:
        tail = _fitting(tail, scene, width - width_of((*head, *left)))
    room = width - width_of(tuple(head)) - width_of(left) - width_of(tail) - 2
    if room >= _BAR_MIN and width >= 100 and s.counts.total > 0 and scene.link == "live":
        head += [("  ", "plain"), *_bar(s, min(room - 2, width // 3), looks)]
    return spread((*head, *left), tail, width)


def _starting(scene: Scene, looks: Looks) -> Line:
    if not scene.starting:
        return line(("connecting", "muted"))
    return line((f"{looks.glyphs.states['starting']} STARTING", "strong"), f"  {said(scene.starting, 60)}")


def state(scene: Scene, looks: Looks) -> Line:
    """The state as glyph and word, with the number or reason that goes with it."""
    s = scene.snapshot
    if s is None:
        return EMPTY
    if scene.link in {"silent", "gone"}:
        word = f"{looks.glyphs.states['silent']} {_WORDS[scene.link]}"
        return line((word, "bad"), f" for {fmt.clock_span(scene.age_s)}")
    role = STATE_ROLES.get(s.state, "plain")
    word = _WORDS.get(s.state, s.state.upper())
    spans: list[Span] = [(f"{looks.glyphs.states.get(s.state, '?')} {word}", role)]
    if s.state in {"pausing", "stopping"}:
        spans.append((f" {fmt.count(s.throughput.in_flight)} in flight", "plain"))
    if s.state in _SINCE and s.state_at is not None:
        spans.append((f" {fmt.clock_span(max(scene.now - s.state_at, 0.0))}", "plain"))
    if s.state == "starting" and s.state_detail:
        spans.append((f" {said(s.state_detail, 60)}", "plain"))
    if wanted := scene.wishes.get("state"):
        spans.append((f" {looks.glyphs.you} {said(wanted, 12)}", "you"))
    if scene.is_frozen:
        spans.append((" FROZEN", "warn"))
    return tuple(spans)


def _progress(s: Snapshot, width: int) -> list[Span]:
    done, total = fmt.count(s.counts.finished), fmt.count(s.counts.total)
    joint = f" of {total} items  " if width >= 100 else f"/{total} items " if width >= 84 else f"/{total} "
    share = fmt.done_percent(s.counts.finished, s.counts.total)
    return [(done, "strong"), (joint, "plain"), (share, "strong")]


def _bar(s: Snapshot, width: int, looks: Looks) -> Line:
    text = bar(s.counts.finished / s.counts.total, width, looks.glyphs.full, looks.glyphs.empty)
    filled = text.count(looks.glyphs.full)
    return line((text[:filled], "good"), (text[filled:], "muted"))


def _eta(s: Snapshot, width: int) -> Line:
    if s.eta_s is None or width < 66 or s.state not in {"running", "held", "waiting", "pausing"}:
        return EMPTY
    spans: list[Span] = [("  eta ", "plain"), (fmt.clock_span(s.eta_s), "strong")]
    if width >= 160 and s.eta_at is not None:
        spans.append((f", about {fmt.clock(s.eta_at, has_seconds=False)}", "plain"))
    return tuple(spans)


def _fitting(tail: Line, scene: Scene, room: int) -> Line:
    """What leaves the time that is left whole: cut, it would tell a wrong one."""
    fits = (each for each in (tail, _clock(scene)) if width_of(each) <= room)
    return next(fits, EMPTY)


def _clock(scene: Scene) -> Line:
    return line("  ", f"{fmt.clock(scene.now)} ")


def _tail(scene: Scene, width: int) -> Line:
    if scene.snapshot is None or scene.link == "ended" or width < 70:
        return _clock(scene)
    role: Role = "warn" if scene.age_s > SILENT_AFTER_S else "muted"
    return line("  ", (f"snap {fmt.age(min(scene.age_s, 99.9))}", role), *_clock(scene))


def held(scene: Scene, width: int, looks: Looks) -> Line:
    """What binds now and the share of waiting of each cause, or what the state means."""
    s = scene.snapshot
    if s is None:
        trouble = said(scene.notes[-1].text) if scene.notes else ""
        words = "held by -"
        if scene.starting:
            words = "nothing is sent before all of it is checked; ctrl+c calls it off"
        return fit(line(" ", (trouble, "warn") if trouble else (words, "muted")), width)
    tail = EMPTY if scene.link in {"silent", "gone"} else _warnings(s, width, looks)
    return spread(line(" ", *_meaning(scene, s, width - width_of(tail) - 1, looks)), tail, width)


def _warnings(s: Snapshot, width: int, looks: Looks) -> Line:
    if not s.warnings:
        return EMPTY
    number = len(s.warnings)
    word = "warning" if number == 1 else "warnings"
    text = f"  {looks.glyphs.warn} {number} {word}: {'press ' if width >= 160 else ''}5 "
    return line((text, "warn"))


def _meaning(scene: Scene, s: Snapshot, width: int, looks: Looks) -> Line:
    detail = said(s.state_detail)
    if scene.link in {"silent", "gone"}:
        return line((scene.link_note or "trying again", "bad"), f"; figures of {fmt.clock(s.at)}")
    if s.state in {"paused", "budget", "refused", "failed"}:
        keys = {"paused": "space goes on", "budget": "b raises the cap", "refused": "space tries again"}
        if scene.link == "ended" and s.state in keys:
            keys = dict.fromkeys(keys, "nobody runs it now: r goes on")
        words = "" if s.state == "budget" and width < 90 else detail or "nothing is sent"
        parts = [part for part in (keys.get(s.state), words, _also(s)) if part]
        return line((looks.glyphs.warn + " ", STATE_ROLES[s.state]), f" {looks.glyphs.dot} ".join(parts))
    if s.state in {"starting", "stopped", "cancelled", "finished", "waiting", "stopping", "pausing"}:
        fallback = {
            "pausing": "what is in flight lands, nothing new is sent",
            "stopping": "what is in flight lands and is saved",
            "finished": "every item has a result; q leaves",
            "waiting": "nothing to do until the provider's batch is ready; d detaches",
        }
        if s.state == "waiting" and detail:
            dot = f" {looks.glyphs.dot} "
            return line(detail, dot, ("d", "key"), " detaches ", ("2", "key"), " shows them")
        return line(detail or fallback.get(s.state, ""))
    if s.state == "held" and s.held.cause == "cooldown":
        return _cooldown(scene, s)
    return _causes(s, width)


def _also(s: Snapshot) -> str:
    """The numbers behind a stop, and what goes on all the same."""
    if s.state == "budget" and s.cost.cap_pusd is not None:
        return f"spent {fmt.money(s.cost.spent_pusd)} of {fmt.money(s.cost.cap_pusd)}, nothing is lost"
    jobs = open_jobs(s)
    return (
        f"{jobs} batch job{'s' if jobs > 1 else ''} at the provider go{'es' if jobs == 1 else ''} on"
        if jobs
        else ""
    )


def _cooldown(scene: Scene, s: Snapshot) -> Line:
    """The provider asked for a rest: how long still, what it said last, and that nobody need do anything."""
    left = "" if s.held.until_at is None else f" {max(s.held.until_at - scene.now, 0.0):.0f} s"
    last = max(s.errors.kinds, key=lambda kind: kind.last_at or 0.0, default=None)
    words = f", last {said(last.name, 20)}: {said(last.last_message, 50)}" if last is not None else ""
    return line("held by ", (f"provider cooldown{left}", "warn"), words, ("; goes on by itself", "muted"))


def _causes(s: Snapshot, width: int) -> Line:
    shares = dict(s.held.shares)
    if s.held.cause is None:
        return line("held by ", ("nothing", "good"), ": all answers are on their way")
    what = said(s.held.detail, 40) or cause(s.held.cause)
    if s.held.cause == "cooldown" and "cooldown" not in what:
        what = f"provider cooldown {what}"
    spans: list[Span] = [("held by ", "plain"), (what, "warn")]
    if s.held.cause in shares:
        spans.append((f" ({fmt.percent(shares.pop(s.held.cause))} of waiting)", "plain"))
    room = width - width_of(tuple(spans))
    for name, share in shares.items():
        text = f", {cause(name)} {fmt.percent(share)}"
        if share < 0.005 or cells(text) > room:
            break
        spans.append((text, "muted"))
        room -= cells(text)
    return tuple(spans)
