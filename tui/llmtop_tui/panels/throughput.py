"""How fast it goes: requests, items, tokens; what is in flight and what waits."""

from __future__ import annotations

from llmtop.snapshot import Snapshot
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Part, line, pad, right
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels.words import TIGHT, skeleton, wished
from llmtop_tui.scene import Scene

TITLE = "Throughput"
_VALUE = 7


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Rates, in flight of allowed, queue, what was saved."""
    if scene.snapshot is None:
        return skeleton(("req/s", "items/s", "tok/s in", "in flight", "cache"), 10)[:height]
    t = scene.snapshot.throughput
    allowed = wished(scene, "concurrency", fmt.short(t.concurrency), looks)
    return [
        _row("req/s", t.requests_per_s, "max", fmt.three(t.requests_per_s_max), width, _role(scene.snapshot)),
        _row(
            "items/s",
            t.items_per_s,
            "5min" if width < TIGHT else "5 min",
            fmt.three(t.items_per_s_5min),
            width,
        ),
        _row("tok/s in", t.input_tokens_per_s, "out", fmt.three(t.output_tokens_per_s), width),
        line(
            "flight " if width < TIGHT else "in flight ",
            (fmt.short(t.in_flight), "strong"),
            "/",
            allowed,
            "  queue ",
            (fmt.short(t.queued), "strong"),
        ),
        line(
            "retry " if width < TIGHT else "retrying ",
            (fmt.short(t.retry_waiting), "strong"),
            "  cache ",
            (fmt.short(t.cache_hits), "strong"),
            "" if width < TIGHT else "  joined ",
            ("" if width < TIGHT else fmt.short(t.dup_joined), "strong"),
        ),
    ][:height]


def short(scene: Scene, width: int, looks: Looks) -> Line:
    """One line: the three rates and in flight."""
    head = line((" rate ", "muted"))
    if scene.snapshot is None:
        return line(*head, ("-", "muted"))
    t = scene.snapshot.throughput
    flight: Line = line(
        "flight ",
        (fmt.short(t.in_flight), "strong"),
        "/",
        wished(scene, "concurrency", fmt.short(t.concurrency), looks),
    )
    if width < 76:
        return line(
            *head,
            "req/s ",
            (f"{fmt.three(t.requests_per_s):<6}", _role(scene.snapshot)),
            "items/s ",
            (f"{fmt.three(t.items_per_s):<6}", "strong"),
            "tok/s ",
            (f"{fmt.three(t.input_tokens_per_s + t.output_tokens_per_s):<7}", "strong"),
            *flight,
        )
    tokens: Part = f"{fmt.three(t.input_tokens_per_s)} in {fmt.three(t.output_tokens_per_s)} out"
    return line(
        *head,
        "req/s ",
        (f"{fmt.three(t.requests_per_s):<7}", _role(scene.snapshot)),
        "items/s ",
        (f"{fmt.three(t.items_per_s):<7}", "strong"),
        "tok/s ",
        (f"{tokens:<19}", "strong"),
        *flight,
    )


def _row(label: str, value: float, second: str, other: str, width: int, role: Role = "strong") -> Line:
    gap = "  " if width < TIGHT else "   "
    return line(
        pad(label, 8 if width < TIGHT else 9),
        (right(fmt.three(value), _VALUE), role),
        f"{gap}{second:<{max(min(width - 25, 6), 4)}}",
        (right(other, _VALUE), "strong"),
    )


def _role(snapshot: Snapshot) -> Role:
    """Nothing moves for ten seconds although nothing holds the run: that is a warning."""
    t = snapshot.throughput
    stands = snapshot.state == "running" and snapshot.held.cause is None and snapshot.elapsed_s > 10
    return "warn" if stands and t.requests_per_s == 0 and t.queued > 0 else "strong"
