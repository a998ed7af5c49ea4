"""Several single requests as one: any prompt, without a second one written for packs.

The items' own prompts go in as JSON with their ids, and one JSON object is asked for. What all
prompts begin or end with, the instruction mostly, is said once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmtop.config.placeholders import split_template
from llmtop.errors import ConfigError
from llmtop.model import ChatRequest
from llmtop.policy.packing.schema import pack_schema

_WORTH_SHARING = 60
"""Characters in common from which on they are said once."""
_PER_ANSWER_TOKENS = 24
_ESCAPING = 1.15
"""Quotes and line ends in an answer take a backslash more in JSON."""

_INSTRUCTION = """Below are {count} prompts, each with an id. Answer every one of them, each on its own, \
as if it had been the only one.

Reply with one JSON object and nothing else, in this form:
{shape}
Give exactly one entry for each id, and copy the id as it stands. {answer} \
Answer every id, leave none out, and never mix one prompt with another."""
_TEXT = ('{"answers": [{"id": "<id>", "answer": "<answer>"}]}', '"answer" is a string with the whole answer.')
_JSON = (
    '{"answers": [{"id": "<id>", "answer": {}}]}',
    '"answer" is the JSON value that the prompt asks for.',
)


@dataclass(frozen=True, slots=True)
class Part:
    """One item of a pack: its id, and what would be asked if it were alone."""

    id: str
    request: ChatRequest


class PackPrompt:
    """Makes one request of several. `pack_prompt`: the user's own, with `{items}`; None: ours.

    Raises ConfigError where `pack_prompt` cannot work.
    """

    def __init__(self, pack_prompt: str | None) -> None:
        self._own = None if pack_prompt is None else _checked(pack_prompt)

    def request(self, parts: Sequence[Part], *, has_schema: bool) -> ChatRequest:
        """Return the request for all parts: of one alone its own, untouched.

        The parts are packable and have the same system prompt and settings (`pack_key`).
        `has_schema`: whether the provider can be held to a JSON Schema; else JSON mode is asked for.
        """
        first = parts[0].request
        if len(parts) == 1:
            return first
        prompts = [(part.id, str(part.request.messages[-1]["content"])) for part in parts]
        user = {"role": "user", "content": self._text(prompts, is_text=first.response_format == "text")}
        schema = pack_schema(first.schema if first.response_format == "schema" else None)
        # Without a schema of the user's, any JSON value may be an answer, and none can describe that.
        is_schema = has_schema and first.response_format != "json"
        return replace(
            first,
            messages=(*first.messages[:-1], user),
            max_output_tokens=output_tokens(first.max_output_tokens, [part.id for part in parts]),
            response_format="schema" if is_schema else "json",
            schema=schema if is_schema else None,
        )

    def _text(self, prompts: Sequence[tuple[str, str]], *, is_text: bool) -> str:
        if self._own is not None:
            items = _as_json(prompts)
            return "".join(literal + (items if field else "") for literal, field in self._own)
        begin, end = _common([prompt for _, prompt in prompts])
        rest = [(id_, prompt[len(begin) : len(prompt) - len(end)]) for id_, prompt in prompts]
        shape, answer = _TEXT if is_text else _JSON
        paragraphs = [_INSTRUCTION.format(count=len(prompts), shape=shape, answer=answer)]
        if begin:
            paragraphs.append(
                f"Every prompt begins with this, which is said only here:\n<begin>\n{begin}\n</begin>"
            )
        if end:
            paragraphs.append(f"Every prompt ends with this, which is said only here:\n<end>\n{end}\n</end>")
        return "\n\n".join((*paragraphs, f"The prompts:\n{_as_json(rest)}"))


def is_packable(request: ChatRequest) -> bool:
    """Whether a request can share a pack: system prompts, then one user message of plain text."""
    if request.raw_body is not None or not request.messages:
        return False
    *before, last = request.messages
    return (
        last.get("role") == "user"
        and isinstance(last.get("content"), str)
        and all(message.get("role") in ("system", "developer") for message in before)
    )


def pack_key(request: ChatRequest) -> str:
    """Return what must be the same for two packable requests to share a pack."""
    said = (
        request.model, request.messages[:-1], request.temperature, request.max_output_tokens,
        request.response_format, request.schema, request.extra,
    )  # fmt: skip
    return json.dumps(said, sort_keys=True, default=dict)


def output_tokens(one: int | None, ids: Sequence[str]) -> int | None:
    """Return the output tokens that a pack may need, where one item alone may need `one`."""
    if one is None or len(ids) == 1:
        return one
    return sum(math.ceil(one * _ESCAPING) + _PER_ANSWER_TOKENS + len(id_.encode()) // 2 for id_ in ids)


def _checked(text: str) -> tuple[tuple[str, str | None], ...]:
    where = "request.pack_prompt"
    pairs = split_template(text, where)
    fields = [field for _, field in pairs if field is not None]
    if fields != ["items"]:
        raise ConfigError(where, "must have {items} in it once, and no other field", "Write {items} there.")
    if "json" not in text.lower():
        what = 'does not say "JSON", which providers want to read before they promise JSON'
        raise ConfigError(where, what, 'Ask for {{"answers": [{{"id": "...", "answer": "..."}}]}} as JSON.')
    return pairs


def _as_json(prompts: Sequence[tuple[str, str]]) -> str:
    rows: list[dict[str, Any]] = [{"id": id_, "prompt": prompt} for id_, prompt in prompts]
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]"


def _common(prompts: Sequence[str]) -> tuple[str, str]:
    """Return what all prompts begin and end with, in whole lines, where it is worth saying once."""
    low, high = min(prompts), max(prompts)
    same = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    begin = low[: low.rfind("\n", 0, same) + 1]
    if len(begin) < _WORTH_SHARING:
        begin = ""
    turned = [prompt[len(begin) :][::-1] for prompt in prompts]
    low, high = min(turned), max(turned)
    same = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    end = low[: low.rfind("\n", 0, same) + 1][::-1]
    if len(end) < _WORTH_SHARING or any(len(prompt) == len(end) for prompt in turned):
        end = ""
    return begin, end
