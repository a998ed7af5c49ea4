"""Five lines for a screen under 60x15."""

from __future__ import annotations

from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, fit, line, said
from llmtop_tui.looks import Looks
from llmtop_tui.panels import title
from llmtop_tui.panels.words import skeleton
from llmtop_tui.scene import Scene


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Name, state, progress; rates; memory and money; what to do."""
    s = scene.snapshot
    if s is None:
        return skeleton(("llmtop", "state"), 8)[:height]
    t, c, m = s.throughput, s.cost, s.memory
    cap = f"/{fmt.money(c.cap_pusd)[1:]}" if c.cap_pusd is not None else ""
    used = m.working_set_bytes / m.limit_bytes if m.working_set_bytes is not None and m.limit_bytes else None
    share = fmt.done_percent(s.counts.finished, s.counts.total)
    eta = f" eta {fmt.clock_span(s.eta_s)}" if s.eta_s is not None else ""
    body = [
        line((said(s.name, 14), "strong"), " ", *title.state(scene, looks), f" {share}{eta}"),
        line(
            f"{fmt.three(t.requests_per_s)} r/s {fmt.three(t.items_per_s)} it/s"
            f" p95 {fmt.latency(s.latency.request.p95)} 429 {fmt.short(s.errors.status_429)}"
        ),
        line(
            f"mem {fmt.percent(used)}  {fmt.money(c.spent_pusd)}{cap}"
            f"  flight {fmt.short(t.in_flight)}/{fmt.short(t.concurrency)}"
        ),
        line(("tiny screen: 80x24 shows more", "muted")),
        line(("space + - X d q ?", "key")),
    ]
    return [fit(each, width) for each in body][:height]
