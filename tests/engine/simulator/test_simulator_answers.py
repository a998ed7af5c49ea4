from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.simulator import Profile, last_words_of, reference_of
from llmtop.adapters.simulator.chat_answer import Completion, complete
from llmtop.adapters.simulator.chat_request import Patterns, parse_call
from llmtop.adapters.simulator.draws import Draws
from llmtop.adapters.simulator.prompts import packed_items, read_prompt, tokens_of
from llmtop.adapters.simulator.usage import PrefixCache, Prices, Tokens, usage_body
from llmtop.adapters.simulator.writing import cut_to, title_of

PACK = (
    'Answer as JSON {"answers": [{"id": "...", "text": "..."}]}:\n'
    '[{"id": "a", "text": "water"}, {"id": "b", "text": "stone"}, {"id": "c", "text": "fire"}]'
)
JSON_OBJECT = {"type": "json_object"}


def answered(text: str, attempt: int = 1, **settings: Any) -> Completion:
    wanted = settings.pop("request", {})
    profile = Profile(**settings)
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **wanted}
    call = parse_call(json.dumps(body).encode(), profile, Patterns.of(profile))
    return complete(profile, call, Draws(profile.seed, call.prompt.key, attempt), 0)


def packed(**settings: Any) -> str:
    return answered(PACK, request={"response_format": JSON_OBJECT}, **settings).content


def test_an_answer_proves_which_prompt_it_belongs_to() -> None:
    text = "Explain this.\n\nTheme: patience\nProverb: Rome was not built in a day.\nid: p-17"

    content = answered(text).content

    assert content == answered(text).content
    assert title_of(text) == "Rome was not built in a day"
    assert all(
        part in content for part in (title_of(text), last_words_of(text), reference_of(text), "id p-17")
    )


@given(st.text(max_size=300), st.text(max_size=300))
def test_different_prompts_have_different_answers_whatever_is_in_them(one: str, other: str) -> None:
    answers = [answered_or_none(text) for text in (one, other)]

    assert all(answer is None or answer.strip() for answer in answers)
    if one != other and None not in answers:
        assert answers[0] != answers[1]


def answered_or_none(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return answered(text).content


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Explain item with id: m-17, please", ("m-17",)),
        ('{"id": "x 1", "text": "one alone"}', ("x",)),
        ('say "id": 12', ("12",)),
        ("an idea: nothing, and a valid: word", ()),
        ("", ()),
    ],
)
def test_the_id_of_a_prompt_is_found_where_it_is_labelled(text: str, ids: tuple[str, ...]) -> None:
    pattern = Patterns.of(Profile()).id

    assert read_prompt([{"role": "user", "content": text}], pattern).ids == ids


@pytest.mark.parametrize(
    "text",
    [
        'Here: [{"id": "a", "text": "x"}, {"id": 2, "text": "y"}] end',
        'Like {"answer": "..."}.\n{"items": [{"id": "a", "q": "x"}, {"id": 2, "q": "y"}]}',
        'One a line:\n{"id": "a", "text": "x"}\n{"id": 2, "text": "y"}\n',
        'With [brackets] and {braces}: [{"id": "a"}, {"id": 2}]',
    ],
)
def test_items_are_found_in_a_packed_prompt(text: str) -> None:
    assert [item.id for item in packed_items(text)] == ["a", "2"]


@pytest.mark.parametrize(
    "text", ["", "[" * 5000, '{"id": "alone"}', '[{"no": 1}]', '[1, {"id": 1}]', '{"id": {}}']
)
def test_a_prompt_without_a_list_of_ids_is_no_pack(text: str) -> None:
    assert packed_items(text) == ()


def test_a_pack_gets_one_answer_for_each_id_about_that_very_item() -> None:
    rows = json.loads(packed())["answers"]

    assert [row["id"] for row in rows] == ["a", "b", "c"]
    for row, word in zip(rows, ("water", "stone", "fire"), strict=True):
        assert f"“{word}”" in row["text"]
        assert f"(id {row['id']}, ref {reference_of(word)})" in row["text"]


def test_a_pack_that_shows_no_shape_gets_an_object_by_id() -> None:
    content = answered(f"JSON please: {PACK[PACK.index('[') :].partition(']')[2]}").content

    assert list(json.loads(content)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("trouble", "ids"),
    [
        ("dropped", []),
        ("duplicated", ["a", "a", "b", "b", "c", "c"]),
        ("extra", ["a", "b", "c", "nobody-asked"]),
    ],
)
def test_trouble_with_items_of_a_pack_shows_in_the_ids(trouble: str, ids: list[str]) -> None:
    assert [row["id"] for row in json.loads(packed(pack_trouble={trouble: 1.0}))["answers"]] == ids


def test_swapped_answers_stand_under_each_others_ids() -> None:
    rows = {row["id"]: row["text"] for row in json.loads(packed(pack_trouble={"swapped": 1.0}))["answers"]}

    assert "(id b," in rows["a"] and "(id a," in rows["b"] and "(id c," in rows["c"]


def test_a_fenced_pack_is_json_within_its_fence_and_a_truncated_or_poisoned_one_is_none() -> None:
    fenced = packed(pack_trouble={"fenced": 1.0})

    assert fenced.startswith("```json\n") and json.loads(fenced[8:-4])
    for spoiled in (packed(pack_trouble={"truncated": 1.0}), packed(poison_pattern="^b$")):
        with pytest.raises(json.JSONDecodeError):
            json.loads(spoiled)


def test_a_poisonous_item_alone_does_no_harm() -> None:
    alone = answered('JSON: [{"id": "b", "text": "stone"}]', poison_pattern="^b$")

    assert list(json.loads(alone.content)) == ["b"]


def test_trouble_depends_on_the_try_and_the_seed_and_on_nothing_else() -> None:
    def drops(seed: int, attempt: int) -> str:
        settings = {"seed": seed, "pack_trouble": {"dropped": 0.5}}
        wanted = {"response_format": JSON_OBJECT}
        return answered(PACK, attempt, request=wanted, **settings).content

    outcomes = {(seed, attempt): drops(seed, attempt) for seed in range(6) for attempt in (1, 2)}

    assert outcomes == {key: drops(*key) for key in reversed(outcomes)}
    assert len(set(outcomes.values())) > 3


SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 5}},
        "required": ["n"],
    },
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100, "multipleOf": 5},
    {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 3, "maxItems": 4},
    {"type": "string", "minLength": 900, "maxLength": 1000},
    {"type": "string", "maxLength": 5},
    {"type": ["null", "boolean"]},
    {"anyOf": [{"const": 7}, {"type": "string"}]},
    {"$ref": "#/$defs/row", "$defs": {"row": {"type": "object", "properties": {"a": {"type": "boolean"}}}}},
    {"type": "object", "properties": {"deep": {"type": "object", "properties": {"id": {"type": "string"}}}}},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_answer_satisfies_its_schema(schema: dict[str, Any]) -> None:
    described = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}

    value = json.loads(answered("About water, id: w-1", request={"response_format": described}).content)

    assert jsonschema_rs.is_valid(schema, value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": "a", "items": 3},
        {"type": "array", "minItems": 1e12},
        {"type": "number", "multipleOf": 0, "minimum": [], "maximum": -1e300},
        {"type": "string", "minLength": 10**12, "maxLength": None},
        {"type": "object", "properties": [1], "additionalProperties": 5},
        {"type": {}, "enum": 5, "anyOf": [7]},
        {"$ref": "#/$defs/loop", "$defs": {"loop": {"$ref": "#/$defs/loop"}}},
    ],
)
def test_a_schema_that_makes_no_sense_gets_some_answer_all_the_same(schema: dict[str, Any]) -> None:
    described = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}

    content = answered("x", request={"response_format": described}).content

    assert len(content) < 200_000 and json.dumps(json.loads(content))


def test_a_schema_with_an_array_of_objects_with_ids_gets_one_for_each_item_of_the_pack() -> None:
    row = {"type": "object", "properties": {"id": {"type": "string"}, "score": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": row}}}
    described = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}

    value = json.loads(answered(PACK, request={"response_format": described}).content)

    assert [each["id"] for each in value["rows"]] == ["a", "b", "c"]


@given(maximum=st.integers(1, 200), reasoning=st.sampled_from([0, 5, 40]))
def test_an_answer_never_takes_more_tokens_than_its_maximum(maximum: int, reasoning: int) -> None:
    done = answered("Über Flüsse und Täler", request={"max_tokens": maximum}, reasoning_tokens=reasoning)

    assert done.tokens.completion <= maximum
    assert done.tokens.completion == done.tokens.reasoning + tokens_of(done.content)
    assert done.finish_reason == ("stop" if "(ref" in done.content and done.content[-1] == "." else "length")


def test_reasoning_alone_may_use_up_the_maximum() -> None:
    done = answered("x", request={"max_completion_tokens": 10}, reasoning_tokens=50)

    assert (done.content, done.finish_reason, done.tokens.reasoning) == ("", "length", 10)


def test_a_length_in_tokens_is_kept_about() -> None:
    assert 380 <= answered("Explain: rain", output_tokens=400).tokens.completion <= 440


def test_a_cut_text_never_ends_within_a_letter() -> None:
    assert re.fullmatch("(ü)+", cut_to("ü" * 50, 3)) is not None
    assert tokens_of(cut_to("ü" * 50, 3)) == 3


def test_the_price_of_a_call_is_exact_and_reported_where_wanted() -> None:
    prices = Prices(Profile(price_input=0.05, price_cached_input=0.01, price_output=0.1))
    tokens = Tokens(prompt=100, cached=40, completion=30, reasoning=10)

    cost = prices.cost_pusd(tokens)
    body = usage_body(tokens, cost)

    assert cost == 60 * 50_000 + 40 * 10_000 + 30 * 100_000
    assert body["cost"] == 6.4e-06
    assert body["total_tokens"] == body["prompt_tokens"] + body["completion_tokens"] == 130
    assert "cost" not in usage_body(tokens, None)


def test_a_system_prompt_is_cached_from_its_second_use_when_it_is_long_enough() -> None:
    cache = PrefixCache(10)
    long, short = (
        read_prompt([{"role": "system", "content": text}, {"role": "user", "content": "x"}], None)
        for text in ("s" * 60, "s")
    )

    assert [cache.cached_tokens("m", long) for _ in range(3)] == [0, long.system_tokens, long.system_tokens]
    assert cache.cached_tokens("other", long) == 0
    assert [cache.cached_tokens("m", short) for _ in range(2)] == [0, 0]
