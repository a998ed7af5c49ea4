"""Keys: where they come from, and that they go nowhere."""

from __future__ import annotations

import base64
import copy
import os
import pickle
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.secrets import Secret, find_key
from llmtop.config.schema import ProviderConfig
from llmtop.errors import ConfigError

KEY = "sk-proj/AbC+1234567890=="


def key_file(folder: Path, text: str, mode: int = 0o600) -> ProviderConfig:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return ProviderConfig(api_key_file=path)


def test_a_secret_shows_itself_to_nobody_who_does_not_ask() -> None:
    secret = Secret(KEY)

    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"
    assert secret.reveal() == KEY
    for write_down in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            write_down(secret)


@pytest.mark.parametrize(
    "shown",
    [
        KEY,
        quote(KEY, safe=""),
        quote(KEY, safe="").lower().replace("abc", "AbC"),
        KEY.replace("/", "\\/"),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(b"user:" + KEY.encode() + b":tail").decode(),
        base64.urlsafe_b64encode(b"x" + KEY.encode()).decode(),
    ],
)
def test_a_key_is_masked_in_every_form_in_which_it_is_echoed(shown: str) -> None:
    text = Secret(KEY).mask(f"Incorrect API key: {shown}, sorry")
    body = Secret(KEY).mask_body(f'{{"error": "{shown}"}}'.encode(), is_error=True)

    assert "***" in text and b"***" in body
    for kept in (text, body.decode()):
        assert shown[4:-6] not in kept


@given(st.binary(max_size=6), st.binary(max_size=6), st.text("abcXYZ019-_/+", min_size=12, max_size=40))
def test_a_key_inside_any_base64_text_is_masked(before: bytes, after: bytes, key: str) -> None:
    encoded = base64.b64encode(before + key.encode() + after).decode()

    assert "***" in Secret(key).mask(encoded)


def test_a_placeholder_key_is_masked_as_a_word_in_errors_and_left_alone_in_answers() -> None:
    secret = Secret("ollama")

    assert secret.mask("key ollama of ollamas") == "key *** of ollamas"
    assert secret.mask_body(b'{"content": "ollama"}', is_error=False) == b'{"content": "ollama"}'


def test_the_variable_comes_before_the_file_and_the_kinds_own_is_the_default(tmp_path: Path) -> None:
    file = key_file(tmp_path, "sk-from-file\n")

    assert find_key(ProviderConfig(), {"OPENAI_API_KEY": " sk-a "}).reveal() == "sk-a"  # type: ignore[union-attr]
    assert find_key(ProviderConfig(api_key_env="MINE"), {"MINE": "sk-b"}).reveal() == "sk-b"  # type: ignore[union-attr]
    assert find_key(file, {"OPENAI_API_KEY": "sk-a"}).reveal() == "sk-a"  # type: ignore[union-attr]
    assert find_key(file, {}).reveal() == "sk-from-file"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("provider", "environ"),
    [
        (ProviderConfig(), {}),
        (ProviderConfig(), {"OPENAI_API_KEY": "  "}),
        (ProviderConfig(api_key_env="OPENAI_API_KEY", base_url="http://127.0.0.1:8000/v1"), {}),
        (ProviderConfig(base_url="https://openrouter.ai/api/v1"), {}),
    ],
)
def test_a_missing_key_is_a_config_error_that_names_the_variable(
    provider: ProviderConfig, environ: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as refused:
        find_key(provider, environ)

    assert refused.value.exit_code == 2


def test_the_simulator_and_a_plain_local_server_need_no_key() -> None:
    assert find_key(ProviderConfig(kind="simulator"), {}) is None
    assert find_key(ProviderConfig(base_url="http://localhost:11434/v1"), {}) is None


@pytest.mark.parametrize("value", ["sk-a b", "sk-a\r\nX: y", "sk-ключ", "sk-\x00"])
def test_a_key_with_characters_that_no_header_can_carry_is_refused_unshown(value: str) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as refused:
        find_key(ProviderConfig(), {"OPENAI_API_KEY": value})

    assert value not in str(refused.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_file_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        find_key(key_file(tmp_path, "sk-file", mode), {})


def test_a_key_file_that_is_missing_empty_or_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for provider, problem in (
        (ProviderConfig(api_key_file=tmp_path / "none"), "cannot be read"),
        (ProviderConfig(api_key_file=tmp_path), "not a plain file"),
        (ProviderConfig(api_key_file=fifo), "not a plain file"),
        (key_file(tmp_path, " \n"), "is empty"),
    ):
        with pytest.raises(ConfigError, match=problem):
            find_key(provider, {})
