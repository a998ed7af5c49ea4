from __future__ import annotations

from dataclasses import replace

import pytest

from llmtop.model import Acknowledgement, Command
from llmtop.snapshot import BatchesView, Knob, Snapshot, TunerView
from llmtop_tui import command_line
from llmtop_tui.proposals import Proposal, ending
from llmtop_tui.sample import SAMPLE
from llmtop_tui.settings import parse_money, plain_money, shell_words
from llmtop_tui.steering import UNDO_DEPTH, Steering


def proposed(steering: Steering, action: str, snapshot: Snapshot = SAMPLE) -> Proposal:
    proposal = steering.propose(action, snapshot)
    assert isinstance(proposal, Proposal), proposal
    return proposal


@pytest.mark.parametrize(
    ("action", "value"), [("conc_up", "33"), ("conc_down", "31"), ("conc_double", "64"), ("conc_halve", "16")]
)
def test_a_concurrency_key_sets_a_value_and_knows_the_way_back(action: str, value: str) -> None:
    proposal = proposed(Steering("me@here"), action)

    assert (proposal.verb, proposal.values) == ("set", {"concurrency": value})
    assert proposal.undo is not None
    assert proposal.undo.values == {"concurrency": "32"}
    assert proposal.is_repeatable


def test_presses_in_a_row_count_on_from_the_wish_and_not_from_the_fact() -> None:
    steering = Steering("me@here")
    for _ in range(3):
        steering.wish(proposed(steering, "conc_up"), 0.0)

    assert steering.wanted() == {"concurrency": "35"}


def test_at_the_limit_of_the_config_the_key_says_which_limit() -> None:
    tuner = TunerView(knobs=(Knob("concurrency", "256", "4", "256"),))
    at_limit = replace(SAMPLE, tuner=tuner)

    assert (
        Steering("me@here").propose("conc_up", at_limit) == "concurrency is at its limit: 256 (allowed 4-256)"
    )
    assert proposed(
        Steering("me@here"),
        "conc_double",
        replace(SAMPLE, tuner=TunerView(knobs=(Knob("concurrency", "200", "4", "256"),))),
    ).values == {"concurrency": "256"}


def test_a_fixed_concurrency_may_be_moved_by_hand() -> None:
    fixed = replace(SAMPLE, tuner=TunerView(knobs=(Knob("concurrency", "8", "8", "8"),)))

    assert proposed(Steering("me@here"), "conc_up", fixed).values == {"concurrency": "9"}


def test_the_rate_goes_down_without_a_question_and_above_the_declared_one_only_after_it() -> None:
    steering = Steering("me@here")
    steering.see(SAMPLE)

    down, up = proposed(steering, "rate_down"), proposed(steering, "rate_up")

    assert (down.values, down.question) == ({"requests_per_second": "1.82"}, None)
    assert up.values == {"requests_per_second": "2.2"}
    assert up.question is not None


def test_without_a_rate_the_key_says_how_to_set_one() -> None:
    answer = Steering("me@here").propose("rate_up", replace(SAMPLE, tuner=TunerView()))

    assert isinstance(answer, str)
    assert "requests_per_second" in answer


@pytest.mark.parametrize(("value", "asks"), [("8", True), ("none", True), ("3", False)])
def test_raising_or_removing_the_cap_asks_and_lowering_it_does_not(value: str, asks: bool) -> None:
    proposal = Steering("me@here").set({"max_cost": value}, SAMPLE)

    assert (proposal.question is not None) is asks
    assert proposal.undo is not None
    assert proposal.undo.values == {"max_cost": "5"}


def test_a_wish_ends_with_the_first_snapshot_that_shows_it_and_not_before() -> None:
    steering = Steering("me@here")
    proposal = proposed(steering, "conc_up")
    steering.wish(proposal, 0.0)
    steering.settle(proposal, Acknowledgement(True, "", (), SAMPLE.version + 2), SAMPLE)

    steering.see(replace(SAMPLE, version=SAMPLE.version + 1))
    assert steering.wanted() == {"concurrency": "33"}
    steering.see(replace(SAMPLE, version=SAMPLE.version + 2))
    assert steering.wanted() == {}


def test_a_refused_wish_is_dropped_and_leaves_nothing_to_undo() -> None:
    steering = Steering("me@here")
    proposal = proposed(steering, "conc_up")
    steering.wish(proposal, 0.0)

    steering.settle(proposal, Acknowledgement(False, "no"), SAMPLE)

    assert steering.wanted() == {}
    assert steering.propose("undo", SAMPLE) == "nothing to undo in this viewer"


def test_undo_goes_back_in_order_and_only_twenty_deep() -> None:
    steering = Steering("me@here")
    for number in range(UNDO_DEPTH + 5):
        back = Proposal("set", {"concurrency": str(number)})
        steering.settle(Proposal("set", {"concurrency": "9"}, undo=back), Acknowledgement(True, ""), SAMPLE)

    undone = [proposed(steering, "undo").values for _ in range(UNDO_DEPTH)]

    assert undone[0] == {"concurrency": str(UNDO_DEPTH + 4)}
    assert undone[-1] == {"concurrency": "5"}
    assert isinstance(steering.propose("undo", SAMPLE), str)


def test_space_resumes_what_is_paused_and_what_was_just_asked_to_pause() -> None:
    steering = Steering("me@here")

    assert proposed(steering, "pause", replace(SAMPLE, state="paused")).verb == "resume"
    steering.wish(proposed(steering, "pause"), 0.0)
    assert proposed(steering, "pause").verb == "resume"


def test_cancelling_with_open_batches_wants_the_name_of_the_run() -> None:
    with_batches = ending("cancel", SAMPLE).question
    without = ending("cancel", replace(SAMPLE, batches=BatchesView())).question

    assert with_batches is not None
    assert with_batches.entry == ""
    assert with_batches.is_right("motion")
    assert not with_batches.is_right("motions")
    assert without is not None
    assert without.entry is None


@pytest.mark.parametrize("text", ["8", "$8.50", "0.001", "1,000"])
def test_an_amount_is_read_and_written_without_loss(text: str) -> None:
    pusd = parse_money(text)

    assert pusd is not None
    assert parse_money(plain_money(pusd)) == pusd


@pytest.mark.parametrize("text", ["", "-1", "0", "nan", "inf", "1e99", "five", "\x1b[2J"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    assert parse_money(text) is None


def test_the_status_line_gives_the_shell_command_that_does_the_same() -> None:
    command = Command("set", "me@here", {"concurrency": "64"})

    assert shell_words(command, "motions") == "llmtop set motions concurrency=64"
    assert shell_words(Command("hold", "me@here"), "my run; rm") == "llmtop pause 'my run; rm' --now"
    assert shell_words(Command("retry", "me@here", {"failed": True}), "m") == "llmtop retry m --failed"


def test_the_command_line_reads_what_the_shell_commands_are_called() -> None:
    assert command_line.parse("set concurrency=64 max_cost=8").settings == {
        "concurrency": "64",
        "max_cost": "8",
    }
    assert command_line.parse("pause --now").action == "hold"
    assert command_line.parse("llmtop resume").action == "resume"
    assert "no such setting" in command_line.parse("set speed=9").fault
    assert "KEY=VALUE" in command_line.parse("set concurrency").fault
    assert "no such command" in command_line.parse("explode").fault
    assert command_line.parse("  ") == command_line.Typed()


def test_tab_completes_verbs_and_settings() -> None:
    assert command_line.complete("pa") == ["pause", "pause now"]
    assert command_line.complete("set conc") == ["set concurrency="]
    assert command_line.complete("set concurrency=4 tu") == ["set concurrency=4 tuner="]
