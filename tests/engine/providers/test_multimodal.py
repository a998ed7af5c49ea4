"""Pictures, sounds and files in `messages` items reach the provider as they came, either way."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from llmtop.adapters.providers.batches import BatchWire
from llmtop.adapters.providers.catalog import batch_provider, wire_format
from llmtop.config.schema import ProviderKind, RequestConfig, ServerName
from llmtop.model import Item
from llmtop.policy.rendering import chat_request

OPENAI: list[Any] = [
    {"type": "text", "text": "Wie heißt das?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "high"}},
    {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    {"type": "file", "file": {"file_id": "file-1"}},
    {"type": "of_tomorrow", "nested": [{"a": None}, 1.5, "\u2028"]},
]
ANTHROPIC: list[Any] = [
    {"type": "text", "text": "Wie heißt das?", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
    {"type": "document", "source": {"type": "url", "url": "https://h/x.pdf"}, "citations": {"enabled": True}},
    {"type": "of_tomorrow", "nested": [{"a": None}, 1.5]},
]
GEMINI: list[Any] = [
    {"text": "Wie heißt das?"},
    {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
    {"fileData": {"mimeType": "video/mp4", "fileUri": "https://h/files/x"}, "videoMetadata": {"fps": 1}},
    {"ofTomorrow": {"nested": [{"a": None}, 1.5]}},
]
CASES = [
    ("openai", None, OPENAI),
    ("openai", "azure", OPENAI),
    ("openai", "groq", OPENAI),
    ("openai", "together", OPENAI),
    ("openai", "mistral", OPENAI),
    ("anthropic", None, ANTHROPIC),
    ("gemini", None, GEMINI),
]


@pytest.mark.parametrize("way", ["realtime", "batch"])
@pytest.mark.parametrize(("kind", "server", "parts"), CASES)
def test_content_of_any_kind_reaches_the_provider_untouched(
    kind: ProviderKind, server: ServerName | None, parts: list[Any], way: str
) -> None:
    field = "parts" if kind == "gemini" else "content"
    turn = {"role": "user", field: parts}
    item = Item(seq=1, id="a", fields={"id": "a", "messages": [turn]}, kind="messages", line=1)
    config = RequestConfig(max_output_tokens=100)
    request = chat_request(config, "m", None, item)
    format_ = wire_format(kind, None, server)

    if way == "realtime":
        body = json.loads(format_.build(request).body)
    else:
        jobs = batch_provider(format_, cast("BatchWire", None), 86_400.0)
        line = json.loads(jobs.line("c-1", request))
        body = next(line[name] for name in ("body", "params", "request") if name in line)

    assert body["contents" if kind == "gemini" else "messages"] == [turn]
