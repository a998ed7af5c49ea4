from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
from hostile import run_lines, snapshots
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmtop.snapshot import FilterView, HeldBy, RunLine, Snapshot
from llmtop_tui.ink import Line, block, boxed, line, text_of, width_of
from llmtop_tui.looks import ASCII, UTF8, Looks
from llmtop_tui.panels import (
    cost,
    errors,
    finished,
    flights,
    history,
    latency,
    log,
    memory,
    narrow,
    processes,
    runs,
    throughput,
    tiny,
    title,
    tuner,
)
from llmtop_tui.sample import PAUSED, SAMPLE
from llmtop_tui.scene import Scene

PANELS = {
    "title": title.lines,
    "memory": memory.lines,
    "processes": processes.lines,
    "throughput": throughput.lines,
    "latency": latency.lines,
    "cost": cost.lines,
    "errors": errors.lines,
    "kinds": errors.kinds,
    "errors screen": errors.screen,
    "tuner": tuner.lines,
    "tuner screen": tuner.screen,
    "log": log.lines,
    "plot": history.requests,
    "plot of tokens": history.tokens,
    "narrow": narrow.lines,
    "tiny": tiny.lines,
    "summary": finished.lines,
}
LOOKS = [Looks(UTF8), Looks(ASCII, "mono"), Looks(ASCII, has_plot=False)]
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _check(lines: list[Line], width: int, height: int) -> None:
    assert len(lines) <= height
    for drawn in block(lines, width, height):
        assert width_of(drawn) == width
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text_of(drawn))
        assert "\u202e" not in text_of(drawn)


@pytest.mark.parametrize("name", PANELS)
@QUICK
@given(
    snapshot=snapshots,
    width=st.sampled_from([1, 24, 36, 78, 118, 198]),
    height=st.integers(1, 12),
    looks=st.sampled_from(LOOKS),
    link=st.sampled_from(["live", "silent", "gone"]),
    wish=st.text(max_size=5),
)
def test_a_panel_draws_any_snapshot_within_its_box_and_free_of_control_characters(
    name: str, snapshot: Snapshot, width: int, height: int, looks: Looks, link: str, wish: str
) -> None:
    scene = Scene(snapshot, 1.0, 1.0, link, "note", {"concurrency": wish, "tuner": wish})  # type: ignore[arg-type]

    lines = list(PANELS[name](scene, width, height, looks))

    _check(lines, width, height)


@QUICK
@given(snapshot=snapshots, width=st.sampled_from([40, 60, 80, 120]), looks=st.sampled_from(LOOKS))
def test_a_row_of_the_table_has_exactly_the_width_of_its_header(
    snapshot: Snapshot, width: int, looks: Looks
) -> None:
    views = [flights.View(sort=sort, is_inverted=sort == "AGE", text="!x") for sort in flights.SORTS]
    for view in views:
        for row in flights.arrange(snapshot.rows, view):
            drawn = flights.draw(row, width, snapshot.at, looks, is_current=view.is_inverted)
            assert width_of(drawn) == width_of(flights.header(width, view))
            _check([drawn], width, 1)
            assert "\x1b" not in flights.copied(row, snapshot.at)


@QUICK
@given(each=run_lines, width=st.sampled_from([40, 80, 120, 200]), looks=st.sampled_from(LOOKS))
def test_a_line_of_the_list_of_runs_fits_whatever_it_holds(each: RunLine, width: int, looks: Looks) -> None:
    _check([runs.header(width), runs.draw(each, width, 1.0, looks, is_current=False)], width, 2)


@pytest.mark.parametrize("name", PANELS)
def test_before_the_first_snapshot_a_panel_shows_dashes_and_no_number(name: str) -> None:
    lines = list(PANELS[name](Scene(), 80, 5, Looks(UTF8)))

    names_of_errors = {"429", "5xx"}
    words = " ".join(text_of(each) for each in lines).split()
    figures = [word for word in words if any(char.isdigit() for char in word) and word not in names_of_errors]
    clock = [word for word in figures if word.count(":") == 2]
    assert figures == clock


def test_a_cooldown_says_how_long_still_what_came_last_and_that_nobody_need_do_anything() -> None:
    held = HeldBy("cooldown", "", (("cooldown", 0.9),), (), SAMPLE.at + 41)
    scene = Scene(replace(SAMPLE, state="held", held=held, state_at=SAMPLE.at - 75), SAMPLE.at, 0.4)
    first, second = (text_of(each) for each in title.lines(scene, 120, 2, Looks(UTF8)))

    assert "HELD 1:15" in first
    assert "provider cooldown 41 s, last rate_limit: retry-after 2 s; goes on by itself" in second


def test_a_stop_says_the_numbers_and_what_goes_on_without_us() -> None:
    paused = replace(SAMPLE, state="paused", state_at=SAMPLE.at - 42)
    first, second = (
        text_of(each) for each in title.lines(Scene(paused, SAMPLE.at, 0.4), 120, 2, Looks(UTF8))
    )
    budget = text_of(title.lines(Scene(PAUSED, SAMPLE.at, 0.4), 120, 2, Looks(UTF8))[1])

    assert "PAUSED 0:42" in first
    assert "1 batch job at the provider goes on" in second
    assert "b raises the cap" in budget
    assert "spent $4.97 of $5.00, nothing is lost" in budget


def test_a_run_at_rest_says_that_nobody_runs_it_and_which_key_goes_on() -> None:
    words = text_of(title.lines(Scene(PAUSED, SAMPLE.at, 0.4, "ended"), 120, 2, Looks(UTF8))[1])

    assert "nobody runs it now: r goes on" in words
    assert "b raises" not in words


def test_an_engine_that_says_nothing_has_the_line_for_itself_and_no_time_left_is_promised() -> None:
    note = "pid 4117 is gone (signal 9); what was accepted is kept, r resumes"
    first, second = (
        text_of(each)
        for each in title.lines(Scene(SAMPLE, SAMPLE.at, 7.0, "gone", note), 100, 2, Looks(UTF8))
    )

    assert "eta" not in first
    assert f"{note}; figures of" in second
    assert "warnings" not in second


@pytest.mark.parametrize(("width", "tall"), [(80, 24), (120, 40), (200, 50)])
def test_nothing_essential_is_cut_at_the_three_reference_sizes(width: int, tall: int) -> None:
    scene = Scene(SAMPLE, SAMPLE.at, 0.4)
    looks = Looks(UTF8)

    head = "\n".join(text_of(each) for each in title.lines(scene, width, 2, looks))
    body = (
        "\n".join(text_of(each)[:width] for each in narrow.lines(scene, width, 8, looks))
        if width == 80
        else "\n".join(text_of(each)[:36] for each in boxes(scene, looks))
    )

    assert all(word in head for word in ("motions", "RUNNING", "12,410", "29,118", "42.6%", "eta 1:12:40"))
    assert "snap 0.4s" in head
    assert "2 warnings" in head
    for word in (
        "33%",
        "1.98",
        "29.7",
        "8,140",
        "1,610",
        "31/32",
        "1.2s",
        "3.1s",
        "6.9s",
        "14.2s",
        "$0.4219",
        "$5.00",
        "$0.99",
        "cap holds",
        "429 12",
        "timeout 1",
        "rejected 41",
        "failed 2",
    ):
        assert word in body, word


def boxes(scene: Scene, looks: Looks) -> list[Line]:
    """What stands in the six boxes at 120 columns."""
    draws = (memory.lines, throughput.lines, latency.lines, cost.lines, processes.lines, errors.lines)
    return [each for draw in draws for each in draw(scene, 36, 5, looks)]


def test_a_wish_stands_beside_the_fact_and_never_in_its_place() -> None:
    scene = Scene(SAMPLE, wishes={"concurrency": "48", "max_cost": "8", "state": "pause", "tuner": "off"})
    looks = Looks(ASCII)

    flight = throughput.short(scene, 80, looks)
    assert "31/32 > 48" in text_of(flight)
    assert [role for text, role in flight if "48" in text] == ["you"]
    assert "$5.00 > 8" in text_of(cost.short(scene, 80, looks))
    assert "RUNNING > pause" in text_of(title.title(scene, 120, looks))
    assert "on  > off" in text_of(tuner.short(scene, 120, looks))


@pytest.mark.parametrize(
    ("link", "word"), [("silent", "NO ANSWER for 0:07"), ("gone", "ENGINE GONE for 0:07")]
)
def test_the_title_says_when_the_engine_does_not_answer_and_how_old_the_figures_are(
    link: str, word: str
) -> None:
    scene = Scene(SAMPLE, SAMPLE.at + 7, 7.0, link, "pid 4117 is alive")  # type: ignore[arg-type]

    first, second = (text_of(each) for each in title.lines(scene, 80, 2, Looks(UTF8)))

    assert word in first
    assert "pid 4117 is alive; figures of " in second


def test_every_state_has_a_word_and_a_glyph_of_its_own_in_both_sets() -> None:
    for glyphs in (UTF8, ASCII):
        calm = [glyph for state, glyph in glyphs.states.items() if state not in {"refused", "failed"}]
        assert len(set(calm)) == len(calm)
        for state in glyphs.states:
            if state != "silent":
                scene = Scene(dataclasses.replace(SAMPLE, state=state))
                assert glyphs.states[state] in text_of(title.state(scene, Looks(glyphs)))


def test_memory_over_the_mark_is_bad_by_word_and_glyph_too() -> None:
    over = dataclasses.replace(
        SAMPLE.memory, level="bad", working_set_bytes=110 * 2**30, guard="concurrency 32 to 8"
    )
    lines = memory.lines(Scene(dataclasses.replace(SAMPLE, memory=over)), 36, 5, Looks(ASCII))

    text = "\n".join(text_of(each) for each in lines)
    assert "x 86%" in text
    assert "none, 7.6" in text
    assert "concurrency 32 to 8" in text


def test_the_budget_line_says_what_to_press() -> None:
    second = text_of(title.lines(Scene(PAUSED, PAUSED.at), 80, 2, Looks(UTF8))[1])

    assert "b raises the cap" in second
    assert "spent $4.97 of $5.00, nothing is lost" in second


def test_a_box_keeps_its_frame_whatever_is_in_it() -> None:
    for width in (2, 5, 12, 40):
        framed = boxed(
            line("a very long title indeed"), [line("x" * 99)], width, 4, Looks(ASCII), line("note")
        )
        assert [width_of(each) for each in framed] == [width] * 4


def test_no_state_of_an_ended_run_lacks_a_summary() -> None:
    ended = dataclasses.replace(SAMPLE, state="finished", exit_code=7)
    text = "\n".join(text_of(each) for each in finished.lines(Scene(ended), 100, 14, Looks(UTF8)))

    for word in (
        "exit code 7",
        "rejected 41",
        "failed 2",
        "explanations.jsonl",
        "llmtop retry motions --failed",
    ):
        assert word in text


def test_rejected_answers_are_told_apart_by_filter() -> None:
    filters = (
        FilterView("scripts", 1, hits=3, changed=3),
        FilterView("length", 2, hits=2, rejected=2),
        FilterView("reject_words", 3, hits=39, rejected=39),
    )
    scene = Scene(replace(SAMPLE, filters=filters))

    (row,) = [text_of(each) for each in errors.lines(scene, 36, 5, LOOKS[0]) if "rejected" in text_of(each)]

    assert "rejected 41  reject_words 39  length 2" in row
    assert "scripts" not in row
