"""What every command has: `--home`, `--json`, `--debug`, and how a command gets them.

They may stand before the command's name or behind it.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmtop_tui.cli.entry import twin

if TYPE_CHECKING:
    from llmtop.control.library import Home


def option(*names: str, help: str, **settings: Any) -> Any:
    """Describe an option; its environment twins are named after its long names."""
    twins = [twin(name) for name in names if name.startswith("--")]
    return typer.Option(*names, envvar=twins, show_envvar=False, show_default=False, help=help, **settings)


HomeOption = Annotated[
    Path | None,
    option(
        "--home", metavar="DIR", help="State folder. Default: the platform's user state folder for llmtop."
    ),
]
JsonOption = Annotated[bool, option("--json", help="JSON on stdout, errors as an object.")]
DebugOption = Annotated[bool, option("--debug", help="Show a traceback when it fails.")]


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every command has. `--debug` is `main`'s: it is for whatever goes wrong."""

    home_path: Path | None = None
    is_json: bool = False

    def home(self) -> Home:
        """Open the state folder. Raises StateError."""
        from llmtop.control.library import Home

        return Home.open(self.home_path, os.environ)


def command(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command the options that every command has; it gets them as its first argument."""
    own = inspect.signature(function, eval_str=True)
    first, *parameters = own.parameters.values()
    added = [
        inspect.Parameter("home", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=HomeOption),
        inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption),
        inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=DebugOption),
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]

    @functools.wraps(function)
    def with_common(
        *, ctx: typer.Context, home: Path | None, as_json: bool, debug: bool, **words: Any
    ) -> int | None:
        above = ctx.obj if isinstance(ctx.obj, Common) else Common()
        return function(Common(home or above.home_path, as_json or above.is_json), **words)

    with_common.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*keywords, *added, context], return_annotation=int | None
    )
    with_common.__annotations__ = {}
    assert first.annotation is Common
    return with_common
