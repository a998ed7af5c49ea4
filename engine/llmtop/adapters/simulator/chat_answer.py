"""`POST /chat/completions`, the way out: what the simulated model says, and its body. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from llmtop.adapters.simulator.chat_request import ChatCall
from llmtop.adapters.simulator.draws import Draws
from llmtop.adapters.simulator.packs import packed_answer, spoiled_json, troubled_value
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.prompts import tokens_of
from llmtop.adapters.simulator.schemas import fill
from llmtop.adapters.simulator.usage import Tokens, usage_body
from llmtop.adapters.simulator.writing import answer_text, cut_to, title_of


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model came up with."""

    content: str
    finish_reason: str
    tokens: Tokens


def complete(profile: Profile, call: ChatCall, draws: Draws, cached_tokens: int) -> Completion:
    """Answer `call`; the same for the same draws."""
    content = _content(profile, call, draws)
    reasoning = profile.reasoning_tokens
    finish_reason = "stop"
    if call.max_tokens is not None and reasoning + tokens_of(content) > call.max_tokens:
        reasoning = min(reasoning, call.max_tokens)
        content = cut_to(content, call.max_tokens - reasoning)
        finish_reason = "length"
    completion = (reasoning + tokens_of(content)) * call.choices
    tokens = Tokens(call.prompt.tokens, cached_tokens, completion, reasoning * call.choices)
    return Completion(content, finish_reason, tokens)


def _content(profile: Profile, call: ChatCall, draws: Draws) -> str:
    prompt = call.prompt
    if call.format == "json_schema" and call.schema is not None:
        value = troubled_value(profile, draws, fill(call.schema, prompt, prompt.items))
        return spoiled_json(profile, draws, orjson.dumps(value).decode(), _pack_ids(call))
    if prompt.items and (call.format == "json_object" or "json" in prompt.text.lower()):
        text = packed_answer(profile, draws, prompt.text, prompt.items)
        return spoiled_json(profile, draws, text, _pack_ids(call))
    item_id = prompt.ids[0] if prompt.ids else None
    length = 0
    if profile.output_tokens:
        length = round(draws.lognormal("length", profile.output_tokens, profile.output_sigma))
    answer = answer_text(prompt.text, item_id, length)
    if call.format == "json_object":
        named = {} if item_id is None else {"id": item_id}
        fields = {**named, "title": title_of(prompt.text), "answer": answer}
        return orjson.dumps(fields).decode()
    return answer


def _pack_ids(call: ChatCall) -> tuple[str, ...]:
    return call.prompt.ids if len(call.prompt.items) > 1 else ()


def completion_body(
    profile: Profile, call: ChatCall, completion: Completion, number: int, created: int, cost_pusd: int
) -> dict[str, Any]:
    """Return the answer's JSON. `number` is one of its own for each answer."""
    return {
        "id": f"chatcmpl-{number:024x}",
        "object": "chat.completion",
        "created": created,
        "model": call.model,
        "choices": [
            {
                "index": index,
                "finish_reason": completion.finish_reason,
                "logprobs": None,
                "message": {
                    "role": "assistant", "content": completion.content, "refusal": None, "annotations": [],
                },
            }
            for index in range(call.choices)
        ],
        "usage": usage_body(completion.tokens, cost_pusd if profile.usage_cost else None),
        "service_tier": call.service_tier if call.service_tier != "auto" else "default",
        "system_fingerprint": "fp_simulated",
    }  # fmt: skip


def spoil_answer(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with a fault in what it says; a fault of another sort leaves it alone."""
    choice = body["choices"][0]
    message = choice["message"]
    if kind == "no_choices":
        body["choices"] = []
    elif kind == "null_content":
        message["content"] = None
    elif kind == "blank_content":
        message["content"] = " \n\t "
    elif kind == "length":
        choice["finish_reason"] = "length"
        message["content"] = message["content"][: len(message["content"]) // 2]
    elif kind == "content_filter":
        choice["finish_reason"] = "content_filter"
        message["content"] = None
    elif kind == "fenced":
        message["content"] = f"```json\n{message['content']}\n```"
    elif kind == "refusal":
        message["content"], message["refusal"] = None, "I'm sorry, but I can't help with that."
    elif kind == "error_choice":
        choice["finish_reason"] = "error"
        choice["error"] = {"code": 502, "message": "The upstream provider failed.", "metadata": {}}
        message["content"] = ""
    elif kind == "missing_usage":
        del body["usage"]
    elif kind == "nonsense_usage":
        body["usage"] = {"prompt_tokens": -7, "completion_tokens": "many", "total_tokens": None}
    return body
