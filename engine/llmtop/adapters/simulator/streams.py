"""Answers in pieces: the server-sent events of each format, made from the answer as a whole. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

_PIECE = re.compile(r"\s*\S+\s*\S*\s*\S*|\s+")
"""Some words at a time."""


def pieces(text: str | None) -> list[str]:
    """Return a text in the pieces in which it is sent; nothing of it is lost."""
    return _PIECE.findall(text or "")


def openai_events(body: dict[str, Any], *, has_usage: bool) -> list[bytes]:
    """Return an answer as `chat.completion.chunk`s; the usage comes in a last one where it is wanted."""
    kept = ("id", "created", "model", "system_fingerprint")
    head: dict[str, Any] = {name: body[name] for name in kept if name in body}
    head["object"] = "chat.completion.chunk"
    chunks: list[dict[str, Any]] = []
    for choice in body["choices"]:
        message = choice["message"]
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in pieces(message.get("content"))]
        deltas += [{"refusal": piece} for piece in pieces(message.get("refusal"))]
        rows: list[dict[str, Any]] = [
            {"index": choice["index"], "delta": delta, "logprobs": None, "finish_reason": None}
            for delta in deltas
        ]
        last = {name: value for name, value in choice.items() if name != "message"}
        chunks += [{**head, "choices": [row]} for row in [*rows, {**last, "delta": {}}]]
    if has_usage and "usage" in body:
        chunks.append({**head, "choices": [], "usage": body["usage"]})
    return [*(_event(chunk) for chunk in chunks), b"data: [DONE]\n\n"]


def anthropic_events(message: dict[str, Any]) -> list[bytes]:
    """Return a message as events from `message_start` to `message_stop`; an error is one event."""
    if message["type"] == "error":
        return [named_event(message)]
    usage = message.get("usage")
    begun = {**message, "content": [], "stop_reason": None, "stop_details": None}
    if usage is not None:
        begun["usage"] = {**usage, "output_tokens": 1}
    events = [named_event({"type": "message_start", "message": begun})]
    for index, block in enumerate(message["content"]):
        kind = block["type"]
        name = "text" if kind == "text" else "thinking"
        start = {"type": "content_block_start", "index": index, "content_block": {**block, name: ""}}
        events.append(named_event(start))
        deltas = [{"type": f"{name}_delta", name: piece} for piece in pieces(block[name])]
        if kind == "thinking":
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        events += [
            named_event({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas
        ]
        events.append(named_event({"type": "content_block_stop", "index": index}))
    ended = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    last = {"type": "message_delta", "delta": ended, "usage": usage or {"output_tokens": 0}}
    return [
        *events,
        named_event(last),
        named_event({"type": "message_stop"}),
    ]


def gemini_events(answer: dict[str, Any]) -> list[bytes]:
    """Return an answer as answers with a part of the text each; the last one has the end and the usage."""
    candidates = answer.get("candidates", [])
    head = {name: value for name, value in answer.items() if name in ("modelVersion", "responseId")}
    parts = [
        ({**candidate, "finishReason": None}, part)
        for candidate in candidates
        for whole in (candidate.get("content") or {}).get("parts", [])
        for part in ({**whole, "text": piece} for piece in pieces(whole.get("text")))
    ]
    events = [_event({**head, "candidates": [_with_part(*part)]}) for part in parts[:-1]]
    rest = {**answer}
    if parts:
        rest["candidates"] = [{**candidates[-1], "content": _content(parts[-1][1])}]
    return [*events, _event(rest)]


def _with_part(candidate: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in candidate.items() if name not in ("finishReason", "content")}
    return {**kept, "content": _content(part)}


def _content(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": [part]}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def named_event(value: dict[str, Any]) -> bytes:
    """Return an event that has its type as a name, too."""
    return b"event: " + str(value["type"]).encode() + b"\n" + _event(value)
