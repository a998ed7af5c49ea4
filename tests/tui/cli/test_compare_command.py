"""`llmtop compare`: the table, CSV and JSON of runs side by side."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from llmtop.control import compare as comparing
from llmtop.control.compare import Agreement, ComparedRun
from llmtop.model import RunCounts
from llmtop_tui.cli import main
from llmtop_tui.cli.compare import lines
from llmtop_tui.cli.printing import cells

RUN = ComparedRun(
    run_id="motions-small-3f9a2c",
    name="motions-small",
    model="google/gemma-4-26b-a4b-it",
    state="finished",
    counts=RunCounts(50, done=44, rejected=4, failed=2),
    rejected_by={"scripts": 3, "length": 1},
    asked_again_by={},
    failed_by={"truncated": 2},
    elapsed_s=25.0,
    items_per_s=2.0,
    latency_p50_ms=812,
    latency_p95_ms=2140,
    requests=56,
    cache_hits=0,
    input_tokens=20_500,
    output_tokens=4_100,
    cost_pusd=1_435_000_000,
    is_cost_at_least=False,
    cost_per_1000_pusd=28_700_000_000,
    whole_items=30_000,
    cost_whole_pusd=861_000_000_000,
    agreement=None,
)
OTHER = replace(
    RUN,
    run_id="motions-large-11aa22",
    name="motions-large",
    model="x\x1b]0;owned\x07",
    rejected_by={"=HYPERLINK": 1},
    failed_by={},
    cache_hits=3,
    is_cost_at_least=True,
    agreement=Agreement(9, 10),
)


def cell(made: Sequence[str], head: str) -> list[str]:
    found = [line for line in made if line.strip().startswith(head)]
    assert len(found) == 1, made
    return found[0].strip().removeprefix(head).split("  ")


def test_the_table_has_a_column_for_each_run_and_a_row_for_each_rule() -> None:
    made = lines([RUN, OTHER], None)

    assert [word.strip() for word in made[0].split()] == ["motions-small", "motions-large"]
    assert [word.strip() for word in cell(made, "scripts") if word.strip()] == ["3", "0"]
    assert [word.strip() for word in cell(made, "truncated") if word.strip()] == ["2", "0"]
    assert [word.strip() for word in cell(made, "latency p95") if word.strip()] == ["2.1s", "2.1s"]
    assert [word.strip() for word in cell(made, "cost of 1,000 items") if word.strip()] == [
        "$0.0287",
        ">=$0.0287",
    ]
    assert [word.strip() for word in cell(made, "same as the first") if word.strip()] == [
        "the first",
        "90.0% of 10",
    ]
    assert "\x1b" not in "".join(made)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("number", [2, 3, 8])
def test_no_line_is_wider_than_the_terminal_and_no_run_is_left_out(width: int, number: int) -> None:
    runs = [
        replace(RUN, name=f"a-rather-long-name-of-a-run-{at}", run_id=f"run-{at}") for at in range(number)
    ]

    made = lines(runs, width)

    assert max(map(cells, made)) <= max(width, 48)
    assert sum(line.count("google/gemma") for line in made) == number


def test_runs_of_one_name_are_told_apart_by_their_ids() -> None:
    assert "motions-small-3f9a2c" in lines([RUN, replace(RUN, run_id="motions-small-000000")], None)[0]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: object):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("LLMTOP_HOME", str(tmp_path))
    monkeypatch.setattr(comparing, "compare", lambda home, refs: (RUN, OTHER))

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["compare", "one", "two", *words])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def test_json_has_exact_money_and_raw_figures(said) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = said("--json")

    first, second = json.loads(out)
    assert code == 0
    assert (first["cost_usd"], first["cost_per_1000_usd"]) == ("0.001435", "0.0287")
    assert (first["counts"]["rejected"], first["rejected_by"]) == (4, {"scripts": 3, "length": 1})
    assert (first["latency_p50_ms"], first["agreement"]) == (812, None)
    assert second["agreement"] == {"equal": 9, "compared": 10, "share": 0.9}


def test_csv_has_a_row_for_each_run_and_no_formula(said) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = said("--csv")

    first, second = csv.DictReader(io.StringIO(out))
    assert code == 0
    assert (first["name"], first["done"], first["cost_usd"]) == ("motions-small", "44", "0.001435")
    assert (first["rejected_by"], second["agreement"]) == ("scripts:3 length:1", "0.9")
    assert second["rejected_by"].startswith("'=")


def test_two_forms_at_once_are_refused(said) -> None:  # type: ignore[no-untyped-def]
    code, out, err = said("--csv", "--json")

    assert (code, out) == (2, "")
    assert "contradicts --json" in err
