"""Chat completions and error bodies as a server sends them, and how OpenAI's format reads them."""

from __future__ import annotations

import json
from typing import Any

from llmtop.adapters.providers.catalog import wire_format
from llmtop.model import Answer, ProviderError, RawReply, Reply

NOW = 1_795_200_000.0
COMPATIBLE = "http://127.0.0.1:8000/v1"


def read(status: int, body: Any, headers: dict[str, str] | None = None, base_url: str = COMPATIBLE) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return wire_format("openai", base_url).read(RawReply(status, headers or {}, raw), NOW)


def completion(content: Any = "fine", finish: Any = "stop", **changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **changes.pop("message", {})}
    choice = {"index": 0, "finish_reason": finish, "message": message, **changes.pop("choice", {})}
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    return {"id": "c-1", "model": "m-1", "choices": [choice], "usage": usage, **changes}


def answered(reply: Reply) -> Answer:
    assert isinstance(reply, Answer), reply
    return reply


def failed(reply: Reply) -> ProviderError:
    assert isinstance(reply, ProviderError), reply
    return reply


def error(message: str = "no", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}
