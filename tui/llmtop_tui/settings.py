"""Settings as text: what a run has now, money as typed and as sent, the shell command that does the same."""

from __future__ import annotations

import math
import shlex
from decimal import Decimal, InvalidOperation

from llmtop.model import PUSD_PER_USD, Command
from llmtop.snapshot import Snapshot
from llmtop_tui.ink import said
from llmtop_tui.panels.words import knob

NO_CAP = "none"


def parse_money(text: str) -> int | None:
    """Dollars as typed (`8`, `$8.50`) in pico-dollars; None when it is no amount above 0."""
    try:
        amount = Decimal(text.strip().removeprefix("$").replace(",", ""))
        if not amount.is_finite() or not 0 < amount < 10**9:
            return None
        return int(amount * PUSD_PER_USD)
    except (InvalidOperation, ValueError):
        return None


def plain_money(pusd: int) -> str:
    """Pico-dollars as `llmtop set` takes them: `5`, `8.50`."""
    amount = Decimal(pusd) / PUSD_PER_USD
    return f"{amount.normalize():f}"


def current(snapshot: Snapshot, key: str) -> str | None:
    """The value of a setting as `llmtop set` would write it; None where it is not known."""
    if key == "max_cost":
        cap = snapshot.cost.cap_pusd
        return NO_CAP if cap is None else plain_money(cap)
    if key == "tuner":
        return "on" if snapshot.tuner.is_on else "off"
    each = knob(snapshot, key)
    if each is not None and each.value not in {"", "-"}:
        return each.value
    if key == "concurrency" and snapshot.throughput.concurrency:
        return str(snapshot.throughput.concurrency)
    return None


def shell_words(command: Command, name: str) -> str:
    """The shell command that does the same."""
    run = shlex.quote(said(name, 60))
    if command.verb == "set":
        values = " ".join(shlex.quote(f"{key}={value}") for key, value in (command.values or {}).items())
        return f"llmtop set {run} {values}"
    words = {
        "hold": f"llmtop pause {run} --now",
        "stop": "ctrl+c in `llmtop run`",
        "stop_now": "ctrl+c twice",
    }
    if command.verb in ("cancel_job", "look_up"):
        job = shlex.quote(str((command.values or {}).get("job", "")))
        return f"llmtop batches {run} --{'cancel' if command.verb == 'cancel_job' else 'look-up'} {job}"
    if command.verb == "retry":
        return f"llmtop retry {run}" + "".join(f" --{key}" for key in (command.values or {}))
    return words.get(command.verb, f"llmtop {command.verb} {run}")


def number(text: str | None) -> float | None:
    """A number out of a setting's text; None where there is none."""
    try:
        value = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
