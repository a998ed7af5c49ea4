"""What each provider kind has of its own: address, key variable, default model.

A run's settings say what is effective; this is where that comes from when the config is silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmtop.config.schema import ProviderConfig


@dataclass(frozen=True, slots=True)
class Kind:
    """Defaults of one provider kind. None: it has none."""

    base_url: str | None
    api_key_env: str | None
    model: str | None
    is_available: bool = True
    lines: Literal["openai", "anthropic"] | None = None
    """Whose batch lines can be items: their bodies go out as they are."""


KINDS = {
    "openai": Kind("https://api.openai.com/v1", "OPENAI_API_KEY", None, lines="openai"),
    "simulator": Kind(None, None, "simulated-small", lines="openai"),
    "anthropic": Kind("https://api.anthropic.com", "ANTHROPIC_API_KEY", None, lines="anthropic"),
    "gemini": Kind("https://generativelanguage.googleapis.com", "GEMINI_API_KEY", None),
    "local": Kind(None, None, None, is_available=False),
}


def effective_base_url(provider: ProviderConfig) -> str | None:
    """Return the address that is asked, without a slash at its end; None: the embedded simulator."""
    url = provider.base_url or KINDS[provider.kind].base_url
    return url.rstrip("/") if url else None


def key_variable(provider: ProviderConfig) -> str | None:
    """Return the name of the variable that holds the key, or None where no key is needed."""
    if provider.api_key_env is None:
        return KINDS[provider.kind].api_key_env
    return provider.api_key_env or None
