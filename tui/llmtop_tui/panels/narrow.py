"""All panels on one line each, for screens under 100 columns or 30 rows."""

from __future__ import annotations

from llmtop_tui.ink import Line
from llmtop_tui.looks import Looks
from llmtop_tui.panels import cost, errors, history, latency, memory, processes, throughput, tuner
from llmtop_tui.scene import Scene

_ORDER = (
    memory.short,
    processes.short,
    throughput.short,
    history.short,
    latency.short,
    cost.short,
    errors.short,
    tuner.short,
)
_VITAL = (throughput.short, cost.short, errors.short, memory.short, latency.short)


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """One line a panel; where not all fit, the most important ones."""
    chosen = [each for each in _ORDER if looks.has_plot or each is not history.short]
    if height < len(chosen):
        vital = _VITAL[:height]
        chosen = [each for each in chosen if each in vital]
    return [each(scene, width, looks) for each in chosen]
