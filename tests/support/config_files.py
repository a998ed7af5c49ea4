"""Config files made on the spot, and the faults that a look at them tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llmtop.config.loader import load_config
from llmtop.config.schema import RunConfig
from llmtop.errors import ConfigErrors

GOOD = """
[provider]
kind = "openai"
model = "m"
[input]
path = "items.jsonl"
[request]
prompt = "Explain {text}"
"""

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_config(text: str | bytes) -> Path:
        path = tmp_path / "run.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_config


def faults(path: Path, **said: object) -> str:
    with pytest.raises(ConfigErrors) as caught:
        load_config(path, **said)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    return str(caught.value)


def loaded(path: Path, **said: object) -> RunConfig:
    (config,) = load_config(path, **said)  # type: ignore[arg-type]
    return config
