from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
from hostile import attempts, job_details, run_lines, snapshots
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmtop.snapshot import FilterView, FlightRow, HeldBy, RunLine, Snapshot
from llmtop_tui.ink import Line, block, boxed, line, text_of, width_of
from llmtop_tui.looks import ASCII, UTF8, Looks
from llmtop_tui.panels import (
    batch,
    batches,
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
from llmtop_tui.sample_items import JOB_DETAIL
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
    "batches": batches.summary,
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
@given(
    snapshot=snapshots,
    width=st.sampled_from([60, 80, 120, 160, 200]),
    looks=st.sampled_from(LOOKS),
    wish=st.sampled_from(["", "cancel", "\x1b[2J"]),
)
def test_a_row_of_the_batches_has_exactly_the_width_of_its_header(
    snapshot: Snapshot, width: int, looks: Looks, wish: str
) -> None:
    for sort in batches.SORTS:
        view = flights.View(sort=sort)
        for row in flights.arrange(snapshot.rows, view):
            drawn = flights.draw(
                row, width, snapshot.at, looks, is_current=False, wish=wish, layout=batches.columns
            )
            assert width_of(drawn) == width_of(flights.header(width, view, batches.columns)) <= width
            _check([drawn], width, 1)


@QUICK
@given(
    snapshot=snapshots,
    detail=st.none() | job_details,
    sends=st.lists(attempts, max_size=6).map(tuple),
    width=st.sampled_from([24, 78, 118, 198]),
    height=st.integers(1, 14),
    looks=st.sampled_from(LOOKS),
)
def test_the_facts_of_any_batch_fit_and_are_free_of_control_characters(
    snapshot: Snapshot, detail: Any, sends: Any, width: int, height: int, looks: Looks
) -> None:
    scene = Scene(snapshot, snapshot.at, wishes={"job:0": "cancel"})
    for row in (None, *snapshot.rows):
        facts = batch.Facts(row, row is not None, detail, sends)
        _check(batch.lines(facts, scene, width, height, looks), width, height)


@pytest.mark.parametrize(("width", "height"), [(78, 11), (118, 27), (198, 37)])
def test_nothing_essential_about_a_job_is_cut_at_the_three_reference_sizes(width: int, height: int) -> None:
    scene = Scene(SAMPLE, SAMPLE.at)
    open_job, over = (row for row in SAMPLE.rows if row.via == "batch")

    def said_of(row: FlightRow) -> str:
        drawn = batch.lines(batch.Facts(row, detail=JOB_DETAIL), scene, width, height, Looks(UTF8))
        return "\n".join(text_of(each)[:width] for each in drawn)

    for word in ("b0002", "in progress", "4,100 of 9,000 items", "batch_6921f0c4a8b0819", "0e4-0002"):
        assert word in said_of(open_job)
    for word in ("items/min 31.3", "eta 2:36:06", "failed 12", "next in 41s", "expires in 22h", "<$0.1120"):
        assert word in said_of(open_job)
    for word in ("full price $0.5022", "saved $0.2511", "so far $0.2511", "results kept 28d", "fetched"):
        assert word in said_of(over)
    assert "context_length" in said_of(open_job)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_of_jobs_has_counts_pace_time_left_and_money_at_every_size(width: int) -> None:
    header = text_of(flights.header(width, flights.View(), batches.columns))
    rows = [
        text_of(flights.draw(row, width, SAMPLE.at, LOOKS[0], is_current=False, layout=batches.columns))
        for row in SAMPLE.rows
        if row.via == "batch"
    ]

    assert [name for name in ("FAIL", "/MIN", "ETA", "COST", "LEFT") if name not in header] == []
    for word in ("in progress", "31.3", "2:36:06", "<$0.1120", "exp 22h"):
        assert word in rows[0]
    for word in ("retrieved", "$0.2511", "kept 28d"):
        assert word in rows[1]
    assert ("$0.5022" in rows[1]) is (width > 80)
    money = text_of(batches.summary(Scene(SAMPLE, SAMPLE.at), width, 2, LOOKS[0])[1])[:width]
    assert "$0.2511 of $0.5022 at full price, saved $0.2511" in money


def test_a_run_that_waits_says_for_what_until_when_and_what_can_be_done() -> None:
    detail = "1 job, 4,100 of 9,000 items done, next look in 41s"
    waiting = replace(SAMPLE, state="waiting", state_at=SAMPLE.at - 4119, state_detail=detail)
    scene = Scene(waiting, SAMPLE.at)
    first, second = (text_of(each)[:80] for each in title.lines(scene, 80, 2, Looks(UTF8)))

    assert "WAITING FOR BATCH 1:08:39" in first
    assert "eta 1:12:40" in first, "a time that is cut would tell a wrong one"
    assert "4,100 of 9,000 items done, next look in 41s" in second
    quiet = replace(waiting, warnings=())
    assert "d detaches" in text_of(title.lines(Scene(quiet), 80, 2, Looks(UTF8))[1])


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
