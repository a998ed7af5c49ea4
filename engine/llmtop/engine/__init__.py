"""The runs of one process: shared lanes, embedded simulators, the machine's probes, start and end."""

from llmtop.engine.engine import Engine

__all__ = ["Engine"]
