from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.errors import ConfigError
from llmtop.policy.packing import JsonForm, PackReading, TextForm, item_form, read_pack

IDS = ("m-1", "m-2", "m-3")
ANSWERS = {"m-1": "Een dag vrij.", "m-2": 'Zij zei: "ja".\nEn toen?', "m-3": "Café {open} [nu]"}
ROWS = [{"id": id_, "answer": answer} for id_, answer in ANSWERS.items()]
OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def read(text: str, ids: tuple[str, ...] = IDS) -> PackReading:
    return read_pack(text, ids, TextForm())


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"answers": ROWS}),
        json.dumps({"answers": ROWS[::-1]}, indent=2, ensure_ascii=False),
        json.dumps(ROWS),
        json.dumps(ANSWERS),
        json.dumps({"answers": ANSWERS}),
        json.dumps({"result": {"answers": ROWS}}),
        "```json\n" + json.dumps({"answers": ROWS}) + "\n```",
        "Here {as asked} are your [3] answers:\n```\n" + json.dumps(ROWS) + "\n```\nAnything else? {no}",
        "\n".join(json.dumps(row) for row in ROWS),
        'I was asked for {"answers": [{"id": "<id>", "answer": "<answer>"}]}, so:\n' + json.dumps(ROWS),
        "\ufeff" + json.dumps({"answers": [{"id": row["id"], "explanation": row["answer"]} for row in ROWS]}),
        json.dumps({"answers": ROWS}).replace(r"\n", "\n"),
        json.dumps({"answers": ROWS})[:-2] + ",]}",
        json.dumps({"answers": ROWS}).replace("}, {", "} {"),
    ],
)
def test_an_answer_is_read_in_whatever_form_models_write_it(text: str) -> None:
    reading = read(text)

    assert dict(reading.answers) == ANSWERS
    assert reading.unresolved == reading.extra == ()
    assert not reading.is_truncated


def test_answers_are_matched_by_id_and_never_by_position() -> None:
    rows = [{"id": "m-3", "answer": "drie"}, {"id": "nobody", "answer": "?"}, {"id": "m-1", "answer": "een"}]

    reading = read(json.dumps({"answers": rows}))

    assert reading.answers == {"m-1": "een", "m-3": "drie"}
    assert reading.missing == ("m-2",)
    assert reading.extra == ("nobody",)


def test_numbers_stand_for_ids_of_the_same_digits_only() -> None:
    text = '{"answers": [{"id": 7, "answer": "x"}, {"id": 8.0, "answer": "y"}, {"id": true, "answer": "z"}]}'

    reading = read(text, ("7", "007", "8", "1"))

    assert reading.answers == {"7": "x"}
    assert reading.missing == ("007", "8", "1")


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": "m-1", "answer": "a"}, {"id": "m-2", "answer": "b"}, {"id": "m-1", "answer": "c"}]',
        '{"m-1": "a", "m-2": "b", "m-1": "c"}',
        '{"m-1": "a", "m-2": "b", "m-1": "c", "m-',
        '{"answers": [{"id": "m-1", "answer": "a", "answer": "c"}, {"id": "m-2", "answer": "b"}]}',
        '{"answers": [{"id": "m-1", "id": "m-3", "answer": "a"}, {"id": "m-2", "answer": "b"}]}',
    ],
)
def test_what_is_answered_twice_is_not_answered(text: str) -> None:
    reading = read(text)

    assert reading.answers == {"m-2": "b"}
    assert len(reading.duplicated) == 1
    assert reading.malformed[reading.duplicated[0]] == "is answered twice"


@pytest.mark.parametrize("value", ["null", '""', '" \\n"', "[]", "{}", "NaN", "1e999", "9" * 30])
def test_a_value_that_is_no_answer_spoils_its_own_item_only(value: str) -> None:
    reading = read(f'{{"answers": [{{"id": "m-1", "answer": {value}}}, {{"id": "m-2", "answer": "b"}}]}}')

    assert reading.answers == {"m-2": "b"}
    assert set(reading.malformed) == {"m-1"}


@given(st.integers(0, 200), st.booleans())
@settings(deadline=None)
def test_of_an_answer_that_is_cut_anywhere_only_whole_entries_are_taken(cut: int, by_id: bool) -> None:
    whole = json.dumps(ANSWERS if by_id else {"answers": ROWS})
    text = whole[: min(cut, len(whole) - 1)]

    reading = read(text)

    assert all(ANSWERS[id_] == answer for id_, answer in reading.answers.items())
    assert set(reading.missing) | set(reading.answers) == set(IDS)
    complete = sum(
        text.find(json.dumps(answer) + ("," if by_id else "}")) >= 0 for answer in ANSWERS.values()
    )
    assert len(reading.answers) == complete
    assert reading.is_truncated or complete in (0, len(IDS))


@pytest.mark.parametrize(
    "text",
    [
        '{"answers": [{"id": "m-1", "answer": "a"}, {"id": "m-2", "answer": "half", oops',
        '[{"id": "m-1", "answer": "a"}, {"id": "m-2", "answer": "half},{"id": "m-3", "answer": "c"}]',
        '{"answers": [{"id": "m-1", "answer": "a"}, {"id": "m-2", "answer": "half", "m-3',
    ],
)
def test_mending_never_takes_a_half_answer_or_one_with_another_in_it(text: str) -> None:
    reading = read(text)

    assert reading.answers["m-1"] == "a"
    assert "m-2" not in reading.answers


def test_an_answer_with_loose_quotes_is_mended_and_its_neighbours_are_kept() -> None:
    broken = '{"id": "m-2", "answer": "zij zei "ja" tegen hem"}'
    text = f'{{"answers": [{{"id": "m-1", "answer": "a"}}, {broken}, {{"id": "m-3", "answer": "c"}}]}}'

    reading = read(text)

    assert reading.answers == {"m-1": "a", "m-2": 'zij zei "ja" tegen hem', "m-3": "c"}
    assert not reading.is_truncated


def test_an_entry_that_cannot_be_mended_costs_none_of_its_neighbours() -> None:
    rows = '{"id": "m-1", "answer": "a"}, {"id": "m-2", "answer": oops "b"}, {"id": "m-3", "answer": "c"}'

    reading = read(f'{{"answers": [{rows}]}}')

    assert reading.answers["m-1"] == "a"
    assert reading.answers["m-3"] == "c"


@pytest.mark.parametrize(
    "text", ["", "I'm sorry, I can't.", "<html>{}</html>", "[1, 2]", "null", '{"error": "x"}']
)
def test_what_is_no_answer_leaves_every_item_missing(text: str) -> None:
    reading = read(text)

    assert reading.is_failed
    assert reading.missing == IDS


def test_entries_inside_another_items_answer_are_never_taken_for_that_item() -> None:
    inner = {"id": "m-2", "answer": "not mine"}
    text = json.dumps({"answers": [{"id": "m-1", "answer": {"list": [inner]}}]})

    for cut in range(len(text) + 1):
        assert "m-2" not in read_pack(text[:cut], IDS, JsonForm(None)).answers


def test_structured_answers_are_checked_each_and_may_be_flattened_or_written_as_text() -> None:
    rows: list[Any] = [
        {"id": "m-1", "answer": {"n": 1}},
        {"id": "m-2", "n": 2},
        {"id": "m-3", "answer": '{"n": 3}'},
        {"id": "m-4", "answer": {"n": "four"}},
        {"id": "m-5", "answer": "five"},
    ]
    ids = tuple(row["id"] for row in rows)

    reading = read_pack(json.dumps({"answers": rows}), ids, item_form("schema", OBJECT))

    assert reading.answers == {"m-1": {"n": 1}, "m-2": {"n": 2}, "m-3": {"n": 3}}
    assert "does not fit the schema" in reading.malformed["m-4"]
    assert set(read_pack(json.dumps({"answers": rows}), ids, item_form("json", None)).malformed) == {"m-5"}


@pytest.mark.parametrize("address", ["file:///etc/hostname", "http://127.0.0.1:9/x", "other.json"])
def test_a_schema_that_refers_to_other_documents_is_refused_and_nothing_is_read(address: str) -> None:
    with pytest.raises(ConfigError, match=r"schema_file: is not a JSON Schema: (Resource|.* is another)"):
        item_form("schema", {"$ref": address})


def test_a_key_twice_within_a_structured_answer_is_not_guessed_at() -> None:
    reading = read_pack(
        '{"answers": [{"id": "m-1", "answer": {"n": 1, "n": 2}}]}', ("m-1",), JsonForm(OBJECT)
    )

    assert reading.malformed == {"m-1": "names a key twice"}


def test_outputs_hold_no_lone_surrogates_and_no_nul() -> None:
    reading = read('{"answers": [{"id": "m-1", "answer": "a\\ud800b\\u0000c \\ud83d\\ude00"}]}')

    assert reading.answers == {"m-1": "a\ufffdb\ufffdc 😀"}


@given(
    st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique_by=lambda id_: id_), st.data()
)
@settings(deadline=None)
def test_any_answer_comes_back_under_its_own_id(ids: list[str], data: st.DataObject) -> None:
    texts = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and "\0" not in text)
    answers = {id_: data.draw(texts) for id_ in ids}
    order = data.draw(st.permutations(ids))
    rows = [{"id": id_, "answer": answers[id_]} for id_ in order]

    reading = read(json.dumps({"answers": rows}, ensure_ascii=data.draw(st.booleans())), tuple(ids))

    assert reading.answers == answers


@given(st.one_of(st.text(max_size=200), st.text('{}[]":,\\ idanswerm-123\n`', max_size=200)))
@settings(deadline=None)
def test_no_text_makes_reading_raise_and_every_id_is_accounted_for(text: str) -> None:
    reading = read(text)

    assert sorted((*reading.answers, *reading.missing, *reading.malformed)) == sorted(IDS)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"answers": ' + "[" * 200_000,
        '{"answers": [{"id": "m-1", "answer": ' + "[" * 200_000,
        '{"' * 100_000,
        '{"answers": [{"id": "m-1", "answer": "' + '\\"' * 500_000,
        '{"answers": [' + '{"id": "m-1", "answer": "x"} oops ' * 20_000,
        '{"answers": [{"id": "m-1" ' + '{"id": "m-2", ' * 4_000,
        '{"answers": [{"id": "m-1" "' * 2_000,
        '{"answers": [{id: ' + "'" * 50_000,
        '{"answers": [{"id": "m-1" ' + '("' * 25_000,
        '{"answers": [{"id": "m-1" x' + " " * 200_000 + ',"',
        '{"answers": [' + ('{"id": "m-1", "answer": "x" ' + ':“"' * 1_000 + '"},') * 12,
    ],
    ids=range(12),
)
def test_hostile_answers_are_read_in_bounded_time(text: str) -> None:
    start = time.process_time()

    reading = read(text)

    assert time.process_time() - start < 2.0
    assert reading.unresolved
