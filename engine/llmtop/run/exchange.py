"""A run's provider: its wire format, its transport, and the request that its config describes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from llmtop.adapters.http import HttpTransport
from llmtop.adapters.providers.wire import WireFormat
from llmtop.config.schema import RunConfig
from llmtop.model import Item, RawReply, Reply, WireRequest
from llmtop.policy.answers import OutputForm
from llmtop.policy.rendering import chat_request
from llmtop.policy.template import Template


class ChatExchange:
    """Fits `submit.work.Exchange`."""

    def __init__(
        self,
        config: RunConfig,
        wire: WireFormat,
        transport: HttpTransport,
        template: Template | None,
        form: OutputForm,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._request = config.request
        self._metadata_fields = config.output.metadata_fields
        self._model = config.provider.model
        self._wire = wire
        self._transport = transport
        self._template = template
        self._wall = wall
        self.send = transport.send
        self.accept = form.accept

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self._model

    def prepare(self, item: Item) -> WireRequest:
        """Put an item into the provider's words."""
        return self._wire.build(chat_request(self._request, self._model, self._template, item))

    def read(self, raw: RawReply) -> Reply:
        """Read an answer, or name its error."""
        return self._wire.read(raw, self._wall())

    def metadata(self, item: Item) -> dict[str, Any]:
        """Return the input fields that go with the result."""
        if not self._metadata_fields:
            return {}
        return {name: item.fields[name] for name in self._metadata_fields if name in item.fields}
