"""The config's tests share the files of `tests/support/config_files.py`."""

import sys
from pathlib import Path

_SUPPORT = str(Path(__file__).parents[2] / "support")
if _SUPPORT not in sys.path:
    sys.path.insert(0, _SUPPORT)

from config_files import write as write  # noqa: E402  (only importable once the folder is on the path)
