"""Standard input is kept in a private file, and read from there."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from llmtop.adapters.sources import Source, open_source
from llmtop.config.schema import InputConfig
from llmtop.errors import InputError, StateError

STDIN = InputConfig(path=Path("-"))


def ids(source: Source) -> list[str]:
    return [item.id for item in source.scan(frozenset())]


def test_what_comes_in_is_kept_for_its_owner_alone_and_can_be_read_again(tmp_path: Path) -> None:
    spool = tmp_path / "stdin"
    old = os.umask(0)
    try:
        first = open_source(STDIN, spool=spool, stdin=io.BytesIO(b'{"id":"a"}\n{"id":"b"}\n'))
    finally:
        os.umask(old)

    assert ids(first) == ["a", "b"]
    assert stat.S_IMODE(spool.stat().st_mode) == 0o600
    assert ids(open_source(STDIN, spool=spool)) == ["a", "b"]


def test_another_format_can_be_said_for_it(tmp_path: Path) -> None:
    config = InputConfig(path=Path("-"), format="csv")

    assert ids(open_source(config, spool=tmp_path / "s", stdin=io.BytesIO(b"id,t\nx,1\n"))) == ["x"]


def test_nothing_to_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was not kept"):
        open_source(STDIN, spool=tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read here"):
        open_source(STDIN)
    with pytest.raises(InputError, match="standard input: has no items"):
        ids(open_source(STDIN, spool=tmp_path / "s", stdin=io.BytesIO(b"")))


def test_a_terminal_is_not_waited_for(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        with os.fdopen(slave, "rb") as terminal, pytest.raises(InputError, match="is a terminal"):
            open_source(STDIN, spool=tmp_path / "s", stdin=terminal)
    finally:
        os.close(master)


def test_a_planted_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "spool").symlink_to(tmp_path / "victim")

    with pytest.raises(StateError):
        open_source(STDIN, spool=tmp_path / "spool", stdin=io.BytesIO(b"{}\n"))

    assert (tmp_path / "victim").read_text() == "precious"
