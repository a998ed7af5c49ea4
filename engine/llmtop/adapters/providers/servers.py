"""What differs between servers that speak the OpenAI format, found by their host name.

A server that is not named here gets `_COMPATIBLE`; `provider.server` says it for a gateway. Everything
can be overruled by `request.extra`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from llmtop.config.kinds import KINDS, effective_base_url
from llmtop.config.schema import ProviderConfig, ServerName

_DAY_S = 86_400.0
_MINUTE_S = 60.0
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """One server's ways."""

    name: ServerName
    host_ends: tuple[str, ...]
    """Host names, or their ends after a dot."""
    token_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Where `max_output_tokens` goes. OpenAI's newer models refuse `max_tokens`; others know only that."""
    requests_window_s: float = _MINUTE_S
    """What `x-ratelimit-limit-requests` counts over."""
    key_header: str | None = None
    """Header of a key that is not a token; None: `Authorization`, like a token."""
    batch_discount: float | None = None
    """What its batch API takes off the price, by its price page; None: not said, or not for all models."""

    def key_headers(self, key: str) -> dict[str, str]:
        """Return the header that carries the key. A JSON web token is a bearer's everywhere."""
        if self.key_header is None or key.startswith("eyJ"):
            return {"Authorization": f"Bearer {key}"}
        return {self.key_header: key}


_COMPATIBLE = ServerProfile("compatible", ())
_PROFILES = (
    ServerProfile("openai", ("api.openai.com",), token_field="max_completion_tokens", batch_discount=_HALF),
    ServerProfile(
        "azure",
        ("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com"),
        token_field="max_completion_tokens",
        key_header="api-key",
        batch_discount=_HALF,
    ),
    ServerProfile("groq", ("api.groq.com",), requests_window_s=_DAY_S, batch_discount=_HALF),
    ServerProfile("together", ("api.together.ai", "api.together.xyz")),
    ServerProfile("mistral", ("api.mistral.ai",), batch_discount=_HALF),
)


def profile_of(base_url: str, server: ServerName | None = None) -> ServerProfile:
    """Return the profile of the server behind `base_url`; an unreadable address is a compatible server.

    `server`: said by the user, for a gateway under another name.
    """
    if server is not None:
        return next((profile for profile in _PROFILES if profile.name == server), _COMPATIBLE)
    host = _host(base_url)
    for profile in _PROFILES:
        if any(host == end or host.endswith(f".{end}") for end in profile.host_ends):
            return profile
    return _COMPATIBLE


def usual_batch_discount(provider: ProviderConfig) -> float | None:
    """Return what the provider's batch API takes off the price as a rule; None: nobody knows."""
    url = effective_base_url(provider)
    if url is None:
        return None
    if provider.kind == "openai":
        return profile_of(url, provider.server).batch_discount
    own = KINDS[provider.kind].base_url
    return _HALF if own is not None and _host(url) == _host(own) else None


def _host(base_url: str) -> str:
    """Return the host of an address; empty for one that cannot be read."""
    try:
        return (urlsplit(base_url).hostname or "").rstrip(".")
    except ValueError:
        return ""
