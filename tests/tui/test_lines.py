"""Lines that leave the process without ever holding up whoever writes them."""

from __future__ import annotations

import os
import threading
import time

from llmtop_tui.lines import LineWriter


def test_a_reader_that_never_reads_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    try:
        writer = LineWriter(writing)
        started = time.monotonic()

        for _ in range(5_000):
            writer.write("x" * 200)
        took = time.monotonic() - started

        assert took < 2.0, "a pipe holds 64 KiB; this is 1 MB"
        assert writer.drain(0.05) is False
    finally:
        writer.mute()
        os.close(reading)


def test_lines_that_may_be_left_out_are_while_many_wait() -> None:
    reading, writing = os.pipe()
    try:
        writer = LineWriter(writing)
        for _ in range(2_000):
            writer.write("x" * 200, may_drop=True)
        writer.write("the end")
        taken = _read_until(reading, b"the end\n")

        assert taken.count(b"\n") < 1_000
    finally:
        os.close(reading)


def test_all_lines_arrive_in_order_at_a_reader_that_reads() -> None:
    reading, writing = os.pipe()
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(_read_until(reading, b"499\n")))
    reader.start()
    writer = LineWriter(writing)

    for number in range(500):
        writer.write(str(number))

    assert writer.drain(5.0) is True
    reader.join(5.0)
    assert taken[0].split() == [str(number).encode() for number in range(500)]


def test_a_reader_that_went_away_ends_the_output_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(writing)

    writer.write("into the void")
    writer.drain(2.0)
    writer.write("and again")

    assert writer.is_gone


def _read_until(fd: int, end: bytes) -> bytes:
    taken = b""
    while not taken.endswith(end):
        chunk = os.read(fd, 65536)
        if not chunk:
            break
        taken += chunk
    return taken
