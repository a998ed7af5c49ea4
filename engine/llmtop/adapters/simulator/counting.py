"""Counting the tokens of a request without asking the model: Anthropic's and Gemini's way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmtop.adapters.simulator.anthropic_request import check_version, read_params
from llmtop.adapters.simulator.chat_request import Patterns, object_of
from llmtop.adapters.simulator.gemini_request import read_generate
from llmtop.adapters.simulator.profile import Profile


def message_tokens(
    raw: bytes, headers: Mapping[str, str], profile: Profile, patterns: Patterns
) -> dict[str, Any]:
    """Answer a `POST /v1/messages/count_tokens`. Raises Complaint."""
    version = headers.get("anthropic-version", "")
    check_version(version)
    call = read_params({"max_tokens": 1, **object_of(raw)}, version, profile, patterns)
    return {"input_tokens": call.prompt.tokens}


def generate_tokens(raw: bytes, model: str, profile: Profile, patterns: Patterns) -> dict[str, Any]:
    """Answer a `POST .../models/{model}:countTokens`. Raises Complaint."""
    body = object_of(raw)
    call = read_generate(body.get("generateContentRequest") or body, model, profile, patterns)
    return {"totalTokens": call.prompt.tokens}
