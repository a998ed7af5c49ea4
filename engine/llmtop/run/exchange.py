"""A run's provider: its wire format, its transport, and the request that its config describes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from llmtop.adapters.http import HttpTransport
from llmtop.adapters.providers.wire import WireFormat
from llmtop.config.schema import RunConfig
from llmtop.model import ChatRequest, Item, RawReply, Reply, WireRequest
from llmtop.policy.answers import OutputForm
from llmtop.policy.packing import PackPrompt, PackReading, Part, item_form, read_pack
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
        self._packs = PackPrompt(config.request.pack_prompt)
        self._pack_form = item_form(config.request.response_format, config.request.schema)
        self._has_schema = config.request.response_format == "schema"
        self.send = transport.send
        self.accept = form.accept

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self._model

    def request(self, item: Item, explanation: str | None = None) -> ChatRequest:
        """Return what is asked about an item, with what was wrong with the answer before."""
        request = chat_request(self._request, self._model, self._template, item)
        return request if explanation is None else _said_again(request, explanation)

    def prepare(self, item: Item) -> WireRequest:
        """Put an item into the provider's words."""
        return self._wire.build(chat_request(self._request, self._model, self._template, item))

    def prepare_again(self, item: Item, explanation: str) -> WireRequest:
        """As `prepare`, with what was wrong with the answer before."""
        return self._wire.build(self.request(item, explanation))

    def can_pack(self, item: Item) -> bool:
        """Whether the item can share a request: plain fields in a prompt can, ready messages may differ."""
        return item.kind == "fields"

    def prepare_pack(self, items: Sequence[Item]) -> tuple[WireRequest, int | None]:
        """Put several items into one request; return it and the output tokens that it may have."""
        request = self.request_pack(items)
        return self._wire.build(request), request.max_output_tokens

    def request_pack(self, items: Sequence[Item]) -> ChatRequest:
        """Return what is asked about several items at once."""
        return self._packs.request(
            [Part(item.id, self.request(item)) for item in items], has_schema=self._has_schema
        )

    def read_pack(self, text: str, ids: Sequence[str]) -> PackReading:
        """Tell the answers of a pack apart, by id."""
        return read_pack(text, ids, self._pack_form)

    def read(self, raw: RawReply) -> Reply:
        """Read an answer, or name its error."""
        return self._wire.read(raw, self._wall())

    def metadata(self, item: Item) -> dict[str, Any]:
        """Return the input fields that go with the result."""
        if not self._metadata_fields:
            return {}
        return {name: item.fields[name] for name in self._metadata_fields if name in item.fields}


def _said_again(request: ChatRequest, explanation: str) -> ChatRequest:
    said = {"role": "user", "content": explanation}
    if request.raw_body is not None:
        body = {**request.raw_body, "messages": [*request.raw_body["messages"], said]}
        return replace(request, raw_body=body)
    return replace(request, messages=(*request.messages, said))
