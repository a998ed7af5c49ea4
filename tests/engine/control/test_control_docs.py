"""The manual of the control API names every field and every verb."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from llmtop.listing import ItemDetail, ItemPage, ItemQuery, ItemState, JobDetail
from llmtop.model import Acknowledgement, Command, CommandVerb, Decision
from llmtop.policy.limiter import Cause
from llmtop.run.knobs import KNOBS
from llmtop.snapshot import RunLine, RunState, Snapshot

MANUAL = Path(__file__).parents[3] / "docs" / "control-api.md"
NAMED = set(re.findall(r"`([^`\s]+)`", MANUAL.read_text(encoding="utf-8")))


def fields_of(kind: Any) -> set[str]:
    """The fields of a value and of all that it holds."""
    if not (dataclasses.is_dataclass(kind) and isinstance(kind, type)):
        return set().union(*map(fields_of, get_args(kind))) if get_args(kind) else set()
    hints = get_type_hints(kind)
    return set(hints).union(*map(fields_of, hints.values()))


@pytest.mark.parametrize(
    "kind",
    [Snapshot, RunLine, Command, Acknowledgement, Decision, ItemQuery, ItemPage, ItemDetail, JobDetail],
)
def test_every_field_is_in_the_manual(kind: type[Any]) -> None:
    assert fields_of(kind) - NAMED == set()


@pytest.mark.parametrize(
    "words", [get_args(CommandVerb), get_args(RunState), get_args(ItemState), Cause, KNOBS]
)
def test_every_word_is_in_the_manual(words: Any) -> None:
    assert set(map(str, words)) - NAMED == set()
