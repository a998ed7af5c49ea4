"""What an engine's process loads: nothing that draws, and nothing that only some runs need."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("entry", ["llmtop.control.background", "llmtop.control.launch"])
def test_an_engine_imports_no_screen_and_no_price_list(entry: str) -> None:
    unwanted = "{'textual', 'rich', 'typer', 'click', 'llmtop_tui', 'genai_prices'}"
    code = f"import sys, {entry}; print(sorted({unwanted} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"
