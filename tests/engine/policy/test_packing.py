from __future__ import annotations

import json
from collections import Counter
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.adapters.providers.schemas import is_strict
from llmtop.adapters.simulator import Profile, reference_of
from llmtop.adapters.simulator.chat_answer import complete
from llmtop.adapters.simulator.chat_request import Patterns, parse_call
from llmtop.adapters.simulator.draws import Draws
from llmtop.errors import ConfigError
from llmtop.model import ChatRequest, Usage
from llmtop.policy.packing import (
    PackPlanner,
    PackPrompt,
    Part,
    is_packable,
    item_form,
    output_tokens,
    pack_key,
    pack_schema,
    read_pack,
    share,
    share_usage,
)

SYSTEM = {"role": "system", "content": "Je legt stellingen uit."}
ORDER = "Leg de volgende stelling uit in drie zinnen, voor lezers van twaalf jaar.\n\nStelling: "
ENDING = "\n\nNoem één argument voor en één argument tegen, elk in één zin, en noem geen namen."


def part(id_: str, text: str, **settings: Any) -> Part:
    user = {"role": "user", "content": text}
    return Part(id_, ChatRequest("m", (SYSTEM, user), max_output_tokens=100, **settings))


def body(request: ChatRequest) -> dict[str, Any]:
    wanted: dict[str, Any] = {"type": "json_object"}
    if request.response_format == "schema":
        schema = {"name": "pack", "schema": request.schema, "strict": is_strict(request.schema)}
        wanted = {"type": "json_schema", "json_schema": schema}
    return {"model": "m", "messages": list(request.messages), "response_format": wanted}


def simulated(request: ChatRequest, attempt: int = 1, **settings: Any) -> str:
    profile = Profile(**settings)
    call = parse_call(json.dumps(body(request)).encode(), profile, Patterns.of(profile))
    return complete(profile, call, Draws(profile.seed, call.prompt.key, attempt), 0).content


PARTS = [
    part(f"m-{number}", f"{ORDER}Wonen wordt duurder in {2000 + number}.{ENDING}") for number in range(6)
]
IDS = tuple(one.id for one in PARTS)


def test_a_pack_of_one_is_the_very_request_of_that_item() -> None:
    assert PackPrompt(None).request(PARTS[:1], has_schema=True) is PARTS[0].request


def test_what_all_prompts_have_in_common_is_said_once_and_nothing_is_lost() -> None:
    request = PackPrompt(None).request(PARTS, has_schema=False)

    text = request.messages[-1]["content"]
    assert request.messages[0] == SYSTEM
    assert text.count("Leg de volgende stelling uit") == text.count("Noem één argument") == 1
    begin = text[text.index("<begin>\n") + 8 : text.index("\n</begin>")]
    end = text[text.index("<end>\n") + 6 : text.index("\n</end>")]
    rows = json.loads(text[text.index("The prompts:\n") + 13 :])
    assert [(row["id"], begin + row["prompt"] + end) for row in rows] == [
        (one.id, one.request.messages[-1]["content"]) for one in PARTS
    ]


@given(st.lists(st.text(st.sampled_from('ab\n{}"é'), max_size=200), min_size=2, max_size=5))
@settings(deadline=None)
def test_prompts_come_back_whole_from_the_pack_whatever_they_share(prompts: list[str]) -> None:
    shared = ["x" * 70 + "\n" + prompt + "\n" + "y" * 70 for prompt in prompts]
    parts = [part(str(number), prompt) for number, prompt in enumerate(shared)]

    text = PackPrompt(None).request(parts, has_schema=False).messages[-1]["content"]

    begin = text[text.index("<begin>\n") + 8 : text.index("\n</begin>")] if "<begin>" in text else ""
    end = text[text.index("<end>\n") + 6 : text.index("\n</end>")] if "<end>" in text else ""
    rows = json.loads(text[text.index("The prompts:\n") + 13 :])
    assert [begin + row["prompt"] + end for row in rows] == shared


@pytest.mark.parametrize("has_schema", [False, True])
def test_the_simulator_answers_our_packs_and_every_answer_names_its_id(has_schema: bool) -> None:
    request = PackPrompt(None).request(PARTS, has_schema=has_schema)

    reading = read_pack(simulated(request), IDS, item_form("text", None))

    assert not reading.unresolved
    rows = json.loads(request.messages[-1]["content"].split("The prompts:\n")[1])
    for row in rows:
        assert f"(id {row['id']}, ref {reference_of(row['prompt'])})" in reading.answers[row["id"]]


@pytest.mark.parametrize("has_schema", [False, True])
@pytest.mark.parametrize(
    ("trouble", "unresolved"), [("dropped", 6), ("duplicated", 6), ("extra", 0), ("fenced", 0)]
)
def test_trouble_in_the_simulators_packs_is_seen(trouble: str, unresolved: int, has_schema: bool) -> None:
    request = PackPrompt(None).request(PARTS, has_schema=has_schema)

    reading = read_pack(simulated(request, pack_trouble={trouble: 1.0}), IDS, item_form("text", None))

    assert len(reading.unresolved) == unresolved
    assert reading.extra == (("nobody-asked",) if trouble == "extra" else ())
    assert all(f"(id {id_}," in answer for id_, answer in reading.answers.items())


@pytest.mark.parametrize("spoil", [{"pack_trouble": {"truncated": 1.0}}, {"poison_pattern": "m-3"}])
def test_of_a_spoiled_pack_whole_answers_are_kept(spoil: dict[str, Any]) -> None:
    request = PackPrompt(None).request(PARTS, has_schema=False)
    text = simulated(request, **spoil)

    reading = read_pack(text, IDS, item_form("text", None))

    assert reading.unresolved
    assert reading.is_truncated
    assert all(answer.endswith(").") and f"(id {id_}," in answer for id_, answer in reading.answers.items())


def test_structured_items_get_structured_answers_from_the_simulator() -> None:
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}, "score": {"$ref": "#/$defs/score"}},
        "required": ["title", "score"],
        "additionalProperties": False,
        "$defs": {"score": {"type": "integer"}},
    }
    parts = [part(id_, "Hallo", response_format="schema", schema=schema) for id_ in IDS]
    request = PackPrompt(None).request(parts, has_schema=True)

    reading = read_pack(simulated(request), IDS, item_form("schema", schema))

    assert not reading.unresolved
    assert {type(answer["score"]) for answer in reading.answers.values()} == {int}
    free = PackPrompt(None).request(
        [part(id_, "Hallo", response_format="json") for id_ in IDS], has_schema=True
    )
    assert free.response_format == "json"
    assert not read_pack(simulated(free), IDS, item_form("json", None)).unresolved


def test_a_schema_that_points_at_itself_still_does_in_a_pack() -> None:
    tree = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["name", "children"],
        "additionalProperties": False,
    }
    validator = jsonschema_rs.validator_for(pack_schema(tree))

    good = {"name": "a", "children": [{"name": "b", "children": []}]}
    bad = {"name": "a", "children": [{"name": 3, "children": []}]}

    assert validator.is_valid({"answers": [{"id": "1", "answer": good}]})
    assert not validator.is_valid({"answers": [{"id": "1", "answer": bad}]})
    assert is_strict(pack_schema(tree)) and is_strict(pack_schema(None))


def test_the_users_own_pack_prompt_is_used_as_it_is() -> None:
    own = PackPrompt(
        'Answer all as JSON {{"answers": [{{"id": "...", "answer": "..."}}]}}:\n{items}\nThanks.'
    )

    request = own.request(PARTS, has_schema=False)

    text = request.messages[-1]["content"]
    assert text.startswith('Answer all as JSON {"answers": [{"id": "...", "answer": "..."}]}:\n[')
    assert text.endswith("]\nThanks.")
    assert not read_pack(simulated(request), IDS, item_form("text", None)).unresolved


@pytest.mark.parametrize(
    "text", ["As JSON: {title}", "As JSON, please.", "Answer {items}.", "JSON {items} {items}"]
)
def test_a_pack_prompt_that_cannot_work_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"request\.pack_prompt"):
        PackPrompt(text)


def test_only_plain_questions_with_the_same_settings_share_a_pack() -> None:
    plain = PARTS[0].request
    turns = (SYSTEM, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    picture = ({"role": "user", "content": [{"type": "text", "text": "a"}]},)

    assert is_packable(plain)
    assert not any(is_packable(ChatRequest("m", messages)) for messages in (turns, picture, ()))
    assert not is_packable(ChatRequest("m", plain.messages, raw_body={"model": "m"}))
    assert pack_key(plain) == pack_key(PARTS[1].request)
    assert pack_key(plain) != pack_key(part("x", "y", temperature=0.5).request)


def test_output_tokens_grow_with_the_pack_and_not_for_one() -> None:
    assert output_tokens(None, IDS) is None
    assert output_tokens(100, ["a"]) == 100
    needed = output_tokens(100, IDS)
    assert needed is not None
    assert len(IDS) * 100 < needed < len(IDS) * 150


TROUBLES: list[dict[str, Any]] = [
    {"pack_trouble": {"dropped": 0.1, "duplicated": 0.1, "extra": 0.3, "fenced": 0.3}},
    {"pack_trouble": {"truncated": 0.4}},
    {"poison_pattern": "^m-(7|23)$"},
    {"poison_pattern": "^m-0$", "pack_trouble": {"dropped": 0.05, "truncated": 0.1, "fenced": 0.2}},
]


@pytest.mark.parametrize("has_schema", [False, True])
@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_every_item_ends_with_its_own_answer_whatever_the_simulator_does_to_packs(
    trouble: dict[str, Any], has_schema: bool
) -> None:
    parts = {f"m-{number}": part(f"m-{number}", f"Leg uit: dag {number}") for number in range(60)}
    planner, prompt, fresh = PackPlanner(), PackPrompt(None), iter(parts)
    answers: dict[str, str] = {}
    asked: Counter[str] = Counter()
    while pack := planner.next_pack(16, lambda: next(fresh, None)):
        asked.update(pack)
        request = prompt.request([parts[id_] for id_ in pack], has_schema=has_schema)
        if len(pack) == 1:
            answers[pack[0]] = f"alone (id {pack[0]},"
            planner.forget(pack)
            continue
        text = simulated(request, attempt=asked[pack[0]], **trouble)
        reading = read_pack(text, pack, item_form("text", None))
        answers |= reading.answers
        planner.settle(pack, reading)

    assert set(answers) == set(parts)
    assert all(f"(id {id_}," in answer for id_, answer in answers.items())
    assert max(asked.values()) <= 5


@given(
    st.integers(-(10**18), 10**18),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=40),
)
@settings(deadline=None)
def test_shares_add_up_to_the_total_and_are_within_one_of_exact(total: int, weights: list[int]) -> None:
    shares = share(total, weights)

    whole = sum(weights)
    assert sum(shares) == total
    if whole:
        pairs = zip(shares, weights, strict=True)
        assert all(abs(part * whole - total * weight) < whole for part, weight in pairs)
    else:
        assert max(shares) - min(shares) <= 1


@given(
    st.tuples(*[st.integers(0, 10**6)] * 5),
    st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)), min_size=1, max_size=30),
)
@settings(deadline=None)
def test_shared_tokens_add_up_and_parts_stay_within_their_whole(
    counts: tuple[int, ...], weights: list[tuple[int, int]]
) -> None:
    fresh, cached, stored, written, reasoned = counts
    usage = Usage(fresh + cached, cached, stored, written + reasoned, reasoned, is_estimated=True)

    shares = share_usage(usage, [read for read, _ in weights], [out for _, out in weights])

    for name in (
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
    ):
        assert sum(getattr(one, name) for one in shares) == getattr(usage, name)
    assert all(one.cached_input_tokens <= one.input_tokens for one in shares)
    assert all(one.reasoning_tokens <= one.output_tokens for one in shares)
    assert all(one.is_estimated for one in shares)


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_sharing_with_nobody_or_by_negative_weights_is_a_bug(weights: list[int]) -> None:
    with pytest.raises(ValueError, match=r"nobody|below 0"):
        share(10, weights)


def test_an_odd_pico_dollar_goes_to_the_first() -> None:
    assert share(10, [1, 1, 1]) == [4, 3, 3]
    assert share(7, [0, 0]) == [4, 3]
