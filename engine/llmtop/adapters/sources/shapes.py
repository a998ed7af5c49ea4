"""What an item is: plain fields, ready messages, or a line made for a batch API.

A line that claims a shape is checked for it before the first request, so that no item fails later
for what could be seen now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from llmtop.cleaning import clean

Kind = Literal["fields", "messages", "openai", "anthropic"]
BatchLines = Literal["openai", "anthropic"] | None

_CHAT_URLS = ("/v1/chat/completions", "/chat/completions")


class BadShape(Exception):
    """What is wrong with an item, and what would be right."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy


def kind_of_item(fields: Mapping[str, Any]) -> Kind:
    """Return which of the four shapes a line has."""
    if "custom_id" in fields and "body" in fields:
        return "openai"
    if "custom_id" in fields and "params" in fields:
        return "anthropic"
    return "messages" if isinstance(fields.get("messages"), list) else "fields"


def check_shape(
    kind: Kind, fields: Mapping[str, Any], needed: frozenset[str] | None, lines: BatchLines
) -> None:
    """Check an item. `needed` are the fields of the prompt; None: there is no prompt. Raises BadShape.

    `lines`: whose batch lines the provider can be sent.
    """
    if kind in ("openai", "anthropic") and kind != lines:
        owner = "an OpenAI" if kind == "openai" else "an Anthropic"
        other = {"openai": "OpenAI batch lines, ", "anthropic": "Anthropic batch lines, ", None: ""}[lines]
        raise BadShape(
            f"is {owner} batch line, which this provider cannot be sent",
            f"Use {other}messages, or plain fields with a prompt.",
        )
    if kind == "fields":
        _check_fields(fields, needed)
    elif kind == "messages":
        _check_messages(fields["messages"])
    elif kind == "openai":
        _check_openai(fields)
    else:
        _check_anthropic(fields)


def _check_fields(fields: Mapping[str, Any], needed: frozenset[str] | None) -> None:
    if needed is None:
        raise BadShape(
            "has fields and no messages, and there is no prompt",
            'Set request.prompt, like "Explain: {text}".',
        )
    if not needed <= fields.keys():
        missing = min(needed - fields.keys())
        present = ", ".join(sorted(fields)[:12])
        raise BadShape(
            f'has no field "{clean(missing, limit=60)}", which the prompt needs',
            f"It has: {clean(present, limit=200)}." if present else "It has no fields.",
        )


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise BadShape("has no messages", 'Like "messages": [{"role": "user", "content": "..."}].')
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise BadShape(
                f"message {number} is no object with a role", 'Like {"role": "user", "content": "..."}.'
            )


def _check_openai(fields: Mapping[str, Any]) -> None:
    body = fields["body"]
    if not isinstance(body, Mapping):
        raise BadShape("has a body that is not an object")
    url = fields.get("url", _CHAT_URLS[0])
    if url not in _CHAT_URLS:
        shown = clean(url, limit=60) if isinstance(url, str) else "no text"
        raise BadShape(f"has the url {shown}", f"Only {_CHAT_URLS[0]} is available.")
    if str(fields.get("method", "POST")).upper() != "POST":
        raise BadShape("has a method other than POST")
    if body.get("stream"):
        raise BadShape("asks for a stream", 'Take "stream" out of the body.')
    if body.get("n", 1) != 1:
        raise BadShape("asks for several answers", 'Take "n" out of the body.')
    if not isinstance(body.get("model", ""), str):
        raise BadShape("has a model that is not text")
    _check_messages(body.get("messages"))


def _check_anthropic(fields: Mapping[str, Any]) -> None:
    params = fields["params"]
    if not isinstance(params, Mapping):
        raise BadShape("has params that are not an object")
    if params.get("stream"):
        raise BadShape("asks for a stream", 'Take "stream" out of the params.')
    if not isinstance(params.get("model", ""), str):
        raise BadShape("has a model that is not text")
    most = params.get("max_tokens")
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise BadShape("has no max_tokens", 'Like "max_tokens": 1000 in the params.')
    _check_messages(params.get("messages"))
