"""Where a setting comes from: flag, environment, file, other files, default."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import GOOD, Write, faults, loaded

from llmtop.config.schema import Range


def test_flag_beats_environment_beats_file_beats_default(write: Write) -> None:
    path = write(GOOD + "[execution]\nconcurrency = 2\n[budget]\nmax_cost = 1\n")
    environ = {"LLMTOP_CONCURRENCY": "3", "LLMTOP_MAX_COST": "2.5", "LLMTOP_LIMIT": "", "LLMTOP_UNKNOWN": "1"}

    config = loaded(path, environ=environ, flags={"execution.concurrency": "4-16-64", "output.path": None})

    assert config.execution.concurrency == Range(4, 16, 64)
    assert config.budget.max_cost == 2_500_000_000_000
    assert config.input.limit is None
    assert config.origins["execution.concurrency"] == "flag"
    assert config.origins["budget.max_cost"] == "environment"
    assert config.origins["provider.model"] == "file"
    assert "retry.max_attempts" not in config.origins


def test_a_fault_outside_the_file_names_where_it_was_said(write: Write) -> None:
    told = faults(
        write(GOOD),
        environ={"LLMTOP_LIMIT": "many"},
        flags={"execution.concurrency": "0"},
        overrides=["retry.max_attempts=0", "retry.max_atempts=1", "nonsense"],
    )

    assert "LLMTOP_LIMIT: is text" in told
    assert "--concurrency: is 0" in told
    assert "--set retry.max_attempts: is 0" in told
    assert "--set retry.max_atempts: unknown key" in told
    assert "--set nonsense: cannot be read" in told


def test_set_takes_toml_values_and_bare_words_and_reaches_into_free_tables(write: Write) -> None:
    path = write(GOOD + "[request.extra]\ntop_p = 0.5\ndeep = { a = 1 }\n")

    config = loaded(
        path,
        overrides=[
            "name=2026",
            "provider.model=some/model:free",
            'request.system="with = sign"',
            "tuner.enabled=false",
            "request.extra.top_k=5",
            "request.extra.deep.b=[1, 2.5]",
            'output.metadata_fields=["a", "b"]',
            'provider.headers."X-Title"=hello',
        ],
    )

    assert config.name == "2026"
    assert config.provider.model == "some/model:free"
    assert config.request.system == "with = sign"
    assert config.tuner.enabled is False
    assert config.request.extra == {"top_p": 0.5, "top_k": 5, "deep": {"a": 1, "b": [1, 2.5]}}
    assert config.output.metadata_fields == ("a", "b")
    assert config.provider.headers == {"X-Title": "hello"}


def test_the_other_way_to_say_a_rate_gives_way_to_the_one_nearer_to_the_command_line(write: Write) -> None:
    path = write(GOOD + "[limits]\nrequests_per_second = 2\nburst = 2\n")

    config = loaded(path, flags={"limits.requests_per_minute": 30})

    assert config.limits.request_rate == 0.5
    assert config.limits.requests_per_second is None
    assert "limits.requests_per_second" not in config.origins


def test_paths_are_relative_to_the_config_and_those_of_the_command_line_to_the_working_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    config = loaded(
        write(GOOD + '[output]\nrejected_path = "../r.jsonl"\n'), flags={"output.path": "o.jsonl"}
    )

    assert config.input.path == tmp_path / "items.jsonl"
    assert config.output.rejected_path == tmp_path.parent / "r.jsonl"
    assert config.output.path == tmp_path / "elsewhere" / "o.jsonl"
    assert loaded(write(GOOD.replace("items.jsonl", "-"))).input.path == Path("-")


def test_prompt_and_schema_come_from_their_files(write: Write, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Hello {name}\n")
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    text = GOOD.replace(
        'prompt = "Explain {text}"',
        'prompt_file = "prompt.txt"\nresponse_format = "schema"\nschema_file = "schema.json"',
    )

    request = loaded(write(text)).request

    assert request.prompt == "Hello {name}\n"
    assert request.schema == {"type": "object"}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{", "is not JSON (line 1"),
        ("[]", "is not a JSON object"),
        ('{"type": 5}', "is not a JSON Schema"),
        ("[" * 100_000, "is not JSON that can be read"),
    ],
)
def test_a_bad_schema_file_is_a_fault_of_the_config(
    write: Write, tmp_path: Path, schema: str, said: str
) -> None:
    (tmp_path / "schema.json").write_text(schema)
    text = GOOD.replace("[request]", '[request]\nresponse_format = "schema"\nschema_file = "schema.json"')

    assert said in faults(write(text))


def test_defaults_are_those_of_the_schema_and_the_kind(write: Write) -> None:
    config = loaded(write('[provider]\nkind = "simulator"\n[input]\npath = "a.csv.gz"\n'))

    assert config.provider.model == "simulated-small"
    assert config.name == "run"
    assert config.execution.concurrency == Range(1, 8, 512)
    assert config.provider.base_url is None


def test_the_simulators_own_table_is_passed_through(write: Write) -> None:
    text = (
        '[provider]\nkind = "simulator"\nsimulator = { profile = "p", rate = 2.5 }\n[input]\npath = "a.txt"\n'
    )

    assert loaded(write(text)).provider.simulator == {"profile": "p", "rate": 2.5}
