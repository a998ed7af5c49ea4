"""What a run came to: the summary in the place of the table when it has ended."""

from __future__ import annotations

from llmtop.snapshot import Snapshot
from llmtop_tui import format as fmt
from llmtop_tui.ink import EMPTY, Line, line, pad, said
from llmtop_tui.looks import Looks, Role
from llmtop_tui.scene import ENDED_STATES, Scene

_HEADS = {
    "finished": ("Finished: every item has a result.", "good"),
    "stopped": ("Stopped: what was accepted is saved; the same command goes on.", "strong"),
    "cancelled": ("Cancelled by the operator; what was finished is kept.", "strong"),
    "failed": ("The engine failed; everything accepted is on disk.", "bad"),
}


def has_summary(scene: Scene) -> bool:
    """Whether the run has ended."""
    return scene.snapshot is not None and scene.snapshot.state in ENDED_STATES


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Counts, money, time, where the output is, what to do next."""
    s = scene.snapshot
    if s is None:
        return []
    text, role = _HEADS.get(s.state, ("", "strong"))
    if s.state == "finished" and s.counts.pending:
        text = "Finished."
    head_role: Role = "good" if role == "good" else "bad" if role == "bad" else "strong"
    code = f"   exit code {s.exit_code}" if s.exit_code is not None else ""
    body = [line("  ", (text, head_role), (code, "muted"))]
    if s.state_detail:
        body.append(line("  ", said(s.state_detail)))
    body += [EMPTY, *_facts(s), EMPTY, *(_advice(line_) for line_ in _next_steps(s))]
    return body[:height]


def _facts(s: Snapshot) -> list[Line]:
    counts, t = s.counts, s.throughput
    least = "at least " if s.cost.is_at_least else ""
    speed = counts.finished / s.elapsed_s if s.elapsed_s > 0 else None
    return [
        _fact(
            "items",
            fmt.count(counts.total),
            f"done {fmt.count(counts.done)}   rejected {fmt.count(counts.rejected)}"
            f"   failed {fmt.count(counts.failed)}   pending {fmt.count(counts.pending)}",
        ),
        _fact("time", fmt.clock_span(s.elapsed_s), f"{fmt.three(speed)} items/s on the whole"),
        _fact(
            "cost",
            least + fmt.money(s.cost.spent_pusd),
            f"saved {fmt.money(s.cost.saved_cache_pusd + s.cost.saved_batch_pusd)}"
            f"   possibly billed {fmt.count(s.cost.maybe_billed)}",
        ),
        _fact(
            "requests",
            fmt.count(t.requests),
            f"retries {fmt.count(t.retries)}   429 {fmt.count(t.throttled_429)}",
        ),
        _fact("output", said(s.output_path, 300) or "in the ledger only", ""),
    ]


def _next_steps(s: Snapshot) -> list[tuple[str, str]]:
    name = said(s.name, 60)
    steps = [(f"llmtop export {name}", "results as JSONL or CSV")]
    if s.counts.failed:
        steps.append((f"llmtop items {name} --status failed", "what failed, and why"))
        steps.append((f"llmtop retry {name} --failed", "asks the failed ones again"))
    if s.counts.rejected:
        steps.append((f"llmtop items {name} --status rejected", "what the filters said no to"))
    if s.counts.pending:
        steps.append((f"llmtop run --resume {name}", "goes on where it stopped"))
    return steps


def _fact(label: str, value: str, rest: str) -> Line:
    return line(("  " + pad(label, 10), "muted"), (value, "strong"), f"   {rest}" if rest else "")


def _advice(step: tuple[str, str]) -> Line:
    command, meaning = step
    return line("  ", (pad(command, max(len(command), 40)), "key"), f"  {meaning}")
