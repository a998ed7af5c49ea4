"""What a config for Anthropic and Gemini must say, and what it gets by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmtop.config.kinds import effective_base_url, key_variable
from llmtop.config.loader import load_config
from llmtop.errors import ConfigErrors


def config(folder: Path, kind: str, request: str) -> Path:
    (folder / "items.jsonl").write_text('{"id": 1, "text": "a"}\n')
    path = folder / "job.toml"
    path.write_text(
        f'[provider]\nkind = "{kind}"\nmodel = "m"\n[input]\npath = "items.jsonl"\n'
        f'[request]\nprompt = "Explain {{text}}"\n{request}\n[output]\npath = "out.jsonl"\n'
    )
    return path


def test_anthropic_needs_a_maximum_of_tokens_and_a_temperature_up_to_1(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as raised:
        load_config(config(tmp_path, "anthropic", "temperature = 1.5"))

    said = str(raised.value)
    assert "request.max_output_tokens: is missing, and Anthropic does not answer without it" in said
    assert "request.temperature: is 1.5, and Anthropic takes 0 to 1" in said


@pytest.mark.parametrize(
    ("kind", "base_url", "variable"),
    [
        ("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
        ("gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
    ],
)
def test_a_kind_has_its_address_and_key(tmp_path: Path, kind: str, base_url: str, variable: str) -> None:
    (loaded,) = load_config(config(tmp_path, kind, "max_output_tokens = 9"))

    assert effective_base_url(loaded.provider) == base_url
    assert key_variable(loaded.provider) == variable
