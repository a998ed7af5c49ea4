from __future__ import annotations

import os
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from llmtop_tui import pictures
from llmtop_tui.sample import SAMPLE


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "UTC")
    time.tzset()


async def test_the_pictures_of_the_docs_are_svg_of_the_program_itself(tmp_path: Path) -> None:
    written = await pictures.write_all(tmp_path)

    names = {path.stem for path in written}
    assert {
        "overview-80x24",
        "overview-120x40",
        "overview-200x50",
        "runs-80x24",
        "help-100x40",
        "paused-80x24",
    } <= names
    for path in written:
        text = path.read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        assert "@font-face" not in text
    overview = (tmp_path / "overview-120x40.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    assert "18:42:07" in overview
    assert "Raise the budget?" in (tmp_path / "paused-80x24.svg").read_text(encoding="utf-8").replace(
        "&#160;", " "
    )


async def test_the_same_picture_twice_is_the_same_file() -> None:
    first = await pictures.picture(pictures.over_run(SAMPLE), (80, 24))
    second = await pictures.picture(pictures.over_run(SAMPLE), (80, 24))

    assert first == second
