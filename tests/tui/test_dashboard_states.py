from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace

import pytest
from fake_door import FakeDoor
from viewing import viewer

from llmtop.errors import StateError
from llmtop.model import RunCounts
from llmtop.snapshot import RunLine, Snapshot
from llmtop_tui.app import DashboardApp, ViewOptions
from llmtop_tui.panel import Panel
from llmtop_tui.sample import FINISHED, RUNS, SAMPLE
from llmtop_tui.session import Session
from llmtop_tui.view import ViewEnd

DEAD_PID = 2**22 + 1


def with_pid(pid: int) -> Snapshot:
    return replace(SAMPLE, processes=replace(SAMPLE.processes, engine_pid=pid))


class MuteDoor(FakeDoor):
    """A door that never answers."""

    async def snapshots(self, interval_s: float):  # type: ignore[no-untyped-def]
        await asyncio.Event().wait()
        yield self.now


async def test_the_first_frame_is_there_before_the_engine_has_answered() -> None:
    app = DashboardApp(
        ViewOptions(origin="me@here", mouse=False), Session(MuteDoor(), ViewOptions(origin="me@here"))
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        svg = app.export_screenshot()

        assert "Memory" in svg
        assert "connecting" in svg
        await pilot.press("+")
        assert app.screen.status.text == "no answer from the engine yet"
    await app.finish()


async def test_an_engine_that_dies_is_said_to_be_gone_and_the_last_figures_stay() -> None:
    async with viewer(FakeDoor(with_pid(DEAD_PID))) as view:
        view.door.end()
        await view.until(lambda: view.app.session.link == "gone")
        view.app.redraw()

        assert "ENGINE GONE" in view.text("title")
        assert "r resumes" in view.text("title")
        assert "12,410" not in view.text("title")
        assert "8,140" in view.text("throughput")
        await view.press("space")
        assert view.sent == []
        assert view.app.session.end_reason() == "engine_gone"


async def test_an_engine_that_lives_and_says_nothing_is_no_answer_with_an_age() -> None:
    async with viewer(FakeDoor(with_pid(os.getpid()))) as view:
        view.clock.now += 7.0
        view.app.redraw()

        assert "NO ANSWER for 0:07" in view.text("title")
        assert f"pid {os.getpid()} is alive" in view.text("title")


async def test_a_door_that_breaks_is_tried_again_and_does_not_end_the_viewer() -> None:
    class BreakingDoor(FakeDoor):
        tries = 0

        async def snapshots(self, interval_s: float):  # type: ignore[no-untyped-def]
            self.tries += 1
            yield self.now
            raise StateError("engine", "the socket closed", "")

    async with viewer(BreakingDoor(with_pid(DEAD_PID))) as view:
        await view.until(lambda: view.app.session.link == "gone")
        await view.press("6")

        assert "no answer: engine: the socket closed" in view.text("body")


async def test_an_engine_that_was_still_dying_when_its_stream_broke_is_gone_and_not_quietly_at_rest() -> None:
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )

    class DyingDoor(FakeDoor):
        tries = 0

        async def snapshots(self, interval_s: float):  # type: ignore[no-untyped-def]
            self.tries += 1
            yield self.now if self.tries == 1 else replace(with_pid(0), state="stopped")
            asyncio.get_running_loop().call_later(0.2, dying.kill)
            raise StateError("engine", "the socket closed", "")

    async with viewer(DyingDoor(with_pid(dying.pid))) as view:
        await view.until(lambda: view.app.session.link in {"gone", "ended"})

        assert view.app.session.link == "gone"
        assert view.door.tries == 1
        assert view.app.session.end_reason() == "engine_gone"


async def test_an_engine_that_never_gives_a_snapshot_is_said_on_top_once_and_not_a_line_a_second() -> None:
    class BrokenDoor(FakeDoor):
        tries = 0

        async def snapshots(self, interval_s: float):  # type: ignore[no-untyped-def]
            self.tries += 1
            raise StateError("engine.sock", "the engine broke", "")
            yield self.now

    door = BrokenDoor()
    session = Session(door, ViewOptions(origin="me@here"))
    app = DashboardApp(ViewOptions(origin="me@here", mouse=False), session)
    async with app.run_test(size=(80, 24)) as pilot:
        while door.tries < 2:
            await pilot.pause(0.05)
        await pilot.pause(0.05)

        assert len(session.scene().notes) == 1
        assert "the engine broke" in app.export_screenshot().replace("&#160;", " ")
    await app.finish()


@pytest.mark.parametrize("state", ["finished", "stopped", "cancelled", "failed"])
async def test_an_ended_run_stays_open_with_its_summary_and_refuses_to_be_steered(state: str) -> None:
    ended = replace(SAMPLE, state=state, exit_code=7, counts=RunCounts(100, 90, 8, 2))  # type: ignore[arg-type]
    async with viewer(FakeDoor(ended), is_run_owner=True) as view:
        assert "exit code 7" in view.text("summary")
        assert "filter" not in view.text("tabs")
        assert "open" not in view.text("footer")
        assert "explanations.jsonl" in view.text("summary")
        assert not view.app.screen.table.display
        assert "pause" not in view.text("footer")
        await view.press("space")
        assert f"not live any more ({state})" in view.text("status")
        await view.press("q")

        assert view.app.reason == "finished"
        assert view.sent == []


async def test_a_window_of_60x20_has_every_screen_and_every_vital_figure() -> None:
    async with viewer(size=(60, 20)) as view:
        view.app.has_list = True
        view.app.screen.hidden = frozenset()
        view.app.redraw()
        await view.settle()
        rows = view.text().split("\n")

        assert "[1 Over]  2 Batch  3 Items  4 Tuner  5 Err  6 Log" in view.text("tabs")
        assert view.text("tabs").rstrip().endswith("0 Runs")
        for figure in ("flight 31/32", "req/s 1.98", "rej 41  failed 2", "cap holds", "33%", "429 12"):
            assert any(figure in row for row in rows), figure
        assert all(len(row) <= 60 for row in rows)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (200, 50)])
async def test_what_a_run_came_to_is_shown_whole_at_every_size(size: tuple[int, int]) -> None:
    async with viewer(FakeDoor(FINISHED), size=size) as view:
        shown = view.text("summary")

        assert "explanations.jsonl" in shown
        assert "llmtop retry motions --failed" in shown
        assert "--status rejected" in shown


async def test_a_panel_that_raises_says_so_and_the_rest_goes_on() -> None:
    async with viewer() as view:
        panel = view.app.screen.query_one("#memory", Panel)
        panel._draw = lambda *drawn: 1 // 0
        view.door.push(throughput=replace(SAMPLE.throughput, in_flight=7))
        await view.settle()
        view.app.redraw()

        assert "cannot draw (see log)" in view.text("memory")
        assert "in flight 7/32" in view.text("throughput")
        await view.press("6")
        assert "panel memory cannot be drawn: ZeroDivisionError" in view.text("body")


async def test_hostile_names_reach_the_screen_as_bare_text() -> None:
    nasty = "\x1b]0;pwn\x07[/]\x1b[2J[bold"
    rows = tuple(replace(row, item_id=nasty, items=1, state=nasty, note=nasty) for row in SAMPLE.rows)
    hostile = replace(
        SAMPLE, name=nasty, rows=rows, warnings=(nasty,), last_command=nasty, state_detail=nasty
    )
    async with viewer(FakeDoor(hostile)) as view:
        for key in ("1", "4", "5", "6"):
            await view.press(key)
            assert "\x1b" not in view.text()
            assert "\x07" not in view.text()
        assert "[/][bold" in view.text("title")


@pytest.mark.parametrize(
    ("size", "shown", "hidden"),
    [
        ((45, 10), ["#tiny"], ["#title", "#table"]),
        ((80, 24), ["#narrow", "#table"], ["#boxes", "#right", "#tiny"]),
        ((80, 15), ["#narrow", "#table"], ["#boxes"]),
        ((120, 40), ["#boxes", "#plot"], ["#narrow", "#right"]),
        ((120, 30), ["#boxes", "#table"], ["#plot"]),
        ((200, 50), ["#boxes", "#right", "#plot2"], ["#narrow"]),
        ((200, 24), ["#narrow", "#right"], ["#boxes"]),
    ],
)
async def test_each_size_shows_what_it_has_room_for(
    size: tuple[int, int], shown: list[str], hidden: list[str]
) -> None:
    async with viewer(size=size) as view:
        for name in shown:
            assert view.app.screen.query_one(name).region, name
        for name in hidden:
            assert not view.app.screen.query_one(name).region, name
        if "#table" in shown:
            assert view.app.screen.table.size.height >= min(7, size[1] - 8)


async def test_a_storm_of_resizes_ends_with_the_right_picture() -> None:
    async with viewer(size=(200, 50)) as view:
        for size in ((80, 24), (20, 5), (120, 40), (60, 15), (80, 24)):
            await view.pilot.resize_terminal(*size)
        view.app.redraw()
        await view.settle()
        once = view.text()
        async with viewer(size=(80, 24)) as fresh:
            assert once.replace(once[:80], "") == fresh.text().replace(fresh.text()[:80], "")


async def _browsing(runs: tuple[RunLine, ...], door: FakeDoor | None = None) -> DashboardApp:
    async def list_runs() -> tuple[RunLine, ...]:
        return runs

    async def open_run(run_id: str) -> FakeDoor:
        if door is None:
            raise StateError(run_id, "cannot be opened", "")
        door.run_id = run_id
        return door

    options = ViewOptions(origin="me@here", mouse=False, glyphs="utf8")
    return DashboardApp(options, list_runs=list_runs, open_run=open_run)


async def test_the_list_of_runs_opens_one_and_esc_comes_back_and_lets_go_of_it() -> None:
    door = FakeDoor()
    app = await _browsing(RUNS, door)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert [run.name for run in app.screen.table.rows][:2] == ["motions", "eval-gemma"]
        await pilot.press("j", "enter")
        await pilot.pause()
        assert door.run_id == RUNS[1].run_id
        assert app.screen.PLACE == "overview"
        assert "0" in app.screen._bindings.key_to_bindings
        await pilot.press("4", "escape", "escape")
        await pilot.pause()
        assert app.session is None
        await pilot.press("/", *"eval-mis")
        assert [run.name for run in app.screen.table.rows] == ["eval-mistral"]
    await app.finish()
    assert door.is_closed


async def test_from_a_run_that_was_started_0_leads_to_the_list_and_another_run_is_only_looked_at() -> None:
    own, other = FakeDoor(), FakeDoor()
    own.run_id, other.run_id = "r-own", RUNS[1].run_id
    options = ViewOptions(origin="me@here", mouse=False, is_run_owner=True, started=("r-own",))

    async def list_runs() -> tuple[RunLine, ...]:
        return RUNS

    async def open_run(run_id: str) -> FakeDoor:
        return other

    app = DashboardApp(options, Session(own, options), list_runs, open_run)
    async with app.run_test(size=(80, 24)) as pilot:
        while app.session is None or app.session.snapshot is None:
            await pilot.pause()
        await pilot.press("escape")
        assert app.session is not None
        await pilot.press("0")
        await pilot.pause()
        assert app.session is None
        while not app.screen.table.rows:
            await pilot.pause(0.02)
        await pilot.press("j", "enter")
        while app.session is None or app.session.snapshot is None:
            await pilot.pause()
        assert app.session.door is other
        await pilot.press("ctrl+c")
    await app.finish()

    assert app.reason == "left"
    assert [command.verb for command in (*own.commands, *other.commands)] == []


async def test_the_list_of_runs_is_sorted_by_a_column_and_turned_round() -> None:
    app = await _browsing(RUNS, FakeDoor())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("s")
        assert [run.name for run in app.screen.table.rows] == sorted(run.name for run in RUNS)
        await pilot.press("I")
        assert [run.name for run in app.screen.table.rows] == sorted((run.name for run in RUNS), reverse=True)
    await app.finish()


async def test_a_run_that_cannot_be_opened_is_a_sentence_and_no_end() -> None:
    app = await _browsing(RUNS)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()

        assert "cannot open it" in app.screen.status.text
    await app.finish()


async def test_without_a_run_the_four_commands_are_shown() -> None:
    app = await _browsing(())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        svg = app.export_screenshot().replace("&#160;", " ")

        for command in ("No runs yet", "llmtop demo", "llmtop init", "llmtop plan FILE", "llmtop run FILE"):
            assert command in svg
    await app.finish()


def test_a_view_ends_with_a_reason_and_the_last_picture() -> None:
    assert ViewEnd("hangup", SAMPLE).snapshot is SAMPLE
