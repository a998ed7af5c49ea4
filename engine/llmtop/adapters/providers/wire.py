"""What a provider is to the rest: a wire format. No retries, no limits, no money, no sockets in it."""

from __future__ import annotations

from typing import Protocol

from llmtop.model import ChatRequest, RawReply, Reply, WireRequest


class WireFormat(Protocol):
    """One provider's words."""

    name: str
    default_base_url: str
    default_key_env: str | None
    """None: works without a key."""

    def key_headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry the key; the transport adds them at the last moment."""

    def build(self, request: ChatRequest) -> WireRequest:
        """Put a request into the provider's words."""

    def read(self, raw: RawReply, now: float) -> Reply:
        """Read an answer, or name its error; never raises. `now`: epoch seconds, for waits given as dates."""
