"""`python`: a function of the user's own, named in the config and enabled by --allow-code.

    def check(text: str, fields: dict) -> None | bool | str | dict

None and True pass; a text takes the answer's place; False, or {"reject": "why"}, rejects it. An
exception rejects that answer and harms no other. Without `workers` the function runs where the
chain runs; with them whoever owns the processes asks it there, by the settings that stand here.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol

from llmtop.cleaning import clean
from llmtop.config import amounts, values
from llmtop.config.suggest import did_you_mean
from llmtop.errors import ConfigError
from llmtop.policy.filters.settings import setting
from llmtop.policy.filters.verdicts import PASS, Changed, FilterContext, Rejected, Verdict

_FORM = 'Write call = "module:function" or "folder/file.py:function".'


class FilterFunction(Protocol):
    """What a user's function looks like."""

    def __call__(self, text: str, fields: Mapping[str, Any]) -> object:
        """Judge one text of the item with these fields."""


def _call(value: Any) -> str:
    call: str = values.one_line(1_000)(value)
    module, colon, function = call.rpartition(":")
    is_name = all(part.isidentifier() for part in module.split("."))
    if not colon or not function.isidentifier() or not (module.endswith(".py") or is_name):
        raise values.BadValue(f"is {values.shown(call)}, and names no function", _FORM)
    return call


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSettings:
    """Which function, and where it runs."""

    call: str = setting(_call)
    """"module:function", or "file.py:function"; a relative file is relative to the config."""
    workers: int = setting(values.whole(0, 64), 0)
    """Processes for work that keeps a core busy; 0: in the run's own process."""
    time_limit: float | None = setting(amounts.duration(0, 3600, is_open=True), None)
    """Seconds for one answer, in a process of its own; None: `TIME_LIMIT_S`."""
    memory_limit: int | None = setting(amounts.size(2**26, 2**40), None)
    """Bytes of address space of such a process; None: `MEMORY_LIMIT_BYTES`."""

    def __post_init__(self) -> None:
        for name, is_said in (
            ("time_limit", self.time_limit is not None),
            ("memory_limit", self.memory_limit is not None),
        ):
            if is_said and not self.workers:
                raise ConfigError(name, "has no effect in the run's own process", "Set workers = 1 or more.")


TIME_LIMIT_S = 10.0
MEMORY_LIMIT_BYTES = 2 * 2**30


def load_function(call: str) -> FilterFunction:
    """Return the function that `call` names. This runs the module's code.

    Raises ConfigError at "call" when it is not there, is no function, or its module fails.
    """
    place, _, name = call.rpartition(":")
    try:
        module = _from_file(place) if place.endswith(".py") else importlib.import_module(place)
    except FileNotFoundError:
        raise ConfigError("call", f"names the file {clean(place, limit=200)}, which is not there") from None
    except ModuleNotFoundError as error:
        missing = clean(str(error.name), limit=80)
        raise ConfigError("call", f'needs the module "{missing}", which is not installed', _FORM) from None
    except (Exception, SystemExit) as error:  # the user's code may raise anything while it is imported
        said = clean(f"{type(error).__name__}: {error}", limit=200)
        raise ConfigError("call", f"{clean(place, limit=200)} cannot be loaded ({said})") from None
    function = getattr(module, name, None)
    if function is None:
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        hint = did_you_mean(name, known) or f"It has: {', '.join(sorted(known)[:10]) or 'no function'}."
        raise ConfigError("call", f'names "{name}", which {clean(place, limit=200)} does not have', hint)
    if not callable(function):
        raise ConfigError("call", f'names "{name}", which is no function')
    checked: FilterFunction = function
    return checked


def _from_file(path: str) -> ModuleType:
    name = "llmtop_filter_" + "".join(c if c.isalnum() else "_" for c in path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class PythonFunction:
    """Asks a function of the user's, and trusts nothing that it returns."""

    name: ClassVar[str] = "python"
    sees: ClassVar[Literal["leaf", "whole"]] = "leaf"

    def __init__(
        self, settings: PythonSettings, load: Callable[[str], FilterFunction] = load_function
    ) -> None:
        self.settings = settings
        self._load = load
        self._function = None if settings.workers else load(settings.call)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is to be asked in a process of its own; `apply` still works, and loads it here."""
        return self.settings.workers > 0

    def apply(self, text: str, context: FilterContext) -> Verdict:
        if self._function is None:
            self._function = self._load(self.settings.call)
        return judged_by(self._function, text, context.item.fields)


def judged_by(function: FilterFunction, text: str, fields: Mapping[str, Any]) -> Verdict:
    """Return what a user's function says to a text, as a verdict, whatever it does."""
    name = PythonFunction.name
    try:
        said = function(text, dict(fields))
    except Exception as error:  # the user's code may raise anything, and only this answer is concerned
        return Rejected(name, clean(f"made it raise {type(error).__name__}: {error}", limit=200))
    if said is None or said is True:
        return PASS
    if said is False:
        return Rejected(name, "is refused by it")
    if isinstance(said, str):
        return PASS if said == text else Changed(said, 1, "changed by it")
    if isinstance(said, Mapping) and isinstance(said.get("reject"), str):
        return Rejected(name, clean(said["reject"], limit=200) or "is refused by it")
    return Rejected(name, f"made it return {type(said).__name__}, and not a text, a truth or a reason")
