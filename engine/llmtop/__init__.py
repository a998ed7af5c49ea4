"""llmtop: push many items through paid, rate-limited LLM APIs from one process."""

__version__ = "0.1.0"
