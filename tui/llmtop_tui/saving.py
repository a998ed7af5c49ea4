"""Text into a file that the operator names: never over another one, never through a link."""

from __future__ import annotations

import os
from pathlib import Path

COPIED_AT_MOST = 100_000
"""Characters that go to the clipboard; more goes into a file."""


def save(path: str, text: str) -> str:
    """Write a new file, 0600; return its full path. Raises OSError when it exists or cannot be made."""
    target = Path(path).expanduser().absolute()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "w", encoding="utf-8", errors="replace") as file:
        file.write(text if text.endswith("\n") else text + "\n")
    return str(target)


def free_name(stem: str, ending: str = "txt") -> str:
    """Return a name in the working folder that is not taken; of the stem, only plain characters."""
    plain = "".join(char if char.isalnum() or char in "-_" else "-" for char in stem)[:60] or "llmtop"
    for number in range(1, 1000):
        name = f"{plain}.{ending}" if number == 1 else f"{plain}-{number}.{ending}"
        if not Path(name).exists():
            return name
    return f"{plain}-{os.getpid()}.{ending}"
