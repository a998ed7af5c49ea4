"""`runs`, `show`, `items`, `item`: what they print of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmtop.model import RunCounts
from llmtop.snapshot import RunLine

Llmtop = Callable[..., Any]
HOSTILE = "m\x1b]0;owned\x07-17\u202e"


def is_clean(text: str) -> bool:
    return not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or c == "\u202e" for c in text)


def test_an_unknown_run_is_a_usage_error_with_a_remedy(llmtop: Llmtop) -> None:
    said = llmtop("show", "nope")

    assert (said.code, said.out) == (2, "")
    assert said.err == "llmtop: nope: no such run; `llmtop runs` lists them\n"


def test_an_error_with_json_is_an_object_on_stderr(llmtop: Llmtop) -> None:
    said = llmtop("show", "nope", "--json")

    import json

    error = json.loads(said.err)["error"]
    assert (said.code, said.out) == (2, "")
    assert (error["type"], error["exit_code"]) == ("usage", 2)
    assert error["faults"][0]["what"] == "no such run"


def test_an_empty_state_folder_says_what_to_do_on_stderr_only(llmtop: Llmtop) -> None:
    said = llmtop("runs")

    assert (said.code, said.out) == (0, "")
    assert "llmtop demo" in said.err


def test_an_empty_state_folder_is_an_empty_list_in_json(llmtop: Llmtop) -> None:
    assert llmtop("runs", "--json").data == []


def test_runs_are_listed_and_nothing_hostile_reaches_the_terminal(llmtop: Llmtop, world: Any) -> None:
    line = RunLine(HOSTILE, HOSTILE, "running", RunCounts(10, 4), 42 * 10**10, True, 1.0, 4117, HOSTILE)
    world.home.lines = (line,)

    said = llmtop("runs")

    assert "40.0%" in said.out and ">=$0.4200" in said.out and "pid 4117" in said.out
    assert is_clean(said.out)


def test_runs_in_json_are_faithful_and_money_is_exact(llmtop: Llmtop, world: Any) -> None:
    world.home.lines = (RunLine(HOSTILE, "n", "running", RunCounts(10, 4), 27_100_000, False, 1.0, None),)

    listed = llmtop("runs", "--json").data

    assert listed[0]["run_id"] == HOSTILE
    assert listed[0]["cost_usd"] == "0.0000271"
    assert listed[0]["counts"] == {"done": 4, "rejected": 0, "failed": 0, "pending": 6}


def test_options_of_every_command_may_stand_before_its_name(llmtop: Llmtop) -> None:
    assert llmtop("--json", "runs").data == []


def test_llmtop_alone_without_a_terminal_lists_the_runs(llmtop: Llmtop) -> None:
    assert llmtop("--json").data == []


def test_show_tells_counts_cost_settings_and_their_origin(llmtop: Llmtop) -> None:
    said = llmtop("show", "latest")

    for words in ("10: done 7 (70.0%), rejected 1, failed 2, pending 0", "$0.4200 of $5.00", "p95 steady"):
        assert words in said.out
    rows = [line.split() for line in said.out.splitlines()]
    assert ["concurrency", "32", "4-256", "flag"] in rows
    assert ["retry.max_attempts", "6", "default"] in rows


def test_show_in_json_has_the_same_for_programs(llmtop: Llmtop) -> None:
    shown = llmtop("show", "motions-3f9a2c", "--json").data

    assert shown["live"]["concurrency"]["origin"] == "flag"
    assert shown["settings"]["retry.max_attempts"] == {"value": "6", "origin": "default"}
    assert shown["max_cost_usd"] == "5"
    assert shown["decisions"][0]["why"] == "p95 steady"


def test_items_are_read_page_by_page_up_to_the_limit(llmtop: Llmtop, world: Any) -> None:
    from dataclasses import replace

    door = world.doors["motions-3f9a2c"]
    door.rows = [replace(door.rows[0], seq=seq, id=f"m-{seq}") for seq in range(1200)]

    assert len(llmtop("items", "latest", "--json").data) == 1200
    assert [each["id"] for each in llmtop("items", "latest", "--limit", "2", "--json").data] == ["m-0", "m-1"]


def test_items_of_a_row_are_asked_for_on_every_page(llmtop: Llmtop, world: Any) -> None:
    from dataclasses import replace

    door = world.doors["motions-3f9a2c"]
    door.rows = [replace(door.rows[0], seq=seq, id=f"m-{seq}") for seq in range(700)]
    llmtop("items", "latest", "--row", "p00827", "--error", "timeout", "--json")

    assert [query.of_row for query in door.queries] == ["p00827", "p00827"]
    assert [query.error_type for query in door.queries] == ["timeout", "timeout"]
    assert [query.after_seq for query in door.queries] == [-1, 499]


def test_items_of_a_status_that_does_not_exist_are_refused(llmtop: Llmtop) -> None:
    said = llmtop("items", "latest", "--status", "done,lost")

    assert said.code == 2
    assert "'lost' is no status" in said.err


def test_items_without_a_match_are_an_empty_list(llmtop: Llmtop) -> None:
    assert llmtop("items", "latest", "--status", "failed", "--json").data == []


def test_an_items_table_fits_the_width_it_is_given(llmtop: Llmtop, world: Any, monkeypatch: Any) -> None:
    from dataclasses import replace

    monkeypatch.setenv("COLUMNS", "80")
    door = world.doors["motions-3f9a2c"]
    door.rows = [
        replace(door.rows[0], id="x" * 300, preview="\u6f22" * 300),
        replace(door.rows[1], id=HOSTILE),
    ]

    said = llmtop("items", "latest")

    assert is_clean(said.out)
    assert all(len(line) + line.count("\u6f22") <= 80 for line in said.out.splitlines())


def test_an_item_shows_prompt_output_attempts_and_raw_answer_cleaned(llmtop: Llmtop) -> None:
    said = llmtop("item", "latest", "m-1")

    for words in ("--- prompt, user", "tekst", "Het antwoord", "--- raw answer of attempt 1", "200"):
        assert words in said.out
    assert is_clean(said.out)


def test_an_item_that_the_run_does_not_have_is_a_usage_error(llmtop: Llmtop) -> None:
    said = llmtop("item", "latest", "--", "-rf")

    assert said.code == 2
    assert "has no item '-rf'" in said.err


def test_the_door_is_closed_whatever_happens(llmtop: Llmtop, world: Any) -> None:
    llmtop("item", "latest", "nope")

    assert world.doors["motions-3f9a2c"].is_closed
