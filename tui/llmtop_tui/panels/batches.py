"""Provider batch jobs and packs: how many there are, and one of them in words."""

from __future__ import annotations

from llmtop.snapshot import FlightRow
from llmtop_tui import format as fmt
from llmtop_tui.ink import EMPTY, Line, line, pad, said
from llmtop_tui.looks import Looks
from llmtop_tui.scene import Scene

_VIA = {"rt": "realtime: one call", "batch": "batch API of the provider"}


def summary(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """One line: jobs, packs, single requests, and the latency of batches."""
    if scene.snapshot is None:
        return [line(("  -", "muted"))]
    rows = scene.snapshot.rows
    jobs = sum(row.via == "batch" for row in rows)
    packs = sum(row.via != "batch" and row.items > 1 for row in rows)
    p50 = scene.snapshot.latency.batch.p50
    parts = [f"{jobs} provider jobs", f"{packs} packs", f"{len(rows) - jobs - packs} single requests"]
    if p50 is not None:
        parts.append(f"batch p50 {fmt.latency(p50)}")
    return [line((f"  {'   '.join(parts)}   (in flight and the last finished)", "muted"))]


def detail(row: FlightRow | None, scene: Scene, *, is_there: bool) -> list[Line]:
    """All that the snapshot says of a row."""
    if row is None or scene.snapshot is None:
        return [line(("no such row any more: esc goes back", "muted"))]
    age = fmt.age(max(scene.snapshot.at - row.started_at, 0.0))
    facts = (
        ("id", said(row.key, 200)),
        ("via", _VIA.get(row.via, row.via)),
        ("state", said(row.state, 300)),
        ("items", f"{fmt.count(row.items_done)} of {fmt.count(row.items)}"),
        ("item", said(row.item_id, 512) or "-"),
        ("attempt", fmt.count(row.attempt)),
        ("sent", f"{fmt.clock(row.started_at)}, {age} ago"),
        ("latency", fmt.latency(row.latency_s)),
        ("tokens", fmt.count(row.tokens)),
        ("cost", fmt.money(row.cost_pusd)),
        ("note", said(row.note, 1000) or "-"),
    )
    body = [
        line((pad(name, 10), "muted"), (value, row.role if name == "state" else "plain"))
        for name, value in facts
    ]
    if not is_there:
        body += [EMPTY, line(("it is over, and this is the last that was seen of it", "muted"))]
    if row.item_id:
        body += [EMPTY, line(("enter", "key"), " opens the item")]
    return body
