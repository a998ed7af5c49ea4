"""`[[filters]]` in a config: kept as plain values, with paths that no longer depend on the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llmtop.config.effective import describe, from_record, to_record
from llmtop.config.fingerprint import differing, fingerprint_parts
from llmtop.config.loader import load_config
from llmtop.config.schema import RunConfig
from llmtop.errors import ConfigErrors

GOOD = """
[provider]
kind = "simulator"
[input]
path = "items.jsonl"
[request]
prompt = "Explain {text}"
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_config(filters: str) -> Path:
        path = tmp_path / "run.toml"
        path.write_text(GOOD + filters)
        return path

    return write_config


def loaded(path: Path, **said: object) -> RunConfig:
    (config,) = load_config(path, **said)  # type: ignore[arg-type]
    return config


def faults(path: Path) -> str:
    with pytest.raises(ConfigErrors) as caught:
        load_config(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_filters_are_kept_in_order_as_plain_values(write: Write) -> None:
    text = '[[filters]]\nuse = "scripts"\nallow = ["Latin"]\nshare = 0.5\n[[filters]]\nuse = "refusal"\n'

    config = loaded(write(text))

    assert config.filters == ({"use": "scripts", "allow": ["Latin"], "share": 0.5}, {"use": "refusal"})
    assert config.origins["filters"] == "file"
    assert json.loads(json.dumps(to_record(config)))["filters"][0]["share"] == 0.5
    assert from_record(json.loads(json.dumps(to_record(config)))) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[filters]\nuse = "scripts"', "filters: is a table, and must be tables"),
        (
            '[[filters]]\nuse = "length"\nmax_words = 1979-05-27',
            'filters: holds a date or time under "max_words"',
        ),
        ('[[filters]]\nuse = "json_schema"\nschema_file = 3', "filters[1].schema_file: must be the name"),
        ('[[filters]]\nuse = "json_schema"\nschema_file = "no.json"', "no.json: there is no such file"),
        (
            '[[filters]]\nuse = "refusal"\n[[filters]]\nuse = "json_schema"\nschema_file = "a"\nschema = {}',
            "filters[2].schema_file: says the same as schema",
        ),
        (
            '[[filters]]\nuse = "json_schema"\nschema_file = "run.toml"',
            "filters[1].schema_file: is not JSON (line",
        ),
    ],
)
def test_what_is_wrong_with_the_tables_themselves_is_told_with_the_file(
    write: Write, text: str, said: str
) -> None:
    told = faults(write(text))

    assert said in told
    assert "run.toml: " in told


def test_files_of_filters_are_relative_to_the_config_and_a_schema_is_read(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "answer.json").write_text('{"type": "object"}')
    text = (
        '[[filters]]\nuse = "python"\ncall = "sub/../checks.py:check"\n'
        '[[filters]]\nuse = "python"\ncall = "package.checks:check"\n'
        '[[filters]]\nuse = "json_schema"\nschema_file = "answer.json"\n'
    )

    file, module, schema = loaded(write(text)).filters

    assert file["call"] == f"{tmp_path}/checks.py:check"
    assert module["call"] == "package.checks:check"
    assert schema == {"use": "json_schema", "schema": {"type": "object"}}


def test_filters_may_be_said_on_the_command_line_and_replace_those_of_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = write('[[filters]]\nuse = "refusal"\n')

    none = loaded(path, overrides=["filters=[]"])
    own = loaded(path, overrides=['filters=[{use = "python", call = "f.py:check"}]'])

    assert none.filters == ()
    assert own.filters[0]["call"] == f"{tmp_path}/elsewhere/f.py:check"
    assert own.origins["filters"] == "flag"


def test_a_variant_may_have_filters_of_its_own(write: Write) -> None:
    text = '[[filters]]\nuse = "refusal"\n[[variants]]\nname = "a"\n[[variants]]\nname = "b"\n'

    with_all, without = load_config(write(text + "filters = []\n"))

    assert [table["use"] for table in with_all.filters] == ["refusal"]
    assert without.filters == ()


def test_other_filters_make_another_run_but_other_workers_do_not(write: Write) -> None:
    one = loaded(write('[[filters]]\nuse = "python"\ncall = "f.py:check"\nworkers = 2\n'))
    more = loaded(write('[[filters]]\nuse = "python"\ncall = "f.py:check"\nworkers = 4\n'))
    other = loaded(write('[[filters]]\nuse = "length"\nmax_words = 10\n'))
    parts = [fingerprint_parts(config, "content") for config in (one, more, other)]

    assert differing(parts[0], parts[1]) == []
    assert differing(parts[0], parts[2]) == ["filters"]


def test_filters_are_shown_by_name_and_a_function_of_the_users_own_by_its_place(write: Write) -> None:
    text = '[[filters]]\nuse = "refusal"\n[[filters]]\nuse = "python"\ncall = "package.checks:check"\n'
    shown = {key: value for key, value, _ in describe(loaded(write(text)))}

    assert shown["filters"] == "refusal, python (package.checks:check)"
