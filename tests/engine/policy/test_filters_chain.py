from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tomli

from llmtop.errors import ConfigErrors
from llmtop.model import Item
from llmtop.policy.filters import (
    BUILT_IN,
    ChainResult,
    Changed,
    FilterChain,
    FilterCounts,
    Pass,
    build_chain,
)

GUIDE = Path(__file__).parents[3] / "docs" / "filters.md"
ITEM = Item(0, "m-1", {"title": "Vrije dag", "n": 3})
CHAIN: list[Mapping[str, Any]] = [
    {"use": "scripts", "allow": ["Latin"]},
    {"use": "typos", "map": {"beslisssing": "beslissing"}},
    {"use": "strip_metadata"},
    {"use": "normalise"},
    {"use": "length", "min_chars": 10, "on_reject": "retry", "max_asks": 3, "explain": True},
    {"use": "refusal"},
]


def built(*tables: Mapping[str, Any], allow_code: bool = False) -> FilterChain:
    return build_chain(tables, allow_code=allow_code)


def run(chain: FilterChain, output: Any) -> ChainResult:
    return chain.run(output, ITEM, chain.memory())


def faults(*tables: Mapping[str, Any], allow_code: bool = False) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        build_chain(tables, allow_code=allow_code)
    return [str(error) for error in caught.value.errors]


# -- running ----------------------------------------------------------------------------------------


def test_filters_run_in_order_and_the_trail_says_what_each_did() -> None:
    result = run(built(*CHAIN), "De  beslisssing is genomen (45-102).\n这是一个例子")

    assert result.output == "De beslissing is genomen."
    assert [(entry["use"], entry["place"], entry["hits"]) for entry in result.trail] == [
        ("scripts", 1, 1), ("typos", 2, 1), ("strip_metadata", 3, 1), ("normalise", 4, 1),
    ]  # fmt: skip
    assert result.rejected_by is None


def test_the_first_that_rejects_ends_the_chain_and_says_what_follows() -> None:
    result = run(built(*CHAIN), "Sorry  (45-102)")

    rejected = result.rejected_by
    assert rejected is not None
    assert (rejected.use, rejected.rule, rejected.place, rejected.text) == ("length", "length", 5, "Sorry")
    assert rejected.message == "length: has 5 characters, and must have at least 10"
    assert result.trail[-1] == {"use": "length", "place": 5, "hits": 1, "reason": rejected.reason}
    assert [rejected.is_asked_again(asks) for asks in (1, 2, 3)] == [True, True, False]
    assert rejected.explanation is not None and rejected.reason in rejected.explanation


def test_a_rejection_is_kept_and_not_explained_unless_told() -> None:
    rejected = run(built({"use": "length", "min_chars": 10}), "kort").rejected_by
    once_more = run(built({"use": "length", "min_chars": 10, "on_reject": "retry"}), "kort").rejected_by

    assert rejected is not None and not rejected.is_asked_again(1) and rejected.explanation is None
    assert once_more is not None and once_more.is_asked_again(1) and not once_more.is_asked_again(2)


def test_structured_outputs_are_filtered_text_by_text_and_judged_as_a_whole() -> None:
    output = {
        "title": "De beslisssing",
        "points": ["een (45-102)", {"n": 3, "ok": True, "x": None}],
        "这": "dag",
    }
    chain = built(*CHAIN[:4], {"use": "length", "max_words": 4})

    result = run(chain, output)

    assert result.output == {
        "title": "De beslissing",
        "points": ["een", {"n": 3, "ok": True, "x": None}],
        "这": "dag",
    }
    assert [entry["use"] for entry in result.trail] == ["typos", "strip_metadata"]
    assert output["title"] == "De beslisssing"
    assert run(built({"use": "length", "max_words": 3}), output).rejected_by is not None


def test_a_structured_output_of_which_a_text_is_lost_is_rejected_as_it_came() -> None:
    output = {"title": "Titel", "text": "这是一个例子"}

    result = run(built(CHAIN[0]), output)

    assert result.rejected_by is not None
    assert "has nothing left" in result.rejected_by.reason
    assert result.output == output


def test_a_later_schema_sees_what_earlier_filters_made_of_the_output() -> None:
    schema = {"type": "object", "properties": {"word": {"const": "beslissing"}}}

    assert (
        run(built(CHAIN[1], {"use": "json_schema", "schema": schema}), {"word": "beslisssing"}).rejected_by
        is None
    )


def test_counts_add_up_over_a_run_and_tell_two_filters_of_one_name_apart() -> None:
    chain = built({"use": "regex", "forbid": ["a"]}, {"use": "regex", "forbid": ["b"]}, CHAIN[1])
    counts = FilterCounts([step.filter.name for step in chain.steps])

    for text in ("a", "b", "b", "beslisssing beslisssing", "d"):
        counts.add(run(chain, text).trail)
    counts.add([{"use": "regex", "place": 3, "hits": 9}, {"use": "length", "place": 7}, "nonsense"])

    assert counts.names == ("regex", "regex", "typos")
    assert (counts.rejected, counts.changed, counts.hits) == ([1, 3, 0], [0, 0, 0], [1, 3, 0])


def test_an_empty_chain_passes_everything() -> None:
    assert run(built(), {"a": [1]}) == ChainResult({"a": [1]}, ())


# -- the config ---------------------------------------------------------------------------------------


def test_all_faults_of_all_tables_are_told_together_with_place_and_remedy() -> None:
    found = faults(
        {"use": "script"},
        {"allow": ["Latin"]},
        {"use": "scripts", "alow": ["Latin"], "share": 2},
        {"use": "length", "min_chars": 9, "max_chars": 3},
        {"use": "typos", "map": {"teh": "the"}, "on_reject": "keep", "max_asks": 3},
    )

    assert found == [
        'filters[1].use: is "script", which is no filter; Did you mean "scripts"?',
        'filters[2].use: is missing, and must be the name of a filter; Like use = "scripts".',
        'filters[3].alow: unknown key; Did you mean "allow"?',
        "filters[3].share: is 2, and must be a number from 0 to 1",
        "filters[3].allow: is missing",
        "filters[4].min_chars: is 9, and max_chars is 3; Swap them.",
        'filters[5].max_asks: has no effect; Set on_reject = "retry", or take it out.',
    ]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"use": "scripts", "allow": ["Latn2"]}, "no writing script"),
        ({"use": "scripts", "allow": ["japanese"]}, 'Write "Han", "Hiragana", "Katakana"'),
        ({"use": "scripts", "allow": [r"Latin}--\p{L"]}, "no writing script"),
        ({"use": "scripts", "allow": []}, "would take out every line"),
        ({"use": "scripts", "allow": ["Latin"], "min_letters": True}, "is a boolean"),
        ({"use": "typos"}, "filters[1].map: is missing"),
        ({"use": "typos", "map": {}}, "is empty"),
        ({"use": "typos", "map": {"teh": 3}}, "must hold text"),
        ({"use": "typos", "map": {"(teh": "the"}}, "must start and end with a letter"),
        ({"use": "typos", "map": {"mail": "mail adres"}}, "would be replaced again"),
        ({"use": "reject_words"}, "filters[1].language: is missing"),
        ({"use": "reject_words", "language": "duch"}, 'Did you mean "dutch"?'),
        ({"use": "reject_words", "language": "nl", "others": ["nl"]}, "names the wanted language"),
        ({"use": "reject_words", "language": "nl", "words": ["twee woorden"]}, "not one word"),
        ({"use": "reject_words", "language": "nl", "more_than": Decimal("1.5")}, "a whole number"),
        ({"use": "strip_metadata", "patterns": ["(", "a"]}, "filters[1].patterns[1]: is no pattern"),
        ({"use": "strip_metadata", "patterns": ["a*"]}, "and so everywhere"),
        ({"use": "strip_metadata", "defaults": False}, "Name a pattern"),
        (
            {"use": "normalise", "nfc": False, "white_space": False, "punctuation": False},
            "everything switched off",
        ),
        ({"use": "length"}, "has no bound"),
        ({"use": "length", "min_chars": -1}, "must be a whole number"),
        ({"use": "regex"}, "has no pattern"),
        ({"use": "regex", "require": ["a", "[b"]}, "filters[1].require[2]: is no pattern"),
        ({"use": "regex", "forbid": "a", "time_limit": "0s"}, "time_limit"),
        ({"use": "json_schema", "schema": {"type": "objekt"}}, "is not a JSON Schema"),
        ({"use": "json_schema", "schema": {"$ref": "file:///etc/hostname"}}, "is another document"),
        ({"use": "refusal", "languages": ["it"]}, "must be one of"),
        ({"use": "duplicate", "remember": 0}, "must be a whole number"),
        ({"use": "duplicate", "on_reject": "again"}, 'must be one of "keep", "retry"'),
        ({"use": "duplicate", "on_reject": "retry", "max_asks": 1}, "from 2 to 100"),
        ({"use": "duplicate", "explain": True}, "has no effect"),
        ({"use": 3}, "is missing"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(table: Mapping[str, Any], said: str) -> None:
    found = faults(table)

    assert len(found) == 1
    assert found[0].startswith("filters[1]")
    assert said in found[0]


def test_numbers_may_come_from_a_file_or_from_python() -> None:
    for share in (0.25, Decimal("0.25"), 1):
        assert len(built({"use": "scripts", "allow": ["Latin"], "share": share})) == 1


def test_too_many_filters_are_refused() -> None:
    assert "may be 100" in faults(*[{"use": "refusal"}] * 101)[0]


def test_the_guide_names_every_filter_and_every_setting() -> None:
    guide = GUIDE.read_text(encoding="utf-8")

    for name, (cls, _) in BUILT_IN.items():
        section = guide.partition(f"\n## `{name}`")[2].partition("\n## ")[0]
        assert f'use = "{name}"' in section
        for setting in cls.__dataclass_fields__:
            assert f"`{setting}`" in section, f"{name}.{setting}"
    assert all(f"`{name}`" in guide for name in ("on_reject", "max_asks", "explain"))


def test_every_example_in_the_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    (tmp_path / "my_filters.py").write_text(guide.partition("```python\n")[2].partition("```")[0])
    monkeypatch.chdir(tmp_path)

    examples = [tomli.loads(block.partition("```")[0]) for block in guide.split("```toml\n")[1:]]
    chains = [build_chain(example["filters"], allow_code=True) for example in examples]

    assert {step.filter.name for chain in chains for step in chain.steps} == set(BUILT_IN)
    assert run(chains[-1], "Een vrije dag  dus").output == "Een vrije dag dus"
    assert run(chains[-1], "Iets anders").rejected_by is not None


def test_the_benchmark_prints_every_filter_and_the_chain() -> None:
    code = "import benchmarks.filters as f; f.TEXTS = 40; f.ROUNDS = 1; f.main()"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert all(f"\n{name}" in f"\n{printed}" for name in BUILT_IN if name != "python")
    assert "default chain" in printed


def test_a_filter_that_is_asked_elsewhere_takes_its_place_in_the_chain() -> None:
    chain = built(
        {"use": "typos", "map": {"teh": "the"}}, {"use": "refusal"}, {"use": "length", "max_words": 3}
    )
    passage = chain.passage({"a": "teh day", "b": ["x", 1]}, ITEM, chain.memory(), elsewhere={2})

    asked = passage.go_on()
    assert asked is not None
    assert (asked.place, asked.texts) == (2, ("the day", "x"))
    passage.told([Changed("the nice day", 1, "made nicer"), Pass()])
    assert passage.go_on() is None

    result = passage.result
    assert result.output == {"a": "the nice day", "b": ["x", 1]}
    assert [(entry["use"], entry["place"]) for entry in result.trail] == [
        ("typos", 1),
        ("refusal", 2),
        ("length", 3),
    ]
    assert result.rejected_by is not None
    assert result.rejected_by.text == "the nice day\nx"


def test_each_filter_apart_does_what_it_does_in_the_chain() -> None:
    chain = built({"use": "typos", "map": {"teh": "the"}}, {"use": "duplicate", "remember": 2})
    output: Any = "teh day"

    for alone in chain.apart():
        output = alone.run(output, ITEM, alone.memory()).output

    assert output == chain.run("teh day", ITEM, chain.memory()).output == "the day"
    assert [len(alone) for alone in chain.apart()] == [1, 1]


def test_an_output_of_before_is_remembered_as_its_items() -> None:
    chain = built({"use": "duplicate"})
    memory = chain.memory()

    chain.remember("A  day", Item(1, "first", {}), memory)

    again = chain.run("a day", Item(2, "second", {}), memory).rejected_by
    assert again is not None and '"first"' in again.reason
    assert chain.run("a day", Item(1, "first", {}), memory).rejected_by is None
