"""What differs between servers that speak the OpenAI format, found by their host name.

A server that is not named here gets `_COMPATIBLE`; `provider.server` says it for a gateway. Everything
can be overruled by `request.extra`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from llmtop.config.schema import ServerName

_DAY_S = 86_400.0
_MINUTE_S = 60.0


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

    def key_headers(self, key: str) -> dict[str, str]:
        """Return the header that carries the key. A JSON web token is a bearer's everywhere."""
        if self.key_header is None or key.startswith("eyJ"):
            return {"Authorization": f"Bearer {key}"}
        return {self.key_header: key}


_COMPATIBLE = ServerProfile("compatible", ())
_PROFILES = (
    ServerProfile("openai", ("api.openai.com",), token_field="max_completion_tokens"),
    ServerProfile(
        "azure",
        ("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com"),
        token_field="max_completion_tokens",
        key_header="api-key",
    ),
    ServerProfile("groq", ("api.groq.com",), requests_window_s=_DAY_S),
    ServerProfile("together", ("api.together.ai", "api.together.xyz")),
    ServerProfile("mistral", ("api.mistral.ai",)),
)


def profile_of(base_url: str, server: ServerName | None = None) -> ServerProfile:
    """Return the profile of the server behind `base_url`; an unreadable address is a compatible server.

    `server`: said by the user, for a gateway under another name.
    """
    if server is not None:
        return next((profile for profile in _PROFILES if profile.name == server), _COMPATIBLE)
    try:
        host = (urlsplit(base_url).hostname or "").rstrip(".")
    except ValueError:
        return _COMPATIBLE
    for profile in _PROFILES:
        if any(host == end or host.endswith(f".{end}") for end in profile.host_ends):
            return profile
    return _COMPATIBLE
