"""The word and the exit code for where a run stands."""

from __future__ import annotations

from typing import Any

import pytest

from llmtop.errors import StateError
from llmtop.model import RunCounts
from llmtop.run.state import Standing
from llmtop.submit.work import Halt

BUDGET = Halt("budget", "the budget is reached")
REFUSED = Halt("refused", "no such key")
ALL = RunCounts(total=3, done=3)
SOME = RunCounts(total=3, done=1)
BAD = RunCounts(total=3, done=2, failed=1)


@pytest.mark.parametrize(
    ("fields", "in_flight", "is_held", "word"),
    [
        ({}, 0, False, "starting"),
        ({"phase": "running"}, 3, True, "running"),
        ({"phase": "running"}, 0, True, "held"),
        ({"phase": "running", "is_paused": True}, 2, False, "pausing"),
        ({"phase": "running", "is_paused": True}, 0, True, "paused"),
        ({"phase": "running", "is_stopping": True, "halt": BUDGET}, 1, False, "stopping"),
        ({"phase": "running", "halt": BUDGET, "is_paused": True}, 0, False, "budget"),
        ({"phase": "running", "halt": REFUSED}, 0, False, "refused"),
        ({"phase": "ended", "end": "stopped", "halt": BUDGET}, 0, False, "budget"),
        ({"phase": "ended", "end": "stopped", "is_paused": True}, 0, False, "paused"),
        ({"phase": "ended", "end": "finished", "is_paused": True}, 0, False, "finished"),
        ({"phase": "ended", "end": "failed", "halt": REFUSED}, 0, False, "failed"),
    ],
)
def test_a_standing_has_one_word(fields: dict[str, Any], in_flight: int, is_held: bool, word: str) -> None:
    assert Standing(**fields).word(in_flight=in_flight, is_held=is_held) == word


@pytest.mark.parametrize(
    ("fields", "counts", "code"),
    [
        ({"end": "finished"}, ALL, 0),
        ({"end": "finished"}, BAD, 7),
        ({"end": "finished", "halt": BUDGET}, ALL, 0),
        ({"end": "stopped"}, SOME, 143),
        ({"end": "stopped", "halt": BUDGET}, SOME, 6),
        ({"end": "stopped", "halt": REFUSED}, SOME, 3),
        ({"phase": "running", "halt": Halt("throttled", "for hours")}, SOME, 3),
        ({"end": "cancelled", "halt": BUDGET}, SOME, 8),
        ({"end": "failed", "fault": StateError("/x", "is full")}, ALL, 4),
    ],
)
def test_a_standing_has_one_exit_code(fields: dict[str, Any], counts: RunCounts, code: int) -> None:
    assert Standing(**fields).exit_code(counts, 143) == code
