from __future__ import annotations

from dataclasses import replace

import pytest

from llmtop.model import RunCounts
from llmtop.snapshot import RunState
from llmtop_tui.notices import BELL, news, notification, title
from llmtop_tui.sample import SAMPLE


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("finished", "motions finished"),
        ("failed", "motions failed"),
        ("cancelled", "motions was cancelled"),
        ("budget", "motions has reached its budget"),
        ("refused", "motions is refused by the provider"),
        ("paused", "motions is paused"),
    ],
)
def test_a_run_that_ends_or_stands_still_by_itself_is_news_with_its_counts(
    state: RunState, words: str
) -> None:
    now = replace(SAMPLE, state=state, counts=RunCounts(29118, 29075, 41, 2))

    assert news(SAMPLE, now) == f"{words}: 29,075 done, 41 rejected, 2 failed"


@pytest.mark.parametrize("state", ["running", "held", "pausing", "stopping", "waiting", "stopped"])
def test_what_goes_on_or_was_asked_for_is_no_news(state: RunState) -> None:
    assert news(SAMPLE, replace(SAMPLE, state=state)) == ""


def test_a_pause_that_somebody_asked_for_is_no_news() -> None:
    asked = replace(SAMPLE, state="paused", last_command="other@box2 paused")

    assert news(SAMPLE, asked) == ""
    assert news(replace(SAMPLE, state="pausing"), replace(SAMPLE, state="paused")) == ""


def test_the_first_snapshot_and_the_same_state_again_are_no_news() -> None:
    finished = replace(SAMPLE, state="finished")

    assert news(None, finished) == ""
    assert news(finished, finished) == ""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]9;far finished, 3 done\x07\x07"),
        ({"TERM_PROGRAM": "WezTerm"}, "\x1b]9;far finished, 3 done\x07\x07"),
        ({"TERM_PROGRAM": "ghostty"}, "\x1b]9;far finished, 3 done\x07\x07"),
        ({"TERM": "xterm-kitty"}, "\x1b]9;far finished, 3 done\x07\x07"),
        ({"VTE_VERSION": "7600"}, "\x1b]777;notify;llmtop;far finished, 3 done\x07\x07"),
        ({"TERM": "foot"}, "\x1b]777;notify;llmtop;far finished, 3 done\x07\x07"),
        ({"TERM": "xterm-256color"}, BELL),
        ({"TERM": "screen"}, BELL),
    ],
)
def test_a_terminal_gets_the_notification_that_it_knows_and_every_one_the_bell(
    environ: dict[str, str], expected: str
) -> None:
    assert notification("far finished; 3 done", environ) == expected


def test_no_name_can_end_the_sequence_that_it_stands_in() -> None:
    nasty = replace(SAMPLE, name="\x07\x1b]52;c;cHduZWQ=\x07;x", state="finished")
    words = notification(news(SAMPLE, nasty), {"VTE_VERSION": "1"})

    assert words.count("\x1b") == 1
    assert words.count(";") == 3
    assert title(nasty).count("\x1b") == 1
    assert title(nasty).count("\x07") == 1


def test_the_window_is_named_after_run_state_and_progress() -> None:
    assert title(SAMPLE) == "\x1b]2;llmtop motions running 42.6%\x07"
