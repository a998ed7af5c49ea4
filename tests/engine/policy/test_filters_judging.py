from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.model import Item
from llmtop.policy.filters import ChainResult, DigestMemory, Rejection, build_chain
from llmtop.policy.filters.function_words import BORROWED, NAMES, WORDS, foreign_words

ITEM = Item(0, "m-1", {})
SAMPLES = {
    "nl": "Deze stelling gaat over de vraag of iedereen een dag vrij moet krijgen om te zorgen. "
    "Wie het er niet mee eens is, zegt dat het te duur wordt en dat niemand weet hoe het gaan zal.",
    "en": "This motion is about whether all of us should have a day off to care for others, and those "
    "who are against it say that it would cost too much and that nobody knows how it will go.",
    "de": "Bei dieser These geht es um die Frage, ob alle einen freien Tag haben sollen, um zu helfen. "
    "Wer dagegen ist, sagt, dass es zu teuer wird und dass niemand weiß, wie es dann weitergehen kann.",
    "fr": "Cette motion pose la question de savoir si tous doivent avoir un jour pour aider les autres. "
    "Ceux qui sont contre disent que cela coûte trop et que nous ne savons pas comment cela peut finir.",
    "es": "Esta moción trata de si todos deben tener un día libre para cuidar de los otros. Quienes están en "
    "contra dicen que es muy caro y que nadie sabe cómo puede terminar todo esto para nosotros.",
}


def rejection(output: Any, use: str, **settings: Any) -> Rejection | None:
    chain = build_chain([{"use": use, **settings}], allow_code=False)
    return chain.run(output, ITEM, chain.memory()).rejected_by


# -- reject_words ---------------------------------------------------------------------------------


@pytest.mark.parametrize("language", NAMES)
def test_a_text_in_the_wanted_language_passes_and_each_other_is_rejected_by_its_name(language: str) -> None:
    for written, text in SAMPLES.items():
        found = rejection(text, "reject_words", language=language)
        if written == language:
            assert found is None
        else:
            assert found is not None
            assert f"words of {NAMES[written]}" in found.reason


@pytest.mark.parametrize("language", NAMES)
def test_a_sound_text_of_each_language_holds_hardly_any_word_of_another(language: str) -> None:
    for other in NAMES.keys() - {language}:
        assert (
            rejection(SAMPLES[language], "reject_words", language=language, others=[other], more_than=1)
            is None
        )


def test_exactly_as_many_foreign_words_as_allowed_pass_and_one_more_does_not() -> None:
    ten = "Het boek heet " + " ".join(["because"] * 10) + "."

    assert rejection(ten, "reject_words", language="Dutch") is None
    found = rejection(ten + " Should!", "reject_words", language="nl")
    assert found is not None
    assert found.reason == "has 11 words of English (because, should)"


def test_words_can_be_added_and_taken_out() -> None:
    text = "Een feedbackje because because."

    assert rejection(text, "reject_words", language="nl", more_than=1, ignore=["Because"]) is None
    assert rejection(
        text, "reject_words", language="nl", more_than=0, words=["feedbackje"], ignore=["because"]
    )


@pytest.mark.parametrize("language", NAMES)
def test_no_word_of_the_wanted_language_is_counted(language: str) -> None:
    assert len(WORDS[language]) > 100
    for other in NAMES.keys() - {language}:
        counted = foreign_words(language, other)
        assert not counted & (WORDS[language] | BORROWED[language])
        assert len(counted) > 80


# -- length, regex, json_schema, refusal ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "settings", "reason"),
    [
        ("kort", {"min_chars": 5}, "has 4 characters, and must have at least 5"),
        ("lang", {"max_chars": 3}, "has 4 characters, and may have 3"),
        ("twee woorden", {"min_words": 3}, "has 2 words, and must have at least 3"),
        ("twee woorden", {"max_words": 1}, "has 2 words, and may have 1"),
        (" kort\n", {"min_chars": 4, "max_chars": 4, "min_words": 1}, None),
        ({"a": "twee", "b": ["woorden"], "c": 3}, {"min_words": 2, "max_words": 2}, None),
    ],
)
def test_length_counts_what_is_said(text: Any, settings: dict[str, Any], reason: str | None) -> None:
    found = rejection(text, "length", **settings)

    assert (found.reason if found else None) == reason


def test_patterns_are_required_or_forbidden() -> None:
    assert rejection("Voor: a. Tegen: b.", "regex", require=["Voor:", "Tegen:"], forbid="TODO") is None
    missing = rejection("Voor: a.", "regex", require=["Voor:", "Tegen:"])
    assert missing is not None and missing.message == "regex: does not hold /Tegen:/"
    assert rejection("een todo", "regex", forbid=["TODO"], ignore_case=True)


def test_a_catastrophic_pattern_is_stopped_and_the_answer_is_rejected() -> None:
    start = time.process_time()

    found = rejection("a" * 5_000 + "!", "regex", require=[r"^(a|aa|a?)+$"], time_limit="50ms")

    assert time.process_time() - start < 2.0
    assert found is not None
    assert "could not be searched for" in found.reason


def test_an_answer_must_be_json_that_the_schema_accepts() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    assert rejection('{"n": 1}', "json_schema", schema=schema) is None
    assert rejection({"n": 1}, "json_schema", schema=schema) is None
    wrong = rejection({"n": "x"}, "json_schema", schema=schema)
    assert wrong is not None and wrong.reason.startswith("does not fit the schema at n:")
    broken = rejection('{"n": 1', "json_schema", schema=schema)
    assert broken is not None and broken.reason == "is not JSON"


@pytest.mark.parametrize(
    "text",
    [
        "I’m sorry, but I can’t help with that.",
        "Het spijt me, maar ik kan deze vraag niet beantwoorden.",
        "  Als AI-taalmodel heb ik geen mening.",
        "Tut mir leid, aber ich kann das nicht.",
        "Désolé, mais je ne peux pas répondre.",
        "Lo siento, pero no puedo ayudar con eso.",
    ],
)
def test_refusals_are_known_in_five_languages(text: str) -> None:
    found = rejection(text, "refusal")

    assert found is not None
    assert "is a refusal" in found.reason


def test_a_refusal_that_is_quoted_deep_in_a_text_is_none() -> None:
    assert rejection(SAMPLES["nl"] * 2 + " Hij zei: sorry, maar ik kan niet.", "refusal") is None
    assert all(rejection(text, "refusal") is None for text in SAMPLES.values())
    assert rejection("Geen zin in.", "refusal", phrases=["geen zin"], languages=["nl"])


# -- duplicate ----------------------------------------------------------------------------------------


def test_the_same_output_under_another_id_is_a_duplicate_and_asking_again_is_not() -> None:
    chain = build_chain([{"use": "duplicate"}], allow_code=False)
    memory = chain.memory()

    def run(output: Any, id_: str) -> ChainResult:
        return chain.run(output, Item(0, id_, {}), memory)

    assert run("Een antwoord.", "a").rejected_by is None
    assert run("Een antwoord.", "a").rejected_by is None
    found = run("een  Antwoord.\n", "b").rejected_by
    assert found is not None and found.reason == 'is the same as that of item "a"'
    assert run({"x": 1, "y": "z"}, "c").rejected_by is None
    assert run({"y": "z", "x": 1}, "d").rejected_by is not None
    assert run({"y": "z", "x": 2}, "e").rejected_by is None
    assert chain.run("Een antwoord.", Item(0, "f", {}), chain.memory()).rejected_by is None


def test_the_memory_of_outputs_is_bounded_and_forgets_the_oldest() -> None:
    memory = DigestMemory(3)

    assert [memory.first_with(bytes([number]), str(number)) for number in range(5)] == list("01234")
    assert len(memory) == 3
    assert memory.first_with(bytes([4]), "x") == "4"
    assert memory.first_with(bytes([0]), "x") == "x"


# -- all of them --------------------------------------------------------------------------------------

EVERY: list[Mapping[str, Any]] = [
    {"use": "scripts", "allow": ["Latin", "Cyrillic"]},
    {"use": "replace_words", "map": {"a": "b", "x y": "z"}},
    {"use": "typos", "map": {"teh": "the"}},
    {"use": "reject_words", "language": "nl"},
    {"use": "strip_metadata", "patterns": ["q+"]},
    {"use": "normalise", "quotes": "straight"},
    {"use": "length", "min_chars": 1, "max_words": 5},
    {"use": "regex", "require": ["e"], "forbid": ["^$"]},
    {"use": "json_schema", "schema": {"type": ["object", "string", "number"]}},
    {"use": "refusal"},
    {"use": "duplicate"},
]
VALUES = st.recursive(
    st.one_of(st.text(max_size=40), st.integers(-(2**62), 2**62), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def shape(value: Any) -> Any:
    if isinstance(value, str):
        return ""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("table", EVERY, ids=lambda table: str(table["use"]))
@given(value=VALUES)
@settings(deadline=None)
def test_no_filter_raises_and_the_structure_is_kept(table: Mapping[str, Any], value: Any) -> None:
    chain = build_chain([table], allow_code=False)

    result = chain.run(value, ITEM, chain.memory())

    assert shape(result.output) == shape(value)
    assert all(entry["use"] == table["use"] and entry["hits"] >= 1 for entry in result.trail)


HOSTILE = {
    "blanks": " " * 200_000 + "x",
    "blanks and commas": " ," * 100_000,
    "open brackets": "(45-" * 50_000,
    "nested metadata": "(1" * 20_000 + "(45-102)" + "2-34)" * 20_000,
    "accents": "e" + "\u0301" * 200_000,
    "one long word": "a" * 500_000,
    "hits": "a " * 100_000,
    "scripts": "漢a" * 100_000,
    "lines": "\n" * 200_000,
    "lone surrogates": "\ud800 (45-102) \udfff" * 1000,
    "controls": "\0\x1b[31m" * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("table", EVERY, ids=lambda table: str(table["use"]))
def test_hostile_and_huge_texts_take_bounded_time(table: Mapping[str, Any], name: str) -> None:
    chain = build_chain([table], allow_code=False)
    start = time.process_time()

    chain.run(HOSTILE[name], ITEM, chain.memory())

    assert time.process_time() - start < 2.0
