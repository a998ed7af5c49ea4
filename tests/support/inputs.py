"""Inputs made on the spot, and what a scan of them says."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmtop.adapters.sources import ScannedItem, Source, open_source
from llmtop.config.schema import InputConfig
from llmtop.errors import InputError

NOTHING_NEEDED: frozenset[str] = frozenset()

Make = Callable[..., Source]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make_source(content: str | bytes, name: str = "in.jsonl", **said: Any) -> Source:
        raw = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return open_source(InputConfig(path=path, **said))

    return make_source


def scanned(source: Source, needed: frozenset[str] | None = NOTHING_NEEDED) -> list[ScannedItem]:
    return list(source.scan(needed))


def fault(source: Source, needed: frozenset[str] | None = NOTHING_NEEDED) -> str:
    with pytest.raises(InputError) as caught:
        scanned(source, needed)
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()
    return str(caught.value)
