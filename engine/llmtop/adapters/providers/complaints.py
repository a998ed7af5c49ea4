"""A server's complaint, read from any of the shapes that OpenAI-compatible servers use.

Four shapes: `{"error": {...}}`, `{"error": "text"}`, flat (`{"object": "error", "message", ...}`) and
`{"detail": ...}`; a list of one of them counts as the first. A code may be a string or an integer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmtop.adapters.providers.hints import text_of

MAX_MESSAGE = 1_000
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What was said, in lower case where it is compared."""

    message: str = ""
    words: frozenset[str] = frozenset()
    """Types, codes and inner codes, lower case: what is stable, unlike the message."""
    status: int | None = None
    """An integer code, where the body has one: OpenRouter reports errors inside a 200 that way."""
    details: object = None
    """Google's list of details, where there is one."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lowered(self) -> str:
        """The message for searching, lower case."""
        return self.message.lower()


def complaint_of(parsed: object) -> Complaint | None:
    """Return what a parsed body complains about; None where it complains about nothing."""
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return None
    error = parsed.get("error")
    if error:
        if isinstance(error, dict):
            return _from_object(error)
        outer = {key: parsed.get(key) for key in ("code", "type", "status")}
        return _from_object({**outer, "message": parsed.get("message") or error})
    if parsed.get("object") == "error" or ("message" in parsed and "choices" not in parsed):
        return _from_object(parsed)
    if (detail := parsed.get("detail")) and "choices" not in parsed:
        return _from_object(detail) if isinstance(detail, dict) else Complaint(message=_detail_text(detail))
    return None


def _from_object(error: Mapping[str, Any]) -> Complaint:
    code = error.get("code")
    inner = error.get("innererror") or error.get("inner_error")
    metadata = error.get("metadata")
    named = [code, error.get("type"), error.get("status")]
    named += [inner.get("code")] if isinstance(inner, dict) else []
    details = error.get("details")
    if isinstance(details, list):
        named += [one.get("reason") for one in details[:20] if isinstance(one, dict)]
    return Complaint(
        message=_message(error),
        words=frozenset(word.lower()[:100] for word in named if isinstance(word, str)),
        status=_status(code) or _status(error.get("status")),
        details=details,
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _message(error: Mapping[str, Any]) -> str:
    for name in ("message", "msg", "detail", "code", "type"):
        if (value := error.get(name)) and isinstance(value, str):
            return text_of(value, MAX_MESSAGE)
    return text_of(dict(error), 200)


def _detail_text(detail: object) -> str:
    if isinstance(detail, list):
        parts = [one.get("msg", "") if isinstance(one, dict) else one for one in detail[:5]]
        return text_of("; ".join(str(part) for part in parts), MAX_MESSAGE)
    return text_of(detail, MAX_MESSAGE)


def _status(code: object) -> int | None:
    if isinstance(code, str) and len(code) == 3 and code.isascii() and code.isdigit():
        code = int(code)
    return code if type(code) is int and 400 <= code <= 599 else None


def page_text(body: bytes) -> str:
    """Return one line about a body that is not JSON: its title if it is a page, else its beginning."""
    start = body[:4_000].lstrip()
    if not start:
        return "an empty body"
    if start.startswith(b"<"):
        title = _TITLE.search(start)
        name = f": {title[1].decode('utf-8', 'replace').strip()}" if title else ""
        return text_of(f"a web page{name}", MAX_MESSAGE)
    return text_of(start[:200].decode("utf-8", "replace"), MAX_MESSAGE)
