"""`pause`, `resume`, `cancel`, `set`, `retry`: what the engine is told, and what its answer becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Llmtop = Callable[..., Any]


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (("pause", "latest"), "pause"),
        (("pause", "latest", "--now"), "hold"),
        (("resume", "latest"), "resume"),
        (("cancel", "latest"), "cancel"),
    ],
)
def test_each_verb_reaches_the_engine_with_who_asked(
    llmtop: Llmtop, world: Any, words: tuple[str, ...], verb: str
) -> None:
    assert llmtop(*words).code == 0

    (told,) = world.doors["motions-3f9a2c"].told
    assert told.verb == verb
    assert "@" in told.origin


def test_set_prints_old_and_new_on_stdout(llmtop: Llmtop, world: Any) -> None:
    said = llmtop("set", "motions-3f9a2c", "concurrency=32", "max_cost=5.00")

    (told,) = world.doors["motions-3f9a2c"].told
    assert told.values == {"concurrency": "32", "max_cost": "5.00"}
    assert not told.is_dry_run
    assert said.out == "concurrency: 28 -> 32\n"


def test_set_with_dry_run_says_so_to_the_engine(llmtop: Llmtop, world: Any) -> None:
    llmtop("set", "latest", "tuner=off", "--dry-run")

    assert world.doors["motions-3f9a2c"].told[0].is_dry_run


def test_a_refusal_is_told_in_the_engines_words_with_exit_2(llmtop: Llmtop, world: Any) -> None:
    world.doors["motions-3f9a2c"].refusal = "unknown key 'concurency', did you mean concurrency?"

    said = llmtop("set", "latest", "concurency=32")

    assert (said.code, said.out) == (2, "")
    assert "did you mean concurrency?" in said.err


@pytest.mark.parametrize("word", ["concurrency", "=32", "concurrency 32"])
def test_a_word_that_is_no_pair_is_refused_before_the_engine_hears_of_it(
    llmtop: Llmtop, world: Any, word: str
) -> None:
    said = llmtop("set", "latest", word)

    assert said.code == 2
    assert "is no KEY=VALUE" in said.err
    assert world.doors["motions-3f9a2c"].told == []


def test_a_key_given_twice_is_refused(llmtop: Llmtop) -> None:
    assert llmtop("set", "latest", "concurrency=1", "concurrency=2").code == 2


def test_retry_names_its_items(llmtop: Llmtop, world: Any) -> None:
    llmtop("retry", "latest", "--failed", "--item", "m-1", "--item", "-rf")

    told = world.doors["motions-3f9a2c"].told[0]
    assert told.values == {"failed": True, "rejected": False, "ids": ["m-1", "-rf"]}


def test_retry_of_nothing_is_refused(llmtop: Llmtop) -> None:
    said = llmtop("retry", "latest")

    assert said.code == 2
    assert "--failed, --rejected or --item ID" in said.err


def test_an_option_has_its_environment_twin(llmtop: Llmtop, world: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("LLMTOP_NOW", "1")

    llmtop("pause", "latest")

    assert world.doors["motions-3f9a2c"].told[0].verb == "hold"


def test_the_answer_in_json_holds_the_changes(llmtop: Llmtop) -> None:
    answer = llmtop("set", "latest", "concurrency=32", "--json").data

    assert answer["changes"] == [{"key": "concurrency", "old": "28", "new": "32"}]
