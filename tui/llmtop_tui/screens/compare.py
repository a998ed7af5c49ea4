"""This run beside the newest others over the same items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from llmtop.errors import UsageError
from llmtop_tui.ink import Line
from llmtop_tui.panels import compare
from llmtop_tui.scene import Scene
from llmtop_tui.screens.read_screen import ReadScreen

if TYPE_CHECKING:
    from llmtop.control.compare import ComparedRun
    from llmtop.control.library import Home

_AT_MOST = 8
_AT_REST = frozenset({"finished", "failed", "cancelled", "stopped"})


class CompareScreen(ReadScreen[tuple["ComparedRun", ...]]):
    """Read from the ledgers, again and again while one of the runs goes on."""

    TAB: ClassVar[str] = "8"
    WORDS: ClassVar[str] = "reading the results of the runs"

    def read(self, home: Home, run_id: str) -> tuple[ComparedRun, ...]:
        from llmtop.control.compare import compare, peers  # sources and templates: for this screen only

        refs = peers(home, run_id, _AT_MOST)
        if len(refs) == 1:
            raise UsageError("", "no other run over the same items is in the state folder")
        return compare(home, refs)

    def words(self, found: tuple[ComparedRun, ...], scene: Scene, width: int) -> Sequence[Line]:
        return compare.lines(found, width)

    def goes_on(self, found: tuple[ComparedRun, ...]) -> bool:
        return any(run.state not in _AT_REST for run in found)
