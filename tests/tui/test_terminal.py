from __future__ import annotations

import json
import os
import re
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from terminal import Screen, Terminal

CHILD = str(Path(__file__).parents[1] / "support" / "viewer_child.py")


@contextmanager
def viewing(
    *options: str, size: tuple[int, int] = (80, 24), every_s: float = 0.2, **environment: str
) -> Iterator[Terminal]:
    with Terminal([sys.executable, CHILD, str(every_s), *options], size, environment) as terminal:
        terminal.wait_for_text("RUNNING", 20)
        yield terminal


def ending(terminal: Terminal, seconds: float = 10.0) -> dict[str, Any]:
    status, error = terminal.ended(seconds)
    assert status == 0, error
    assert "Traceback" not in error
    result: dict[str, Any] = json.loads(error.strip().splitlines()[-1])
    return result


def assert_left_as_found(terminal: Terminal) -> None:
    output = terminal.output.decode()
    screen = terminal.screen()
    assert not screen.is_alternate
    assert screen.is_cursor_shown
    assert not screen.text.strip(), "a terminal without a second screen would keep the picture"
    for mode in ("1000", "1006", "2004"):
        assert output.rfind(f"\x1b[?{mode}l") > output.rfind(f"\x1b[?{mode}h"), mode
    assert termios.tcgetattr(terminal._slave)[:4] == terminal.slave_before[:4]


def test_q_leaves_the_terminal_as_it_was_found() -> None:
    with viewing() as terminal:
        terminal.send("q")

        assert ending(terminal)["reason"] == "left"
        terminal.wait_for(lambda: not terminal.screen().is_alternate)
        assert_left_as_found(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_asks_to_end_leaves_the_terminal_clean_too(number: signal.Signals) -> None:
    with viewing() as terminal:
        terminal.child.send_signal(number)

        assert ending(terminal)["reason"] == "left"
        terminal.wait_for(lambda: not terminal.screen().is_alternate)
        assert_left_as_found(terminal)


def test_sigterm_to_the_owner_of_the_run_stops_the_run_first() -> None:
    with viewing("is_run_owner=true") as terminal:
        terminal.child.send_signal(signal.SIGTERM)

        end = ending(terminal)
        assert end["reason"] == "stopped"
        assert end["commands"] == [["stop", {}]]


def test_sighup_ends_the_viewer_and_says_so() -> None:
    with viewing() as terminal:
        terminal.child.send_signal(signal.SIGHUP)

        assert ending(terminal, 3)["reason"] == "hangup"


def test_a_closed_terminal_ends_the_viewer_at_once_and_sends_no_command() -> None:
    with viewing("is_run_owner=true") as terminal:
        terminal.drop_slave()
        started = time.monotonic()
        terminal.hang_up()

        end = ending(terminal, 5)
        assert end["reason"] == "hangup"
        assert end["commands"] == []
        assert time.monotonic() - started < 2.0


def test_a_terminal_that_reads_nothing_does_not_stop_the_event_loop_and_catches_up_in_one_frame() -> None:
    with viewing(every_s=0.05) as terminal:
        terminal.stall()
        terminal.resize((200, 50))
        terminal.child.send_signal(signal.SIGWINCH)
        time.sleep(1.2)
        cpu = psutil.Process(terminal.child.pid).cpu_times()
        assert cpu.user + cpu.system < 3
        terminal.resume()
        terminal.send("1")
        terminal.wait_for_text("Tuner and settings", 5)
        before = time.monotonic()
        terminal.send("q")
        end = ending(terminal)

        assert end["reason"] == "left"
        assert end["gap_s"] < 1.0
        assert time.monotonic() - before < 2


def test_a_terminal_that_stalls_and_closes_cannot_hold_the_viewer() -> None:
    with viewing(every_s=0.05) as terminal:
        terminal.stall()
        terminal.child.send_signal(signal.SIGTERM)

        assert ending(terminal, 4)["reason"] == "left"


def test_partial_painting_shows_the_same_as_a_full_repaint() -> None:
    with viewing(size=(120, 40), every_s=0.1) as terminal:
        for keys in ("j", "j", "4", "1", "#", "#", "/", "done\r", "\x1b", "?", "\x1b"):
            terminal.send(keys)
            time.sleep(0.12)
        terminal.send("Z")
        terminal.wait_for_text("FROZEN")
        time.sleep(0.3)
        partial = terminal.screen()
        mark = len(terminal.output)
        terminal.send("\x0c")
        terminal.wait_for(lambda: len(terminal.output) > mark + 2000)
        time.sleep(0.3)
        fresh = Screen(*terminal.size)
        fresh.feed(terminal.output[mark:].decode())

        assert partial.text == fresh.text
        assert partial.picture == fresh.picture


def test_a_word_that_comes_in_one_piece_with_its_key_is_typed_and_steers_nothing() -> None:
    with viewing(size=(120, 40)) as terminal:
        terminal.send("/done")
        terminal.wait_for(lambda: "/done" in terminal.screen().text)
        terminal.send("\x1b")
        terminal.wait_for(lambda: "/done" not in terminal.screen().text)
        terminal.send(":set concurrency=9\r")
        terminal.wait_for_text("llmtop set motions concurrency=9")
        terminal.send("q")

        end = ending(terminal)
        assert end["reason"] == "left"
        assert end["commands"] == [["set", {"concurrency": "9"}]]


def test_a_quiet_screen_and_a_moving_mouse_cost_next_to_nothing() -> None:
    with Terminal([sys.executable, CHILD, "1", "paused=true"], (120, 40)) as terminal:
        terminal.wait_for_text("PAUSED", 20)
        time.sleep(1.2)
        assert len(terminal.output) < 30_000
        moment = time.monotonic()
        for number in range(100):
            terminal.send(f"\x1b[<35;{10 + number % 80};{10 + number % 25}M")
        time.sleep(1.0)

        assert terminal.bytes_since(moment) < 500


def test_a_lively_run_stays_far_below_the_budget_of_the_line() -> None:
    with viewing(size=(120, 40), every_s=1.0) as terminal:
        time.sleep(1.0)
        moment = time.monotonic()
        time.sleep(2.0)

        assert terminal.bytes_since(moment) / 2.0 < 4_000


def test_no_color_prints_no_colour_and_ascii_no_byte_over_127() -> None:
    with viewing(NO_COLOR="1", LC_ALL="C") as terminal:
        terminal.send("?")
        terminal.wait_for_text("Steering the run")
        output = bytes(terminal.output)

        assert max(output) < 128
        assert b"38;" not in output
        assert b"48;" not in output
        assert not re.search(rb"\x1b\[(0;)?(3|4|9|10)[0-7]m", output)


def test_the_default_theme_uses_the_terminals_own_colours_only() -> None:
    with viewing() as terminal:
        assert b"38;2" not in bytes(terminal.output)
        assert b"48;" not in bytes(terminal.output)


def test_a_key_is_answered_within_a_fifth_of_a_second() -> None:
    with viewing("theme=ansi", every_s=5.0) as terminal:
        time.sleep(0.5)
        waits = []
        for key in ("j", "k", "j", "k", "j"):
            count, moment = len(terminal.arrivals), time.monotonic()
            terminal.send(key)
            terminal.wait_for(lambda before=count: len(terminal.arrivals) > before)
            waits.append(time.monotonic() - moment)

        assert sorted(waits)[2] < 0.2


def test_suspending_gives_the_terminal_back_and_takes_it_again_with_a_whole_picture() -> None:
    with viewing() as terminal:
        mark = len(terminal.output)
        terminal.send("\x1a")  # nobody can stop a process group that no shell looks after: it goes on at once
        terminal.wait_for(lambda: b"\x1b[?1049h" in terminal.output[mark:])
        assert b"\x1b[?1049l" in terminal.output[mark:]
        terminal.wait_for(lambda: terminal.output[mark:].count(b"RUNNING") > 0)
        fresh = Screen(*terminal.size)
        fresh.feed(terminal.output[mark:].decode())
        assert "[1 Overview]" in fresh.text


def test_a_process_that_was_stopped_and_continued_from_outside_paints_everything_again() -> None:
    with viewing() as terminal:
        os.kill(terminal.child.pid, signal.SIGSTOP)
        terminal.wait_for(lambda: psutil.Process(terminal.child.pid).status() == psutil.STATUS_STOPPED)
        mark = len(terminal.output)
        os.kill(terminal.child.pid, signal.SIGCONT)
        terminal.wait_for(lambda: b"[1 Overview]" in terminal.output[mark:])
        terminal.send("q")

        assert ending(terminal)["reason"] == "left"


def test_a_resize_is_followed() -> None:
    with viewing() as terminal:
        terminal.resize((200, 50))
        terminal.wait_for_text("Tuner and settings")
        terminal.resize((40, 10))
        terminal.wait_for_text("tiny screen")


@pytest.mark.parametrize(
    ("state", "environment", "expected"),
    [
        ("finished", {"TERM_PROGRAM": "iTerm.app"}, b"\x1b]9;motions finished: 12,367 done"),
        ("budget", {"VTE_VERSION": "7600"}, b"\x1b]777;notify;llmtop;motions has reached its budget"),
        ("paused", {"TERM_PROGRAM": ""}, b"\x07"),
    ],
)
def test_the_terminal_rings_when_a_run_ends_or_stands_still_by_itself(
    state: str, environment: dict[str, str], expected: bytes
) -> None:
    plain = {"TERM_PROGRAM": "", "VTE_VERSION": ""}
    with viewing(f"then={state}", every_s=0.0, **{**plain, **environment}) as terminal:
        terminal.wait_for(lambda: b"]2;llmtop motions" in terminal.output)
        terminal.child.send_signal(signal.SIGUSR1)
        terminal.wait_for_text(state.upper())
        terminal.wait_for(lambda: expected in _without_titles(terminal.output))
        output = _without_titles(bytes(terminal.output))

        assert expected in output
        assert output.count(b"\x07") == (1 if expected == b"\x07" else 2)


def test_switched_off_nothing_rings_and_the_window_keeps_its_name() -> None:
    with viewing("then=finished", every_s=0.0, LLMTOP_NOTICES="off", VTE_VERSION="7600") as terminal:
        terminal.child.send_signal(signal.SIGUSR1)
        terminal.wait_for_text("FINISHED")
        terminal.send("q")
        ending(terminal)

        assert b"\x07" not in terminal.output
        assert b"\x1b]" not in terminal.output


def _without_titles(output: bytes | bytearray) -> bytes:
    return re.sub(rb"\x1b\]2;[^\x07]*\x07", b"", bytes(output))


def test_no_escape_of_anybody_elses_text_reaches_the_terminal() -> None:
    with Terminal([sys.executable, CHILD, "0", "hostile=true"], (200, 50)) as terminal:
        terminal.wait_for_text("RUNNING", 20)
        for key, words in (("4", "EVIDENCE"), ("5", "KIND"), ("6", "[6 Log]"), ("1", "BATCH")):
            terminal.send(key)
            terminal.wait_for_text(words)
        output = bytes(terminal.output)

        titles = re.findall(rb"\x1b\]2;llmtop ([^\x07\x1b]*)\x07", output)
        assert titles, "the window's title is ours"
        assert output.count(b"\x1b]") == len(titles)
        assert not any(b"pwned" in title for title in titles)
        assert b"\x1bP" not in output
        assert b"\x9b" not in output.replace("\u281b".encode(), b"")
        assert output.count(b"\x1b[2J") <= 3
        assert "[@click=app.exit]" in terminal.screen().text
