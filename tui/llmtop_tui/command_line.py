"""What is typed after `:`: the verbs of the shell commands, without `llmtop` and the run's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SETTINGS = (
    "concurrency",
    "requests_per_second",
    "requests_per_minute",
    "tokens_per_minute",
    "items_per_request",
    "max_cost",
    "tuner",
)
_ACTIONS = {
    "pause": "pause",
    "pause now": "hold",
    "hold": "hold",
    "resume": "resume",
    "stop": "drain",
    "stop now": "now",
    "cancel": "cancel",
    "retry failed": "retry failed",
    "retry rejected": "retry rejected",
    "undo": "undo",
    "items": "screen_3",
    "batches": "screen_2",
    "settings": "screen_7",
    "compare": "screen_8",
    "budget": "budget",
    "help": "help",
    "detach": "detach",
    "quit": "quit",
    "q": "quit",
}


_OF_JOBS = ("batches --cancel ", "batches --look-up ")


@dataclass(frozen=True, slots=True)
class Typed:
    """What was meant: settings to change, an action, or what is wrong."""

    settings: Mapping[str, str] = field(default_factory=dict)
    action: str = ""
    fault: str = ""


def parse(text: str) -> Typed:
    """Read one typed line."""
    words = text.replace("--", "").split()
    if words[:1] == ["llmtop"]:
        words = words[1:]
    if not words:
        return Typed()
    if words[0] == "set":
        return _settings(words[1:])
    if words[0] == "batches" and words[1:2] in (["cancel"], ["look-up"]):
        is_whole = len(words) == 3
        return Typed(action=" ".join(words)) if is_whole else Typed(fault="write :batches --cancel JOB")
    if words[0] == "export":
        return Typed(action=" ".join(words)) if len(words) == 2 else Typed(fault="write :export FILE")
    action = _ACTIONS.get(" ".join(words))
    if action is None:
        return Typed(fault=f"no such command: {' '.join(words)[:60]}; tab completes")
    return Typed(action=action)


def _settings(words: list[str]) -> Typed:
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            return Typed(fault=f"{word[:40]}: write KEY=VALUE, as in concurrency=64")
        if key not in SETTINGS:
            return Typed(fault=f"no such setting: {key[:40]}; there are {', '.join(SETTINGS)}")
        values[key] = value
    return Typed(settings=values) if values else Typed(fault="set what? as in concurrency=64")


def complete(text: str) -> list[str]:
    """Lines that the typed start can become."""
    if text.startswith("set "):
        *before, last = text.split(" ")
        return [" ".join([*before, f"{name}="]) for name in SETTINGS if name.startswith(last)]
    names = ("set ", "export ", *_OF_JOBS, *_ACTIONS)
    return sorted(name for name in names if name.startswith(text) and name != "q")
