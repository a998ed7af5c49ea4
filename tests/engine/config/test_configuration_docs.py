"""The documentation names every key, variable and default that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmtop.config.effective import describe
from llmtop.config.keys import KEYS, LATER, OPTIONS
from llmtop.config.schema import RunConfig

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
DEFAULTS = {key: value for key, value, _ in describe(RunConfig(name="x", file=None))}
WORDED = {"name", "provider.model", "provider.base_url", "input.path", "input.id_field"}


def rows() -> dict[str, str]:
    """Return dotted key -> the default that the documentation gives."""
    found: dict[str, str] = {}
    section = ""
    for line in TEXT.partition("## Keys")[2].partition("## Input files")[0].splitlines():
        if heading := re.match(r"### `\[(\w+)\]`", line):
            section = f"{heading[1]}."
        elif row := re.match(r"\| `(\w+)` \| [^|]* \| ([^|]*) \|", line):
            found[section + row[1]] = row[2].strip()
    return found


def test_every_key_is_documented_in_order_and_no_other() -> None:
    assert list(rows()) != []
    assert set(rows()) == set(KEYS)


@pytest.mark.parametrize("key", sorted(set(KEYS) - WORDED))
def test_the_documented_default_is_the_real_one(key: str) -> None:
    default = DEFAULTS[key]
    documented = rows()[key]

    if default == "not set":
        assert not documented.startswith("`")
    else:
        assert default in re.findall(r'`"?([^`"]*)"?`', documented)


def test_every_variable_option_and_later_section_is_documented() -> None:
    for option in OPTIONS:
        assert option.option in TEXT
        assert all(variable in TEXT for variable in option.variables)
    assert all(f"[{section}]" in TEXT for section in LATER)
