"""The parallel-process anti-pattern: many Python processes where one would do, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

MANY_PROCESSES = 20
"""So many Python processes doing API work are a way of working, not an accident."""
_LOAD_PER_CORE = 2.0
_IDLE_CPU_PCT = 50.0
_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFigures:
    """What there is to judge by. Processes are other Python processes of this user."""

    count: int
    rss_bytes: int
    """Of all of them together."""
    largest_rss_bytes: int = 0
    api_count: int | None = None
    """Those with a connection to an API (port 443, or an address that we use too); None: cannot be seen."""
    api_rss_bytes: int = 0
    same_count: int = 0
    """Those connected to the very address that we use."""
    same_rss_bytes: int = 0
    load_1m: float | None = None
    cores: int = 1
    """Of the machine that the load is of."""
    cpu_pct: float | None = None


def anti_pattern(figures: ProcessFigures, per_process_bytes: int) -> str | None:
    """Name the anti-pattern with its cost in one sentence; None when there is no sign of it.

    `per_process_bytes`: what one process is said to take (`memory.per_process`); 0: the largest
    that was seen stands for it, since each holds a copy of the same data.
    """
    count, rss = figures.count, figures.rss_bytes
    if figures.api_count is not None:
        count, rss = figures.api_count, figures.api_rss_bytes
    as_one = f"as one process about {_gib(per_process_bytes or figures.largest_rss_bytes)}"
    if count >= MANY_PROCESSES:
        doing = "do API work" if figures.api_count is not None else "run, perhaps for API work"
        return (
            f"parallel-process anti-pattern: {count} Python processes {doing}: {_gib(rss)} together; {as_one}"
        )
    if _is_stalled(figures):
        return (
            f"parallel-process anti-pattern: load {figures.load_1m:.1f} on {figures.cores} cores with "
            f"{figures.cpu_pct:.0f} % CPU, {figures.count} other Python processes "
            f"({_gib(figures.rss_bytes)} together): they wait, they do not work"
        )
    if figures.same_count:
        noun = "process uses" if figures.same_count == 1 else "processes use"
        same = _gib(figures.same_rss_bytes)
        return f"{figures.same_count} other Python {noun} this API: {same} together; {as_one}"
    return None


def _is_stalled(figures: ProcessFigures) -> bool:
    """Load far above the cores with an idle CPU, and more than one process that could be the reason."""
    if figures.load_1m is None or figures.cpu_pct is None or figures.count < 2:
        return False
    return figures.load_1m > _LOAD_PER_CORE * figures.cores and figures.cpu_pct < _IDLE_CPU_PCT


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"
