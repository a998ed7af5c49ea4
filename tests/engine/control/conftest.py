"""Doors on stored runs are tested with the ledger's values."""

import sys
from pathlib import Path

import pytest

_SUPPORT = str(Path(__file__).parents[2] / "support")
if _SUPPORT not in sys.path:
    sys.path.insert(0, _SUPPORT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run that is not there yet."""
    return tmp_path / "runs" / "motions-3f9a2c"
