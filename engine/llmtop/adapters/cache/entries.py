"""What is kept of an answer, and under which key: the same for every kind of cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from llmtop.model import Answer, Usage, WireRequest

MAX_VALUE_BYTES = 2**20
"""A longer answer is not kept: one transaction has to stay short."""

_FORM = 1
"""Version of the stored form; an entry of another one is a miss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGroup:
    """All entries of one provider and model."""

    place: str
    """`kind/model`, as the config named them."""
    entries: int
    bytes: int
    worth_pusd: int
    """What these answers did cost, and would cost again."""
    oldest_at: float
    """Wall clock, seconds since the epoch."""
    used_at: float
    """When one of them was last used or stored, to ten minutes."""


def request_key(scope: bytes, request: WireRequest) -> bytes:
    """Return the SHA-256 of whom is asked (`scope`) and of all that is asked.

    The body counts by its content: two orders of the same keys are one request.
    """
    try:
        body = orjson.dumps(orjson.loads(request.body), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        body = request.body
    digest = hashlib.sha256(scope)
    digest.update(b"\0%s\0" % request.path.encode())
    digest.update(body)
    return digest.digest()


def request_scope(kind: str, address: str, model: str, headers: Mapping[str, str]) -> bytes:
    """Return whom a run asks, for `request_key`: provider kind, effective address, model, own headers."""
    return orjson.dumps([_FORM, kind, address, model, dict(headers)], option=orjson.OPT_SORT_KEYS)


def packed(answer: Answer) -> bytes | None:
    """Return an answer as bytes; None where it is not to be kept (too long, or no valid Unicode)."""
    usage = None if answer.usage is None else asdict(answer.usage)
    try:
        value = orjson.dumps(
            [_FORM, answer.text, answer.finish_reason, answer.model, usage, answer.cost_pusd]
        )
    except orjson.JSONEncodeError:
        return None
    return value if len(value) <= MAX_VALUE_BYTES else None


def unpacked(value: bytes) -> Answer | None:
    """Return the answer that `packed` wrote; None where it is damaged or of another version."""
    try:
        form, text, finish_reason, model, usage, cost_pusd = orjson.loads(value)
        if form != _FORM or not (isinstance(text, str) and isinstance(finish_reason, str)):
            return None
        return Answer(
            text=text,
            finish_reason=finish_reason,
            model=str(model),
            usage=None if usage is None else Usage(**_checked(usage)),
            cost_pusd=cost_pusd if isinstance(cost_pusd, int) else None,
        )
    except (ValueError, TypeError):
        return None


def _checked(usage: Mapping[str, Any]) -> Mapping[str, Any]:
    if not all(isinstance(count, int) for count in usage.values()):
        raise TypeError("usage is not made of whole numbers")
    return usage
