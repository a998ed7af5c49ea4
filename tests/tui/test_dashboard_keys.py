"""Keys that steer the run or leave it: what is sent, what is asked first, what is shown."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from fake_door import FakeDoor
from viewing import viewer

from llmtop_tui.sample import SAMPLE


async def test_space_pauses_and_resumes_and_z_takes_the_last_one_back() -> None:
    async with viewer() as view:
        await view.press("space")
        await view.until(lambda: "PAUSED" in view.text("title"))
        assert "space resume" in view.text("footer")
        await view.until(lambda: "me@here pause done   llmtop pause motions" in view.text("status"))
        await view.press("space")
        await view.until(lambda: "RUNNING" in view.text("title"))
        await view.press("z")
        await view.until(lambda: "PAUSED" in view.text("title"))

        assert [verb for verb, _ in view.sent] == ["pause", "resume", "pause"]


@pytest.mark.parametrize(("key", "value"), [("+", "33"), ("-", "31"), ("*", "64"), ("_", "16")])
async def test_a_concurrency_key_is_shown_as_a_wish_at_once_and_as_a_fact_when_confirmed(
    key: str, value: str
) -> None:
    async with viewer() as view:
        await view.press(key)
        assert f"31/32 » {value}" in view.text("throughput")
        assert view.sent == []

        await view.until(lambda: f"31/{value} " in view.text("throughput"))
        assert view.sent == [("set", {"concurrency": value})]
        await view.press("z")
        await view.until(lambda: "31/32 " in view.text("throughput"))
        assert view.sent[1] == ("set", {"concurrency": "32"})


async def test_holding_a_key_sends_one_command_and_one_undo_takes_it_back() -> None:
    async with viewer() as view:
        for _ in range(8):
            view.app.screen.action_do("conc_up")
        await view.until(lambda: "31/40 " in view.text("throughput"))
        await view.press("z")
        await view.until(lambda: "31/32 " in view.text("throughput"))

        assert view.sent == [("set", {"concurrency": "40"}), ("set", {"concurrency": "32"})]


async def test_a_wish_that_is_not_confirmed_stays_a_wish_and_says_that_the_engine_is_busy() -> None:
    async with viewer(FakeDoor(confirms=False)) as view:
        await view.press("+")
        await view.until(lambda: view.sent != [])
        view.clock.now += 3.0
        view.app.session.tick()
        await view.settle()

        assert "31/32 » 33" in view.text("throughput")
        assert "engine busy" in view.text("status")


async def test_a_refusal_is_said_and_the_wish_is_gone() -> None:
    door = FakeDoor()
    door.refusal = "concurrency: the memory guard holds it at 8"
    async with viewer(door) as view:
        await view.press("+")
        await view.until(lambda: "refused: concurrency: the memory guard" in view.text("status"))

        assert "»" not in view.text("throughput")


async def test_the_rate_goes_down_at_once_and_above_the_declared_one_only_after_y() -> None:
    async with viewer() as view:
        await view.press("(")
        await view.until(lambda: view.sent == [("set", {"requests_per_second": "1.82"})])
        await view.press(")")
        await view.until(lambda: len(view.sent) == 2)
        await view.press(")")
        await view.until(lambda: "Rate above the declared limit" in view.text("dialog"))
        await view.answer("enter")

        assert len(view.sent) == 2
        assert "nothing changed" in view.text("status")


@pytest.mark.parametrize("key", ["enter", "escape", "n"])
async def test_a_dialog_is_answered_with_no_by_enter_esc_and_n(key: str) -> None:
    async with viewer() as view:
        await view.press("H")
        assert "31 calls in flight" in view.text("dialog")
        await view.answer(key)

        assert view.sent == []
        assert view.app.screen.dialog.question is None


async def test_keys_within_300_ms_of_a_dialog_are_typed_ahead_and_answer_nothing() -> None:
    async with viewer() as view:
        await view.press("H", "y", "y")
        assert view.app.screen.dialog.question is not None
        assert view.sent == []
        view.clock.now += 0.31
        await view.press("x")
        assert view.app.screen.dialog.question is not None
        await view.press("y")

        await view.until(lambda: view.sent == [("hold", {})])


async def test_b_asks_for_a_cap_and_then_for_a_yes_with_the_numbers() -> None:
    async with viewer() as view:
        await view.press("b")
        await view.answer("x", "enter")
        assert "not an amount" in view.text("dialog")
        await view.answer("backspace", "8", "enter")
        assert "$5.00 -> $8.00; spent $0.4219, at end $0.9900" in view.text("dialog")
        await view.answer("y")

        await view.until(lambda: view.sent == [("set", {"max_cost": "8"})])


async def test_a_lower_cap_needs_no_yes() -> None:
    async with viewer() as view:
        await view.press("b")
        await view.answer("3", "enter")

        await view.until(lambda: view.sent == [("set", {"max_cost": "3"})])


async def test_t_switches_the_tuner() -> None:
    async with viewer() as view:
        await view.press("t")
        await view.until(lambda: "tune off" in view.text("tune"))

        assert view.sent == [("set", {"tuner": "off"})]


async def test_a_choice_is_told_whole_and_n_is_a_no_only_where_it_is_one() -> None:
    async with viewer(size=(80, 24)) as view:
        await view.press("X")
        assert " ".join(view.text("dialog").replace("│", " ").split()).count("let calls in flight land") == 1
        assert "n enter esc" in view.text("dialog")
        await view.answer("escape")
        await view.press("f2")
        assert "n enter esc" not in view.text("dialog")
        await view.answer("enter")

        assert view.app.has_notices
        await view.press("f2")
        await view.answer("n")
        assert not view.app.has_notices


async def test_t_hands_back_what_was_set_by_hand_before_it_switches_the_tuner_off() -> None:
    pinned = tuple(replace(knob, is_pinned=knob.name == "concurrency") for knob in SAMPLE.tuner.knobs)
    door = FakeDoor(replace(SAMPLE, tuner=replace(SAMPLE.tuner, knobs=pinned)))
    async with viewer(door) as view:
        await view.press("t")
        await view.until(lambda: view.sent == [("set", {"tuner": "on"})])


async def test_a_wish_is_said_at_once_on_a_screen_that_does_not_show_the_figure() -> None:
    async with viewer(FakeDoor(confirms=False)) as view:
        await view.press("6", "+")

        assert "concurrency > 33" in view.text("status")


@pytest.mark.parametrize(("choice", "verb"), [("d", "stop"), ("s", "stop_now")])
async def test_the_stop_menu_asks_once_more_and_only_y_stops(choice: str, verb: str) -> None:
    async with viewer() as view:
        await view.press("X")
        await view.answer(choice, "enter")
        assert view.sent == []
        await view.press("X")
        await view.answer(choice, "y")

        await view.until(lambda: view.sent == [(verb, {})])


async def test_cancelling_with_a_provider_batch_open_wants_the_name_typed() -> None:
    async with viewer() as view:
        await view.press("X")
        await view.answer("c", *"wrong", "enter")
        assert "that is not its name" in view.text("dialog")
        await view.answer("ctrl+u", *"motions", "enter")

        await view.until(lambda: view.sent == [("cancel", {})])


async def test_read_only_answers_read_only_and_changes_nothing() -> None:
    async with viewer(is_read_only=True) as view:
        for key in ("space", "+", "H", "b", "t", "X"):
            await view.press(key)
            assert "read-only" in view.text("status")
        await view.press("colon", *"set concurrency=9", "enter")

        assert view.sent == []
        assert "pause" not in view.text("footer")


@pytest.mark.parametrize(
    ("keys", "is_owner", "reason"),
    [(["d"], True, "detached"), (["q"], False, "left"), (["ctrl+c"], False, "left")],
)
async def test_leaving_says_why_and_sends_nothing(keys: list[str], is_owner: bool, reason: str) -> None:
    async with viewer(is_run_owner=is_owner) as view:
        await view.press(*keys)

        assert view.app.reason == reason
        assert view.sent == []


async def test_q_on_a_run_of_ones_own_asks_and_enter_leaves_it_running() -> None:
    async with viewer(is_run_owner=True) as view:
        await view.press("q")
        assert "leave it running" in view.text("dialog")
        await view.answer("escape")
        assert view.app.screen.dialog.question is None
        await view.press("q")
        await view.answer("enter")

        assert view.app.reason == "left"
        assert view.sent == []


async def test_ctrl_c_in_run_stops_gently_then_at_once() -> None:
    door = FakeDoor(confirms=False)
    async with viewer(door, is_run_owner=True) as view:
        await view.press("ctrl+c")
        await view.until(lambda: view.sent == [("stop", {})])
        assert "RUNNING » stop" in view.text("title")
        await view.press("ctrl+c")

        await view.until(lambda: view.sent == [("stop", {}), ("stop_now", {})])


async def test_the_viewer_ends_by_itself_when_the_stop_it_asked_for_is_done() -> None:
    async with viewer(is_run_owner=True) as view:
        await view.press("ctrl+c")

        await view.until(lambda: view.app.reason == "stopped")


async def test_a_change_by_another_viewer_is_said() -> None:
    async with viewer() as view:
        view.door.push(last_command="other@box2 set concurrency 32 -> 8")
        await view.until(lambda: "other@box2 set concurrency 32 -> 8" in view.text("status"))


async def test_a_key_is_drawn_without_waiting_for_the_engine() -> None:
    door = FakeDoor(confirms=False)
    async with viewer(door) as view:
        started = time.monotonic()
        await view.press("+")

        assert "» 33" in view.text("throughput")
        assert time.monotonic() - started < 0.25


async def test_a_change_that_waits_for_its_repeats_is_sent_when_the_viewer_leaves() -> None:
    async with viewer() as view:
        view.app.screen.action_do("conc_up")
        view.app.screen.action_do("detach")

    assert view.sent == [("set", {"concurrency": "33"})]
