"""What makes two starts of a config the same run: whom is asked, what is asked, about what.

How fast, how often and at what price it is asked, and where the results go, may change between
two starts of one run; these keys are not in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from llmtop.config.effective import value_of
from llmtop.config.filter_tables import judging_part
from llmtop.config.input_format import format_by_name
from llmtop.config.kinds import effective_base_url
from llmtop.config.schema import RunConfig

_KEYS = (
    "provider.kind",
    "provider.model",
    "provider.headers",
    "provider.simulator",
    "input.id_field",
    "input.limit",
    "request.system",
    "request.prompt",
    "request.pack_prompt",
    "request.temperature",
    "request.max_output_tokens",
    "request.response_format",
    "request.schema",
    "request.extra",
)
CONTENT = "input content"
"""The part that stands for what the input file holds."""


def fingerprint_parts(config: RunConfig, content_digest: str) -> dict[str, str]:
    """Return dotted key -> canonical JSON of every setting that makes a different run."""
    parts = {key: _canonical(value_of(config, key)) for key in _KEYS}
    parts["provider.base_url"] = _canonical(effective_base_url(config.provider))
    parts["input.format"] = _canonical(config.input.format or format_by_name(config.input.path))
    parts["filters"] = _canonical(judging_part(config.filters))
    parts[CONTENT] = _canonical(content_digest)
    return parts


def fingerprint(parts: Mapping[str, str]) -> str:
    """Return the SHA-256 of the parts, in hex."""
    return hashlib.sha256(_canonical(sorted(parts.items())).encode()).hexdigest()


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return the keys in which two runs differ, sorted."""
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
