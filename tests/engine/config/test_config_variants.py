"""`[[variants]]`: one run each, with files of their own, and faults that name their variant."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llmtop.config.effective import from_record, to_record
from llmtop.config.fingerprint import fingerprint_parts
from llmtop.config.loader import load_config
from llmtop.errors import ConfigErrors

BASE = """
name = "motions"
[provider]
kind = "openai"
model = "m"
[provider.headers]
X-Title = "both"
[input]
path = "items.jsonl"
[request]
prompt = "Explain {text}"
[limits]
requests_per_second = 2
[output]
path = "out/explanations.jsonl"
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_config(text: str) -> Path:
        path = tmp_path / "run.toml"
        path.write_text(text)
        return path

    return write_config


def faults(path: Path, **said: object) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load_config(path, **said)  # type: ignore[arg-type]
    return [str(error) for error in caught.value.errors]


def test_each_variant_is_a_run_of_its_own_with_the_rest_of_the_file(write: Write, tmp_path: Path) -> None:
    small, large = load_config(
        write(
            BASE
            + '[[variants]]\nname = "small"\nprovider.model = "s"\n'
            + '[[variants]]\nname = "v2.large"\nrequest.temperature = 0.5\nexecution.concurrency = 4\n'
            + 'provider.headers.X-More = "mine"\nlimits.requests_per_minute = 30\n'
        )
    )

    assert (small.name, large.name) == ("motions-small", "motions-v2.large")
    assert (small.provider.model, large.provider.model) == ("s", "m")
    assert (small.request.temperature, large.request.temperature) == (None, 0.5)
    assert (small.limits.request_rate, large.limits.request_rate) == (2, 0.5)
    assert large.provider.headers == {"X-Title": "both", "X-More": "mine"}
    assert small.output.path == tmp_path / "out/explanations.small.jsonl"
    assert large.output.path == tmp_path / "out/explanations.v2.large.jsonl"


def test_a_variant_keeps_the_files_that_it_names_and_a_flag_is_for_all_of_them(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(
        BASE
        + 'rejected_path = "no.jsonl"\n[[variants]]\nname = "a"\noutput.path = "mine.jsonl"\n'
        + '[[variants]]\nname = "b"\n'
    )
    monkeypatch.chdir(tmp_path)

    own, derived = (config.output for config in load_config(path))
    flagged = [config.output.path for config in load_config(path, flags={"output.path": "o.jsonl"})]

    assert (own.path, own.rejected_path) == (tmp_path / "mine.jsonl", tmp_path / "no.a.jsonl")
    assert derived.path == tmp_path / "out/explanations.b.jsonl"
    assert flagged == [tmp_path / "o.a.jsonl", tmp_path / "o.b.jsonl"]


def test_a_flag_wins_over_a_variant_and_a_variant_over_the_file(write: Write) -> None:
    path = write(BASE + '[[variants]]\nname = "a"\nprovider.model = "of a"\ninput.limit = 5\n')

    (plain,) = load_config(path)
    (told,) = load_config(
        path, overrides=["provider.model=told"], flags={"input.limit": 9}, environ={"LLMTOP_LIMIT": "7"}
    )

    assert (plain.provider.model, plain.input.limit, plain.origins["input.limit"]) == ("of a", 5, "file")
    assert (told.provider.model, told.input.limit, told.origins["input.limit"]) == ("told", 9, "flag")


def test_variants_that_ask_differently_have_different_fingerprints_and_survive_being_kept(
    write: Write,
) -> None:
    configs = load_config(
        write(BASE + '[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nprovider.model = "n"\n')
    )

    one, other = (fingerprint_parts(config, "same") for config in configs)

    assert {key for key in one if one[key] != other[key]} == {"provider.model"}
    assert all(from_record(json.loads(json.dumps(to_record(config)))) == config for config in configs)


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ("variants = 3", "variants: is a number, and must be tables"),
        ("[variants]\nname = 'a'", "variants: is a table, and must be tables"),
        ("[[variants]]\nprovider.model = 'x'", "variants[1].name: is missing"),
        ("[[variants]]\nname = 7", "variants[1].name: is a number"),
        ("[[variants]]\nname = '../a'", 'variants[1].name: is "../a", which cannot be'),
        ("[[variants]]\nname = ''", 'variants[1].name: is ""'),
        ("[[variants]]\nname = 'sk-1234567890abcdef'", "variants[1].name: is (hidden)"),
        ("[[variants]]\nname = 'a'\n[[variants]]\nname = 'A'", 'variants[2].name: is "A" a second time'),
        ("[[variants]]\nname = 'a'\nprovider.modl = 'x'", 'variants.a.provider.modl: unknown key; Did you'),
        ("[[variants]]\nname = 'a'\nproviders.model = 'x'", "variants.a.providers: unknown key"),
        ("[[variants]]\nname = 'a'\nrequest.temperature = 9", "variants.a.request.temperature: is 9"),
        ("[[variants]]\nname = 'a'\nrequest.system = 'sk-1234567890abcdef'", "variants.a.request.system: "),
        ("[[variants]]\nname = 'a'\nvariants = []", "variants.a.variants: unknown key"),
        ("[[variants]]\nname = 'a'\nprovider = 'x'", "variants.a.provider: is text, and must be a table"),
        ("[[variants]]\nname = 'a'\nrequest.prompt_file = 'p.txt'", "variants.a: request.prompt_file:"),
        ("[[variants]]\nname = 'a'\nprovider.api_key = 'x'", "variants.a.provider.api_key: an API key"),
        ("[[variants]]\nname = '" + "a" * 51 + "'", "which cannot be a variant's name"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_variant_names_it(write: Write, variants: str, said: str) -> None:
    good = "" if variants.startswith("variants =") else "\n[[variants]]\nname = 'good'\n"
    if variants.startswith("[variants]"):
        good = ""
    text = f"{variants}\n{BASE}" if variants.startswith("variants =") else f"{BASE}{variants}{good}"

    (fault,) = faults(write(text))

    assert said in fault


def test_what_is_wrong_for_all_is_said_once_and_what_is_wrong_for_one_with_its_name(write: Write) -> None:
    text = BASE.replace('model = "m"', "").replace("Explain {text}", "Explain {")
    path = write(text + '[[variants]]\nname = "a"\n[[variants]]\nname = "b"\nprovider.model = "n"\n')

    shared, own = faults(path)

    assert shared.startswith("request.prompt: ")
    assert own.startswith("variants.a: provider.model: is missing")


def test_variants_are_of_a_file_and_not_of_the_command_line(write: Write) -> None:
    (fault,) = faults(write(BASE), overrides=["variants=[{name='a'}]"])

    assert fault.startswith("--set variants: unknown key")


def test_a_name_that_gets_too_long_with_its_variant_is_refused(write: Write) -> None:
    path = write(BASE.replace("motions", "m" * 99) + '[[variants]]\nname = "ab"\n')

    assert "is 102 characters long with its variant" in faults(path)[0]
