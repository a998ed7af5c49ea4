"""Whole runs: the real program against a simulated provider that keeps its own books."""

import sys
from pathlib import Path

import pytest

_SUPPORT = str(Path(__file__).parents[1] / "support")
if _SUPPORT not in sys.path:
    sys.path.insert(0, _SUPPORT)

from whole_runs import Desk  # noqa: E402  (only importable once the folder is on the path)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty folder to work in, with a state folder of its own."""
    return Desk(tmp_path)
