"""The sources' tests share the inputs of `tests/support/inputs.py`."""

import sys
from pathlib import Path

_SUPPORT = str(Path(__file__).parents[2] / "support")
if _SUPPORT not in sys.path:
    sys.path.insert(0, _SUPPORT)

from inputs import make as make  # noqa: E402  (only importable once the folder is on the path)
