from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmtop.errors import ConfigError, ConfigErrors
from llmtop.model import Item
from llmtop.policy.filters import ChainResult, build_chain, load_function

ITEM = Item(0, "m-1", {"title": "Vrije dag"})


def run(call: str, output: Any) -> ChainResult:
    chain = build_chain([{"use": "python", "call": call}], allow_code=True)
    return chain.run(output, ITEM, chain.memory())


def faults(call: Any, *, allow_code: bool) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        build_chain([{"use": "python", "call": call}], allow_code=allow_code)
    return [str(error) for error in caught.value.errors]


OWN = """
def shout(text, fields):
    return text.upper()

def judge(text, fields):
    answers = {"pass": None, "yes": True, "no": False, "why": {"reject": "is dull"}, "odd": 3, "list": ["x"]}
    if text == "raise":
        raise KeyError(fields["title"])
    return answers[text]

LIMIT = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own filters.py"
    path.write_text(OWN)
    return str(path)


def test_code_is_refused_unless_it_is_allowed_and_is_not_even_loaded(tmp_path: Path) -> None:
    path = tmp_path / "loud.py"
    path.write_text(f"open({str(tmp_path / 'trace')!r}, 'w').close()\ndef f(text, fields): pass\n")

    found = faults(f"{path}:f", allow_code=False)

    assert "--allow-code" in found[0]
    assert not (tmp_path / "trace").exists()
    assert run(f"{path}:f", "x").output == "x"
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pass", None),
        ("yes", None),
        ("no", "is refused by it"),
        ("why", "is dull"),
        ("raise", "made it raise KeyError: 'Vrije dag'"),
        ("odd", "made it return int, and not a text, a truth or a reason"),
        ("list", "made it return list, and not a text, a truth or a reason"),
    ],
)
def test_what_a_function_says_counts_and_its_failure_is_the_answers_failure(
    own: str, text: str, reason: str | None
) -> None:
    rejected = run(f"{own}:judge", text).rejected_by

    assert (rejected.reason if rejected else None) == reason


def test_a_function_may_change_every_text_of_an_output(own: str) -> None:
    result = run(f"{own}:shout", {"a": ["x", "Y"]})

    assert result.output == {"a": ["X", "Y"]}
    assert result.trail[0]["hits"] == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("own filters.py:shuot", 'Did you mean "shout"?'),
        ("own filters.py:LIMIT", "is no function"),
        ("gone.py:f", "is not there"),
        ("no_such_module_here:f", 'needs the module "no_such_module_here"'),
        ("broken.py:f", "cannot be loaded (SyntaxError"),
        ("exits.py:f", "cannot be loaded (RuntimeError: boom"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_explained(own: str, call: str, said: str) -> None:
    folder = Path(own).parent
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "exits.py").write_text("raise RuntimeError('boom')\n")
    place = f"{folder}/{call}" if ".py" in call else call

    with pytest.raises(ConfigError) as caught:
        load_function(place)

    assert said in str(caught.value)
    assert faults(place, allow_code=True)[0].startswith("filters[1].call:")


@pytest.mark.parametrize("call", ["shout", "a b:f", "file.txt:f", "mod:f()", "x.py:", "", 3])
def test_a_call_that_names_no_function_is_refused(call: Any) -> None:
    assert "filters[1].call" in faults(call, allow_code=True)[0]
