"""Our own processes, and other Python processes of this user on the same API."""

from __future__ import annotations

from llmtop.snapshot import ProcessView
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Span, line, said, width_of, wrap
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels.words import TIGHT, skeleton
from llmtop_tui.scene import Scene

TITLE = "Processes"
MANY_PROCESSES = 20


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Engine, viewers, children; the warning or the neighbours; load and open files."""
    if scene.snapshot is None:
        return skeleton(("engine", "viewers", "python", "load", "files"), 9)[:height]
    p = scene.snapshot.processes
    gap = " " if width < TIGHT else "  "
    neighbours = _neighbours(p, width, max(height - 2, 1), looks)
    is_long = len(neighbours) > max(height - 3, 1)
    body: list[Line] = [
        line(
            "engine ",
            (_count(p.engine_pid and 1), "strong"),
            gap + "viewers ",
            (_count(p.viewers), "strong"),
            "" if width < TIGHT else "  children ",
            ("" if width < TIGHT else _count(p.children), "strong"),
        )
    ]
    body += neighbours
    load_role: Role = "warn" if p.load_1m is not None and p.load_1m > 2 * p.cores else "strong"
    load: Line = line(
        "load ",
        (fmt.three(p.load_1m), load_role),
        f" of {_count(p.cores)}",
        "" if width < TIGHT or is_long else " cores" if p.cores != 1 else " core",
        "  cpu ",
        (_cpu(p.cpu_pct), "strong"),
    )
    if is_long:  # the warning is worth more than the group
        files = line("  fds ", (fmt.short(p.open_files), "strong"))
        fits = width_of(load) + width_of(files) <= width
        return [*body, (*load, *files) if fits else load][:height]
    return [*body, load, _group(p)][:height]


def short(scene: Scene, width: int, looks: Looks) -> Line:
    """One line: engine, neighbours, load."""
    head = line((" proc ", "muted"))
    if scene.snapshot is None:
        return line(*head, ("-", "muted"))
    p = scene.snapshot.processes
    rss = scene.snapshot.memory.engine_rss_bytes
    spans: list[Span] = [
        *head,
        ("engine ", "plain"),
        (fmt.memory(rss), "strong"),
        (f" cpu {_cpu(p.engine_cpu_pct)}", "plain"),
        (
            ("" if width < 76 else f"  group {fmt.short(p.cgroup_processes)}")
            + f"  load {fmt.three(p.load_1m)}/{_count(p.cores)}  ",
            "plain",
        ),
    ]
    if p.python_processes:
        many = "" if width < 76 else " python"
        glyph, role = (f"{looks.glyphs.warn} ", _role(p)) if p.warning else ("", "plain")
        spans.append(
            (f"{glyph}{_count(p.python_processes)} other{many}, {fmt.memory(p.python_rss_bytes)}", role)
        )
    else:
        spans.append(("no other python", "plain"))
    return tuple(spans)


def _group(p: ProcessView) -> Line:
    """How many processes share this memory limit; the engine's own use."""
    return line(
        "group ",
        (fmt.short(p.cgroup_processes), "strong"),
        "  engine ",
        (_cpu(p.engine_cpu_pct), "strong"),
        "  fds ",
        (fmt.short(p.open_files), "strong"),
        f"/{fmt.short(p.open_files_limit)}",
    )


def _neighbours(p: ProcessView, width: int, room: int, looks: Looks) -> list[Line]:
    if p.warning:
        parts = wrap(f"{looks.glyphs.warn} {said(p.warning)}", width)[:room]
        return [line((part, _role(p))) for part in parts]
    if not p.python_processes:
        return [line("no other python of this user")]
    number = _count(p.python_processes)
    return [
        line("other python ", (number, "strong"), ", together ", (fmt.memory(p.python_rss_bytes), "strong"))
    ]


def _role(p: ProcessView) -> Role:
    return "bad" if p.python_processes >= MANY_PROCESSES else "warn"


def _count(value: int) -> str:
    return fmt.short(value)


def _cpu(value: float | None) -> str:
    return fmt.percent(None if value is None else value / 100)
