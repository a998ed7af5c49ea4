"""What engine and worker say to each other: JSON in frames, a length of four bytes before each."""

from __future__ import annotations

import json
import struct
from typing import Any

from llmtop.policy.filters import Changed, Pass, Rejected, Verdict

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 2**28


def frame(value: Any) -> bytes:
    """Return one value as a frame; lone surrogates pass, as escapes."""
    data = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return LENGTH.pack(len(data)) + data


def from_verdict(verdict: Verdict) -> list[Any]:
    """Return a verdict as plain values."""
    if isinstance(verdict, Changed):
        return ["changed", verdict.text, verdict.hits, verdict.what]
    if isinstance(verdict, Rejected):
        return ["rejected", verdict.rule, verdict.reason, verdict.hits]
    return ["pass"]


def to_verdict(said: list[Any]) -> Verdict:
    """Return the verdict that `from_verdict` described. Raises ValueError or TypeError for anything else."""
    kind, *values = said
    if kind == "changed":
        return Changed(*values)
    if kind == "rejected":
        return Rejected(*values)
    if kind == "pass":
        return Pass(*values)
    raise ValueError(f"no verdict: {kind!r}")
