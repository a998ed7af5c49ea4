"""The pictures of the docs, which are the snapshots that a change of the screens is held against."""

from __future__ import annotations

import asyncio
import html
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from llmtop_tui import pictures
from llmtop_tui.sample import SAMPLE

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    _in_utc(monkeypatch)


def _in_utc(patch: pytest.MonkeyPatch) -> None:
    patch.delenv("NO_COLOR", raising=False)
    patch.setitem(os.environ, "TZ", "UTC")
    time.tzset()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """All pictures, made once."""
    with pytest.MonkeyPatch.context() as patch:
        _in_utc(patch)
        yield asyncio.run(pictures.write_all(tmp_path_factory.mktemp("pictures")))


def test_the_pictures_of_the_docs_are_svg_of_the_program_itself(written: list[Path]) -> None:
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
    folder = written[0].parent
    overview = (folder / "overview-120x40.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    assert "18:42:07" in overview
    assert "Raise the budget?" in (folder / "paused-80x24.svg").read_text(encoding="utf-8").replace(
        "&#160;", " "
    )


async def test_the_same_picture_twice_is_the_same_file() -> None:
    first = await pictures.picture(pictures.over_run(SAMPLE), (80, 24))
    second = await pictures.picture(pictures.over_run(SAMPLE), (80, 24))

    assert first == second


def test_the_pictures_in_the_docs_show_the_program_as_it_is(written: list[Path]) -> None:
    """Where a screen was changed on purpose: `make pictures`, and look at them."""
    for path in written:
        kept = (PICTURES / path.name).read_text(encoding="utf-8")
        now = path.read_text(encoding="utf-8")
        assert _words(now) == _words(kept), (
            f"{path.name} shows something else; `make pictures` writes it anew"
        )
        assert now == kept, f"{path.name} has other colours or places; `make pictures` writes it anew"


def _words(svg: str) -> list[str]:
    """The texts of a picture, which tell more in a failure than its paths and colours."""
    return [html.unescape(text).replace("\xa0", " ") for text in re.findall(r">([^<>]+)</text>", svg)]
