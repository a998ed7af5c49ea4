"""Answers to a pack: one for each id, with the trouble that a profile asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from llmtop.adapters.simulator.draws import Draws
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.prompts import PackedItem
from llmtop.adapters.simulator.writing import answer_text

# A prompt that shows the shape it wants, as `{"answers": [`, gets that shape.
_SHAPE = re.compile(r"\"(answers|results|explanations|outputs|responses)\"\s*:\s*\[")
_FIELD = re.compile(r"\"(answer|output|result|text|explanation|response|summary)\"\s*:?\s*(\{)?")

Pairs = list[tuple[str, str]]


def packed_answer(profile: Profile, draws: Draws, prompt_text: str, items: Sequence[PackedItem]) -> str:
    """Return the JSON for a pack: an object id -> answer, or a list where the prompt shows one."""
    pairs = troubled(profile, draws, [(item.id, answer_text(item.text, item.id)) for item in items])
    shape = _SHAPE.search(prompt_text)
    if shape:
        field = _FIELD.search(prompt_text, shape.end())
        name = field.group(1) if field else "answer"
        as_object = bool(field and field.group(2))
        rows = ",".join(
            f'{{"id":{_quoted(id_)},"{name}":{_object(id_, text) if as_object else _quoted(text)}}}'
            for id_, text in pairs
        )
        return f'{{"{shape.group(1)}":[{rows}]}}'
    return "{" + ",".join(f"{_quoted(id_)}:{_quoted(text)}" for id_, text in pairs) + "}"


def troubled_value(profile: Profile, draws: Draws, value: Any) -> Any:
    """Return the JSON that a schema asked for with the same trouble in its list of entries with ids."""
    lists = [name for name, rows in value.items() if _are_entries(rows)] if isinstance(value, dict) else []
    if len(lists) != 1 or not profile.pack_trouble:
        return value
    rows = value[lists[0]]
    field = next((name for name in rows[0] if name != "id"), "answer")
    pairs = [(row["id"], orjson.dumps(row.get(field)).decode()) for row in rows]
    made = [{"id": id_, field: _loaded(text)} for id_, text in troubled(profile, draws, pairs)]
    return {**value, lists[0]: made}


def _are_entries(rows: Any) -> bool:
    return (
        isinstance(rows, list)
        and bool(rows)
        and all(isinstance(row, dict) and isinstance(row.get("id"), str) and len(row) == 2 for row in rows)
    )


def _loaded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def troubled(profile: Profile, draws: Draws, pairs: Pairs) -> Pairs:
    """Return the answers with items dropped, doubled, swapped, invented, or in another order."""
    trouble = profile.pack_trouble
    if not trouble:
        return pairs
    dropped, doubled = trouble.get("dropped", 0.0), trouble.get("duplicated", 0.0)
    kept: Pairs = []
    for id_, text in pairs:
        if draws.uniform(f"dropped {id_}") < dropped:
            continue
        kept.append((id_, text))
        if draws.uniform(f"duplicated {id_}") < doubled:
            kept.append((id_, f"{text} (again)"))
    if len(kept) > 1 and draws.uniform("swapped") < trouble.get("swapped", 0.0):
        (first, one), (second, two) = kept[0], kept[1]
        kept[:2] = [(first, two), (second, one)]
    if draws.uniform("extra") < trouble.get("extra", 0.0):
        kept.append(("nobody-asked", "An answer to a question that was not asked."))
    if draws.uniform("shuffled") < trouble.get("shuffled", 0.0):
        kept.sort(key=lambda pair: draws.uniform(f"place of {pair[0]}"))
    return kept


def spoiled_json(profile: Profile, draws: Draws, text: str, ids: Sequence[str]) -> str:
    """Return the text of a pack's answer as it is sent: cut, fenced, or broken by a poisonous item.

    `ids`: those of the pack; none where one item is asked alone, whose answer is left as it is.
    """
    if profile.poison_pattern:
        poison = re.compile(profile.poison_pattern)
        if any(poison.search(id_) for id_ in ids):
            return text[: len(text) // 2] + '", oops'
    trouble = profile.pack_trouble
    if not trouble or not ids:
        return text
    if draws.uniform("truncated") < trouble.get("truncated", 0.0):
        return text[: int(len(text) * (0.2 + 0.7 * draws.uniform("cut at")))]
    if draws.uniform("fenced") < trouble.get("fenced", 0.0):
        return f"```json\n{text}\n```"
    return text


def _object(id_: str, text: str) -> str:
    return f'{{"id":{_quoted(id_)},"answer":{_quoted(text)}}}'


def _quoted(text: str) -> str:
    return orjson.dumps(text.encode("utf-8", "replace").decode()).decode()


def answered_ids(text: str, ids: Sequence[str]) -> tuple[str, ...]:
    """Return those ids of a pack that `text` has an answer for; none where it is no JSON."""
    bare = text.removeprefix("```json\n").removesuffix("\n```")
    try:
        orjson.loads(bare)
    except orjson.JSONDecodeError:
        return ()
    return tuple(id_ for id_ in ids if _quoted(id_) in bare)
