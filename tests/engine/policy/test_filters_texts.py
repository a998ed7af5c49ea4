from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.model import Item
from llmtop.policy.filters import ChainResult, build_chain

ITEM = Item(0, "m-1", {"title": "Vrije dag"})
MOTION = (
    "Deze stelling gaat over een vrije dag voor iedereen die mantelzorg geeft.\n\n"
    "Wie vóór is, zegt: zo'n dag geeft ruimte. Wie tegen is, wijst op de kosten (crèche, geïnde premie) "
    "en op de jaren 1990-1995, toen het al eens geprobeerd is.\n- Eén voorbeeld: € 3,50 per uur 😀👩‍👩‍👧."
)


def filtered(output: Any, use: str, **settings: Any) -> ChainResult:
    chain = build_chain([{"use": use, **settings}], allow_code=False)
    return chain.run(output, ITEM, chain.memory())


CHANGING: list[Mapping[str, Any]] = [
    {"use": "scripts", "allow": ["Latin"]},
    {"use": "scripts", "allow": ["Arabic", "Hebrew"], "share": 0.2},
    {"use": "replace_words", "map": {"deadline": "termijn", "café": "kroeg", "in order to": "om te"}},
    {"use": "typos", "map": {"beslisssing": "beslissing", "geintereseerd": "geïnteresseerd"}},
    {"use": "strip_metadata"},
    {"use": "normalise"},
    {"use": "normalise", "quotes": "straight", "white_space": False},
]
TEXTS = st.one_of(
    st.text(max_size=120),
    st.text(
        st.sampled_from("ab É é\u0301,.;()[]<>|【】†-–0123456789 \t\n\r\u2028\xa0\u200dאبя漢😀"), max_size=80
    ),
    st.lists(
        st.sampled_from(
            ["deadline", "Café", "cafe\u0301", "beslisssing", " ", "(45-102)", "\n", "<|im_end|>", ","]
        )
    ).map("".join),
)


@pytest.mark.parametrize("table", CHANGING, ids=lambda table: f"{table['use']}-{len(table)}")
@given(text=TEXTS)
@settings(deadline=None)
def test_what_a_filter_has_changed_it_leaves_alone_the_next_time(table: Mapping[str, Any], text: str) -> None:
    chain = build_chain([table], allow_code=False)
    once = chain.run(text, ITEM, chain.memory())

    if once.rejected_by is None:
        again = chain.run(once.output, ITEM, chain.memory())
        assert again.output == once.output
        assert again.trail == ()
    assert (once.output == text) == (not once.trail) or once.rejected_by is not None


@pytest.mark.parametrize("table", CHANGING[:1] + CHANGING[2:6], ids=lambda table: str(table["use"]))
def test_a_sound_dutch_text_is_left_as_it_is(table: Mapping[str, Any]) -> None:
    chain = build_chain([table], allow_code=False)

    assert chain.run(MOTION, ITEM, chain.memory()) == ChainResult(MOTION, ())


# -- scripts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "这是一个例子，没有别的。",
        "これは例です。",
        "이것은 예입니다.",
        "Это пример, и ничего больше.",
        "هذا مثال فقط.",
        "זו רק דוגמה.",
        "यह एक उदाहरण है।",
        "Dus 这是一个例子没有别的东西 dus",
    ],
)
def test_a_line_in_another_writing_script_is_taken_out_and_the_rest_stays(line: str) -> None:
    result = filtered(f"Eerste regel.\r\n{line}\r\nLaatste regel.", "scripts", allow=["Latin"])

    assert result.output == "Eerste regel.\r\nLaatste regel."
    assert result.trail[0]["hits"] == 1


@pytest.mark.parametrize(
    "text",
    [
        unicodedata.normalize("NFD", "Één café in Curaçao, coöperatief geïnd."),
        "π = 3,14 en α is een hoek",
        "😀👩‍👩‍👧🇳🇱 ✔️ 12345 ₂ € … — “ja” ١٢٣",
        "Het woord Москва staat in deze Nederlandse zin.",
        "12 + 30 = 42\n\n---\n",
    ],
)
def test_accents_digits_punctuation_emoji_and_a_foreign_name_are_not_foreign(text: str) -> None:
    assert filtered(text, "scripts", allow=["Latin"]).output == text


def test_other_scripts_are_allowed_by_name_and_latin_is_then_foreign() -> None:
    text = "これは例です。\nDit is Nederlands.\n漢字とカタカナ"

    result = filtered(text, "scripts", allow=["Han", "Hiragana", "Katakana"])

    assert result.output == "これは例です。\n漢字とカタカナ"
    assert filtered("שלום לכולם", "scripts", allow=["Hebrew"]).trail == ()


def test_the_share_decides_what_mostly_is() -> None:
    line = "half наполовину"

    assert filtered(f"x\n{line}", "scripts", allow=["Latin"]).output == "x"
    assert filtered(f"x\n{line}", "scripts", allow=["Latin"], share=0.8).trail == ()


def test_an_answer_of_which_nothing_is_left_is_rejected() -> None:
    result = filtered("Это пример.", "scripts", allow=["Latin"])

    assert result.rejected_by is not None
    assert result.rejected_by.rule == "scripts"
    assert result.rejected_by.text == "Это пример."


# -- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("De deadline is morgen.", "De termijn is morgen."),
        ("Deadline! DEADLINE, (deadline)", "Termijn! TERMIJN, (termijn)"),
        ("deadlines, deadline's, deadline-druk, mijndeadline, deadline_2", None),
        ("Kom in order to kijken, IN ORDER TO!", "Kom om te kijken, OM TE!"),
        ("in orde, in order", None),
        ("Het café en het Cafe\u0301.", "Het kroeg en het Kroeg."),
        ("het cafe\u0301s en cafe", None),
        ("deadline", "termijn"),
        ("İstanbul deadline ẞ", "İstanbul termijn ẞ"),
        ("deadline deadline", "termijn termijn"),
        ("'deadline' – deadline-", "'termijn' – termijn-"),
    ],
)
def test_whole_words_are_replaced_and_keep_their_case(text: str, expected: str | None) -> None:
    words = {"deadline": "termijn", "in order to": "om te", "café": "kroeg"}

    result = filtered(text, "replace_words", map=words)

    assert result.output == (expected or text)
    assert bool(result.trail) == (expected is not None)


def test_case_counts_where_it_is_told_to() -> None:
    result = filtered("ipv Ipv IPV", "typos", map={"ipv": "in plaats van"}, ignore_case=False)

    assert result.output == "in plaats van Ipv IPV"
    assert result.trail[0] == {"use": "typos", "place": 1, "hits": 1, "what": "1 typos mended"}


def test_the_longest_entry_wins_and_capitals_can_be_set() -> None:
    assert (
        filtered("den haag en den", "typos", map={"den": "de", "den haag": "Den Haag"}).output
        == "Den Haag en de"
    )
    assert filtered("In Den Haag", "typos", map={"den haag": "Den Haag"}).trail == ()


# -- metadata -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("De motie (45-102) is aangenomen.", "De motie is aangenomen."),
        ("De motie is aangenomen (45-102).", "De motie is aangenomen."),
        ("(45-102) De motie\n (1-22)  is er.", "De motie\nis er."),
        ("Zie [45–102] en (id: m-17) of [doc=3].", "Zie en of."),
        ("Zo staat het er【12†bron】.<|im_end|>", "Zo staat het er."),
        ("woord (45-102)woord", "woord woord"),
    ],
)
def test_fragments_of_metadata_are_taken_out_with_the_blank_before_them(text: str, expected: str) -> None:
    assert filtered(text, "strip_metadata").output == expected


@pytest.mark.parametrize(
    "text",
    [
        "(1990-1995)",
        "(2019–21)",
        "Ajax won (2-1)",
        "(pagina 3-4)",
        "06-12345678",
        "【重要】",
        "a<|b",
        "f(x) [1]",
        "(3)",
    ],
)
def test_years_scores_and_brackets_with_a_meaning_stay(text: str) -> None:
    assert filtered(text, "strip_metadata").output == text


def test_own_patterns_go_beside_the_known_ones_or_instead() -> None:
    text = "Tekst §12§ (45-102)"

    assert filtered(text, "strip_metadata", patterns=["§[0-9]+§"]).output == "Tekst"
    assert filtered(text, "strip_metadata", patterns=["§[0-9]+§"], defaults=False).output == "Tekst (45-102)"


# -- normalise ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Een  zin\xa0 hier , en daar .\r\n\r\n\r\n\r\nTwee.  ", "Een zin hier, en daar.\n\nTwee."),
        ("cafe\u0301", "café"),
        ("a ,, b , , c", "a, b, c"),
        ("- een\n    - twee  drie\n", "- een\n    - twee drie"),
        ("Waarom ? « Ja » : std::x .5 .NET ...", "Waarom ? « Ja » : std::x .5 .NET ..."),
        ("می\u200cخواهم 👩‍👩‍👧", "می\u200cخواهم 👩‍👩‍👧"),
    ],
)
def test_white_space_punctuation_and_letters_are_made_uniform(text: str, expected: str) -> None:
    assert filtered(text, "normalise").output == expected


def test_quotes_are_straightened_only_when_asked() -> None:
    assert filtered("„Ja”, zo’n dag", "normalise").trail == ()
    assert filtered("„Ja”, zo’n dag", "normalise", quotes="straight").output == '"Ja", zo\'n dag'


@given(st.text(max_size=200))
@settings(deadline=None)
def test_normalising_loses_no_letter(text: str) -> None:
    result = filtered(text, "normalise", punctuation=False)

    if result.rejected_by is None:
        composed = unicodedata.normalize("NFC", text)
        assert "".join(result.output.split()) == "".join(composed.split())
