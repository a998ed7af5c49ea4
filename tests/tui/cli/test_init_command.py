"""`init`: the starter config is a good one, and nothing is overwritten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmtop.config.loader import load_config
from llmtop_tui.cli.init import STARTER

Llmtop = Callable[..., Any]


def test_the_starter_config_loads_as_it_is(llmtop: Llmtop, tmp_path: Path) -> None:
    said = llmtop("init", str(tmp_path / "mine.toml"))

    (config,) = load_config(tmp_path / "mine.toml")
    assert said.code == 0
    assert config.name == "mine"


def test_every_line_that_is_commented_out_is_a_setting_that_loads(tmp_path: Path) -> None:
    lines = STARTER.splitlines()
    settings = [
        line[2:] if line.startswith("# ") and ("=" in line or line[2] == "[") else line for line in lines
    ]
    file = tmp_path / "all.toml"
    file.write_text("\n".join(settings))

    (config,) = load_config(file)

    assert config.limits.tokens_per_minute == 200_000


def test_a_file_that_is_there_is_kept(llmtop: Llmtop, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("mine")

    said = llmtop("init", str(file))

    assert said.code == 2
    assert "is there already" in said.err
    assert file.read_text() == "mine"


def test_force_writes_over_a_file_but_not_through_a_link(llmtop: Llmtop, tmp_path: Path) -> None:
    file, link = tmp_path / "mine.toml", tmp_path / "link.toml"
    file.write_text("mine")
    link.symlink_to(file)

    assert llmtop("init", str(link), "--force").code == 4
    assert file.read_text() == "mine"
    assert llmtop("init", str(file), "--force").code == 0
    assert file.read_text() == STARTER


def test_a_dash_prints_it(llmtop: Llmtop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert llmtop("init", "-").out == STARTER
    assert list(tmp_path.iterdir()) == []
