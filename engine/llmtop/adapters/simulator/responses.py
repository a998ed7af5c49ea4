"""OpenAI's Responses: the same model asked in other words. Pure.

A request becomes one of chat completions, and the answer is translated from its words. Nothing is
stored, so a response cannot be fetched again or continued.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmtop.adapters.simulator import complaints
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns, object_of, read_call
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.dialects import OpenAIDialect
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.streams import named_event, pieces

_NAMES = {"messages": "input", "response_format": "text.format", "max_completion_tokens": "max_output_tokens"}
_KEPT = ("model", "temperature", "top_p", "stream", "service_tier", "metadata", "user")


class ResponsesDialect(OpenAIDialect):
    """`POST /v1/responses`."""

    def parse(
        self, raw: bytes, headers: Mapping[str, str], model: str, profile: Profile, patterns: Patterns
    ) -> ChatCall:
        """Read a `POST /responses`. Raises Complaint."""
        body = object_of(raw)
        try:
            return read_call(_as_chat(body), profile, patterns)
        except Complaint as complaint:
            error = complaint.body["error"]
            for chat, ours in _NAMES.items():
                error["param"] = error["param"] and error["param"].replace(chat, ours)
            raise

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a response; an error of the provider's own is one that failed, inside a 200."""
        if "error" in body:
            return body
        choice: dict[str, Any] = (
            body["choices"][0] if body["choices"] else {"finish_reason": "stop", "message": {}}
        )
        finish = choice["finish_reason"]
        failure = {"code": "server_error", "message": "The upstream provider failed."}
        cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish)
        response: dict[str, Any] = {
            "id": body["id"].replace("chatcmpl-", "resp_"),
            "object": "response",
            "created_at": body["created"],
            "status": "failed" if finish == "error" else "incomplete" if cut else "completed",
            "error": failure if finish == "error" else None,
            "incomplete_details": {"reason": cut} if cut else None,
            "model": body["model"],
            "output": _output(body["id"], choice["message"], body.get("usage")),
            "usage": _usage(body.get("usage")),
            "service_tier": body["service_tier"],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "metadata": {},
        }
        return response

    def events(self, answer: dict[str, Any], call: ChatCall) -> list[bytes]:
        """From `response.created` to `response.completed`."""
        begun = {**answer, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        events: list[dict[str, Any]] = [
            {"type": f"response.{word}", "response": begun} for word in ("created", "in_progress")
        ]
        for index, item in enumerate(answer["output"]):
            events += _item_events(index, item)
        events.append({"type": f"response.{answer['status']}", "response": answer})
        return [named_event({**event, "sequence_number": number}) for number, event in enumerate(events)]


def _as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request in the words of chat completions. Raises Complaint."""
    given = body.get("input")
    if given is None:
        raise complaints.missing("input")
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if isinstance(turns, list):
        turns = [turn for turn in turns if not (isinstance(turn, dict) and turn.get("type") == "reasoning")]
    chat: dict[str, Any] = {name: body[name] for name in _KEPT if name in body}
    chat["messages"] = turns
    if isinstance(turns, list) and isinstance(body.get("instructions"), str):
        chat["messages"] = [{"role": "system", "content": body["instructions"]}, *turns]
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    text = body.get("text")
    format_ = text.get("format") if isinstance(text, dict) else None
    if isinstance(format_, dict):
        is_schema = format_.get("type") == "json_schema"
        flat = {name: value for name, value in format_.items() if name != "type"}
        chat["response_format"] = {"type": "json_schema", "json_schema": flat} if is_schema else format_
    return chat


def _output(answer_id: str, message: Mapping[str, Any], usage: Any) -> list[dict[str, Any]]:
    number = answer_id.removeprefix("chatcmpl-")
    output: list[dict[str, Any]] = []
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    if details and details["reasoning_tokens"]:
        output.append({"id": f"rs_{number}", "type": "reasoning", "summary": []})
    content: list[dict[str, Any]] = []
    if message.get("content") is not None:
        text = {"type": "output_text", "text": message["content"], "annotations": [], "logprobs": []}
        content.append(text)
    if message.get("refusal") is not None:
        content.append({"type": "refusal", "refusal": message["refusal"]})
    if content:
        said = {"role": "assistant", "status": "completed", "content": content}
        output.append({"id": f"msg_{number}", "type": "message", **said})
    return output


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict) or "prompt_tokens_details" not in usage:
        return None
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"], "cache_write_tokens": 0,
        },
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {
            "reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"],
        },
        "total_tokens": usage["total_tokens"],
    }  # fmt: skip


def _item_events(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    begun = {**item, "status": "in_progress"} | ({"content": []} if "content" in item else {})
    events: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": index, "item": begun}
    ]
    for at, part in enumerate(item.get("content", ())):
        where = {"item_id": item["id"], "output_index": index, "content_index": at}
        name, kind = ("text", "output_text") if part["type"] == "output_text" else ("refusal", "refusal")
        more: dict[str, Any] = {"logprobs": []} if name == "text" else {}
        events.append({"type": "response.content_part.added", **where, "part": {**part, name: ""}})
        events += [
            {"type": f"response.{kind}.delta", **where, "delta": piece, **more}
            for piece in pieces(part[name])
        ]
        events.append({"type": f"response.{kind}.done", **where, name: part[name], **more})
        events.append({"type": "response.content_part.done", **where, "part": part})
    events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    return events


RESPONSES = ResponsesDialect()
