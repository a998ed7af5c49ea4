"""The prompt of one item, rendered again from the input: the ledger does not hold it a second time."""

from __future__ import annotations

from typing import Any

from llmtop.adapters.sources import open_source
from llmtop.config.schema import RunConfig
from llmtop.errors import LlmtopError
from llmtop.policy.rendering import chat_request
from llmtop.policy.template import Template

Messages = tuple[dict[str, Any], ...]


def prompt_of(config: RunConfig, seq: int, offset: int) -> tuple[Messages | None, str]:
    """Return the messages as they are sent, or None and why they cannot be shown."""
    try:
        source = open_source(config.input)
        item = source.item(seq, offset)
        template = None if config.request.prompt is None else Template(config.request.prompt)
        request = chat_request(config.request, config.provider.model, template, item)
    except (LlmtopError, OSError) as error:
        return None, f"the input can no longer be read: {error}"
    return tuple(dict(message) for message in request.messages), ""
