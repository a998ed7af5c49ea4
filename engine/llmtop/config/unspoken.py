"""Find API keys in a config, so that they are refused and never repeated.

A key in a file ends in a repository, a backup or a screenshot. Only whole values are looked at:
a prompt that talks about keys is no key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_KEY = re.compile(
    r"(?:(?:Bearer|Basic)\s+\S{8,}"
    r"|(?:sk|pk|rk|gsk|xai|pplx|csk|nvapi|hf|r8|ghp|gho|github_pat)[-_](?=\S*\d)[A-Za-z0-9_\-]{12,}"
    r"|sk-[A-Za-z0-9_\-]{6,}"
    r"|AIza[A-Za-z0-9_\-]{20,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-.]{8,})"
)
_KEY_NAMES = frozenset(
    {
        "api_key",
        "apikey",
        "key",
        "token",
        "secret",
        "password",
        "access_token",
        "auth_token",
        "bearer_token",
        "openai_api_key",
        "secret_key",
    }
)
_KEY_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "x-auth-token",
        "cookie",
    }
)


def looks_like_key(value: str) -> bool:
    """Whether a whole text has the shape of a provider's API key."""
    return _KEY.fullmatch(value.strip()) is not None


def is_key_name(name: str) -> bool:
    """Whether a config key's name says that an API key stands there."""
    return name.lower().replace("-", "_") in _KEY_NAMES


def is_key_header(name: str) -> bool:
    """Whether a header carries a key."""
    return name.strip().lower() in _KEY_HEADERS


def keys_in(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted place of every value that looks like an API key."""
    for name, value in tree.items():
        place = f"{prefix}{'(hidden)' if looks_like_key(name) else name}"
        if looks_like_key(name):
            yield place
        yield from _keys_in_value(value, place)


def _keys_in_value(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from keys_in(value, f"{place}.")
    elif isinstance(value, list):
        for entry in value:
            yield from _keys_in_value(entry, place)
    elif isinstance(value, str) and looks_like_key(value):
        yield place
