"""`llmtop filters test`: over texts, and over what a real ledger holds; nothing is sent."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledger_values import finishes, new_ledger, put_all, result

from llmtop_tui.cli import main

CONFIG = """
name = "motions"
[provider]
kind = "simulator"
[input]
path = "items.jsonl"
[request]
prompt = "Explain {text}"
{more}
[[filters]]
use = "strip_metadata"
[[filters]]
use = "length"
max_words = 4
on_reject = "retry"
"""

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    for name in ("HOME", "JSON", "DEBUG", "TEXT", "ALLOW_CODE", "SET"):
        monkeypatch.delenv(f"LLMTOP_{name}", raising=False)

    def run(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(["filters", "test", *words, "--home", str(tmp_path / "home")])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "run.toml"
    path.write_text(CONFIG.replace("{more}", ""))
    return str(path)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A finished run with five results, the last failed."""
    folder = tmp_path / "home" / "runs" / "motions-3f9a2c"
    folder.parent.mkdir(parents=True, mode=0o700)
    (tmp_path / "home").chmod(0o700)
    ledger = new_ledger(folder, 5, output_path=None)
    outputs = ["all is well", "see (45-102)", "one two three four five", "x\x1b]0;owned\x07 [45-102]"]
    results = [result(seq, "rejected" if seq == 2 else "done", text) for seq, text in enumerate(outputs)]
    asyncio.run(put_all(ledger, finishes(*results, result(4, "failed"))))
    ledger.close()
    return folder


def counts(out: str) -> dict[str, int]:
    (data,) = json.loads(out)
    found: dict[str, int] = data["counts"]
    return found


def filters(out: str) -> list[dict[str, Any]]:
    (data,) = json.loads(out)
    found: list[dict[str, Any]] = data["filters"]
    return found


def test_texts_are_filtered_as_if_they_were_answers(said: Said, config: str) -> None:
    code, out, err = said(config, "--text", "see (45-102)", "--text", "a b c d e", "--text", "fine", "--json")

    assert (code, err) == (0, "")
    assert counts(out) == {"done": 2, "changed": 1, "rejected": 1, "asked_again": 1, "unreadable": 0}
    strip, length = filters(out)
    assert (strip["use"], strip["place"], strip["hits"], strip["changed"], strip["rejected"]) == (
        *("strip_metadata", 1, 1, 1, 0),
    )
    assert strip["examples"][0]["before"] == "see (45-102)"
    assert strip["examples"][0]["after"] == "see"
    assert length["examples"] == [
        {"id": "2", "before": "a b c d e", "after": None, "said": length["examples"][0]["said"]}
    ]


def test_the_lines_of_standard_input_are_texts(said: Said, config: str) -> None:
    code, out, _ = said(config, "--json", stdin="één\r\n\nsee (45-102)\n\xff".encode())

    assert code == 0
    assert counts(out)["done"] == 3


def test_a_runs_stored_answers_are_filtered_and_stay_as_they_are(
    said: Said, config: str, stored: Path
) -> None:
    before = (stored / "run.db").read_bytes()

    code, out, err = said(config, "latest")
    data = said(config, "motions", "--json")[1]

    assert code == 0
    assert "\x1b" not in out and "\x07" not in out
    assert "strip_metadata" in out and "of 4 answers 1 pass as they are, 2 changed, 1 rejected" in out
    assert "nothing was sent; answers as they are stored in latest" in err
    assert counts(data)["rejected"] == 1
    assert [each["id"] for each in filters(data)[0]["examples"]] == ["m-1", "m-3"]
    assert (stored / "run.db").read_bytes() == before


def test_the_number_of_examples_is_the_users(said: Said, config: str, stored: Path) -> None:
    assert filters(said(config, "latest", "--json", "--examples", "1")[1])[0]["examples"][0]["id"] == "m-1"
    assert filters(said(config, "latest", "--json", "--examples", "0")[1])[0]["examples"] == []


def test_other_filters_can_be_tried_from_the_command_line(said: Said, config: str, stored: Path) -> None:
    _, out, _ = said(config, "latest", "--json", "--set", 'filters=[{use="duplicate"}]')

    assert counts(out)["rejected"] == 0
    assert [each["use"] for each in filters(out)] == ["duplicate"]


def test_a_function_gets_the_fields_of_the_item(said: Said, tmp_path: Path, stored: Path) -> None:
    (tmp_path / "motions.jsonl").write_text(
        "".join(json.dumps({"id": f"m-{seq}", "text": f"t{seq}"}) + "\n" for seq in range(5))
    )
    (tmp_path / "own.py").write_text("def check(text, fields): return repr(sorted(fields))\n")
    path = tmp_path / "own.toml"
    path.write_text(
        CONFIG.partition("[[filters]]")[0].replace("{more}", "") + '[[filters]]\nuse = "python"\n'
    )
    path.write_text(path.read_text() + 'call = "own.py:check"\n')

    refused = said(str(path), "latest")
    code, out, _ = said(str(path), "latest", "--allow-code", "--json")

    assert refused[0] == 2
    assert f"{path}: filters[1]: runs code of yours ({tmp_path}/own.py:check)" in refused[2]
    assert code == 0
    assert counts(out)["changed"] == 4


def test_texts_that_are_not_of_the_asked_form_are_counted_apart(said: Said, tmp_path: Path) -> None:
    path = tmp_path / "json.toml"
    path.write_text(CONFIG.replace("{more}", 'response_format = "json"'))

    _, out, _ = said(str(path), "--text", '{"a": "x (45-102)"}', "--text", "no json", "--json")

    assert counts(out) == {"done": 1, "changed": 1, "rejected": 0, "asked_again": 0, "unreadable": 1}
    assert filters(out)[0]["examples"][0]["after"] == {"a": "x"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nowhere",), "nowhere"),
        (("latest", "--text", "x"), "--text: contradicts RUN"),
        (("--set", "filters=[]"), "has no [[filters]]"),
        (("--set", 'filters=[{use="lenght"}]'), 'filters[1].use: is "lenght"'),
    ],
)
def test_words_that_make_no_sense_are_refused(
    said: Said, config: str, words: tuple[str, ...], told: str
) -> None:
    code, out, err = said(config, *words)

    assert (code, out) == (2, "")
    assert told in err


def test_plan_names_the_filters_and_the_code_that_a_run_would_call(
    config: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], said: Said
) -> None:
    (tmp_path / "items.jsonl").write_text('{"id": "m-1", "text": "t"}\n')
    (tmp_path / "own.py").write_text("def check(text, fields): ...\n")
    path = Path(config)
    path.write_text(path.read_text() + '[[filters]]\nuse = "python"\ncall = "own.py:check"\nworkers = 1\n')

    refused = main(["plan", config])
    why = capfd.readouterr().err
    code = main(["plan", config, "--allow-code"])
    told = capfd.readouterr().out
    main(["run", config, "--dry-run", "--allow-code", "--json"])
    (data,) = json.loads(capfd.readouterr().out)

    assert refused == 2
    assert f"{config}: filters[3]: runs code of yours ({tmp_path}/own.py:check)" in why
    assert "--allow-code" in why
    assert code == 0
    assert f"filters    strip_metadata, length, python ({tmp_path}/own.py:check)" in told
    assert f"runs code  {tmp_path}/own.py:check" in told
    assert data["runs_code"] == [f"{tmp_path}/own.py:check"]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_faults_of_filters_come_with_file_and_place_before_anything_is_sent(
    command: str, config: str, tmp_path: Path, said: Said, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "items.jsonl").write_text('{"id": "m-1", "text": "t"}\n')
    path = Path(config)
    path.write_text(path.read_text().replace("max_words = 4", 'max_wrods = 4\nmin_words = "x"'))
    more = ["--display", "none"] if command == "run" else []

    code = main([command, config, *more, "--home", str(tmp_path / "home")])
    err = capfd.readouterr().err

    assert code == 2, err
    assert f'{config}: filters[2].max_wrods: unknown key; Did you mean "max_words"?' in err
    assert f"{config}: filters[2].min_words: is text" in err
    assert not list((tmp_path / "home").glob("runs/*"))
