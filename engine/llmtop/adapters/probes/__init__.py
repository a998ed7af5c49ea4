"""What this process and its machine are doing: memory of the control group, processes, load."""

from llmtop.adapters.probes.memory import MemoryProbe, MemoryReading
from llmtop.adapters.probes.processes import OtherProcesses, ProcessProbe, ProcessReading

__all__ = ["MemoryProbe", "MemoryReading", "OtherProcesses", "ProcessProbe", "ProcessReading"]
