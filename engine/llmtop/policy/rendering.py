"""From an item to the request that is asked about it.

Plain fields go through the prompt template; ready `messages` and the bodies of batch lines
pass through untouched. Kinds are `Item.kind`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from llmtop.config.schema import RequestConfig
from llmtop.errors import InputError
from llmtop.model import ChatRequest, Item


class PromptTemplate(Protocol):
    """A prompt with holes, as `policy.template` makes it."""

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it needs."""

    def render(self, fields: Mapping[str, Any]) -> str:
        """Fill the holes. Raises InputError when a field is missing."""


def needed_fields(template: PromptTemplate | None) -> frozenset[str] | None:
    """Return the fields that every plain item must have; None: no prompt, so no plain item will do."""
    return None if template is None else template.fields


def chat_request(
    config: RequestConfig, model: str, template: PromptTemplate | None, item: Item
) -> ChatRequest:
    """Return what is asked about an item. Raises InputError when it cannot be asked."""
    if item.kind == "openai":
        return _ready_body(model, item)
    if item.kind == "anthropic":
        return _ready_params(model, item)
    if item.kind == "messages":
        messages = tuple(item.fields["messages"])
    else:
        messages = _from_prompt(config, template, item)
    return ChatRequest(
        model=model,
        messages=messages,
        temperature=config.temperature,
        max_output_tokens=config.max_output_tokens,
        response_format=config.response_format,
        schema=config.schema,
        extra=config.extra or None,
    )


def _from_prompt(
    config: RequestConfig, template: PromptTemplate | None, item: Item
) -> tuple[dict[str, str], ...]:
    if template is None:
        remedy = 'Set request.prompt, like "Explain: {text}".'
        raise InputError(_place(item), "has fields and no messages, and there is no prompt", remedy)
    try:
        prompt = template.render(item.fields)
    except InputError as error:
        raise InputError(_place(item), error.what, error.remedy) from None
    user = {"role": "user", "content": prompt}
    return (user,) if config.system is None else ({"role": "system", "content": config.system}, user)


def _ready_body(model: str, item: Item) -> ChatRequest:
    body = item.fields["body"]
    return ChatRequest(
        model=body.get("model") or model,
        messages=tuple(body["messages"]),
        temperature=body.get("temperature"),
        max_output_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        raw_body=body,
    )


def _ready_params(model: str, item: Item) -> ChatRequest:
    params = item.fields["params"]
    system = params.get("system")
    said = ({"role": "system", "content": system},) if system else ()
    return ChatRequest(
        model=params.get("model") or model,
        messages=(*said, *params["messages"]),
        temperature=params.get("temperature"),
        max_output_tokens=params.get("max_tokens"),
        raw_body=params,
    )


def _place(item: Item) -> str:
    return f"line {item.line}" if item.line else f"item {item.seq + 1}"
