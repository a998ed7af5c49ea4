"""The prompt of one item, rendered again from the input: the ledger does not hold it a second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmtop.adapters.ledger import ItemPlace
from llmtop.adapters.ledger.lines import storable
from llmtop.adapters.sources import open_source
from llmtop.cleaning import clean
from llmtop.config.schema import RunConfig
from llmtop.errors import LlmtopError
from llmtop.policy.rendering import chat_request
from llmtop.policy.template import Template

Messages = tuple[dict[str, Any], ...]

SPOOL = "input"
"""The file in a run's folder that keeps what came by standard input."""


def prompt_of(config: RunConfig, folder: Path, place: ItemPlace) -> tuple[Messages | None, str]:
    """Return the messages as they are sent, or None and why they cannot be shown.

    Blocking: an input that cannot be entered in the middle is read up to the item.
    """
    seq, item_id, line, offset = place
    try:
        item = open_source(config.input, spool=folder / SPOOL).item(seq, offset, line)
        if storable(item.id) != item_id:
            return None, f"the input has changed: {clean(item.id, limit=80)} stands in its place now"
        template = None if config.request.prompt is None else Template(config.request.prompt)
        request = chat_request(config.request, config.provider.model, template, item)
    except (LlmtopError, OSError) as error:
        return None, f"the input can no longer be read: {error}"
    return tuple(dict(message) for message in request.messages), ""
