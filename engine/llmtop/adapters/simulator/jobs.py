"""One request that was let in: what becomes of it, how long that takes, and sending it. Speaks HTTP."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from aiohttp import web

from llmtop.adapters.simulator import delivery
from llmtop.adapters.simulator.chat_answer import Completion, completion_body, spoil_answer
from llmtop.adapters.simulator.chat_request import ChatCall
from llmtop.adapters.simulator.complaints import error_body
from llmtop.adapters.simulator.dialects import Dialect
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.vocabulary import HARMLESS_FAULTS

Ending = Literal["served", "cut", "spoiled", "abandoned"]

_ERRORS: dict[str, tuple[int, str, str, str | None]] = {
    "http_500": (
        500, "The server had an error while processing your request. Sorry about that!", "server_error", None,
    ),
    "http_503": (
        503, "The engine is currently overloaded, please try again later.", "service_unavailable_error",
        "server_is_overloaded",
    ),
    "http_529": (529, "Overloaded", "overloaded_error", None),
}  # fmt: skip
_PLAIN_FAULTS = frozenset(("truncated", "malformed", "wrong_content_type", "gzip", "cut_gzip"))

_WHOLE_FAULTS = frozenset(("wrong_content_type", "gzip", "cut_gzip"))


@dataclass(frozen=True, slots=True)
class Job:
    """What was decided about a request when it was let in."""

    call: ChatCall
    key: str
    fault: str | None
    completion: Completion | None
    """None: the model is not asked, nothing is billed."""
    cost_pusd: int
    delay_s: float
    number: int
    dialect: Dialect

    @property
    def ending(self) -> Ending:
        """How it ends when the client waits for it."""
        if self.completion is None or (self.fault is not None and self.fault not in HARMLESS_FAULTS):
            return "spoiled"
        return "cut" if self.completion.finish_reason == "length" else "served"


def reply(status: int, body: dict[str, Any] | list[Any], headers: dict[str, str]) -> web.Response:
    """Return a JSON answer."""
    return web.Response(status=status, body=orjson.dumps(body), headers=headers, content_type=delivery.JSON)


async def send(
    request: web.BaseRequest, job: Job, profile: Profile, headers: dict[str, str]
) -> web.StreamResponse:
    """Wait as long as the model takes, and answer as was decided."""
    if job.completion is None:
        return await _send_failure(request, job, profile, headers)
    if job.call.is_streamed:
        return await _send_events(request, job, job.completion, profile, headers)
    if job.fault == "blank_lines":
        response = await delivery.begin_blank_lines(request, headers, job.delay_s)
        await response.write(_body(job, job.completion, profile))
        return response
    if job.delay_s > 0:
        await asyncio.sleep(job.delay_s)
    body = _body(job, job.completion, profile)
    if job.fault == "reset_after_headers":
        return await delivery.reset_after_headers(request, body, headers)
    if job.fault == "cut_body":
        return await delivery.cut_body(request, body, headers)
    if job.fault == "drip":
        return await delivery.drip(request, body, headers, profile)
    if job.fault in _PLAIN_FAULTS:
        return delivery.odd_body(job.fault, body, headers)
    headers["Content-Type"] = delivery.JSON
    return web.Response(body=body, headers=headers)


async def _send_events(
    request: web.BaseRequest, job: Job, completion: Completion, profile: Profile, headers: dict[str, str]
) -> web.StreamResponse:
    """Answer in pieces; what concerns the body as a whole comes at its end."""
    events = job.dialect.events(_answer(job, completion, profile), job.call)
    if job.fault in _WHOLE_FAULTS:
        await asyncio.sleep(job.delay_s)
        return delivery.odd_body(job.fault, b"".join(events), headers, delivery.EVENTS)
    return await delivery.stream(request, events, headers, job.fault, job.delay_s, profile.drip_s)


def _body(job: Job, completion: Completion, profile: Profile) -> bytes:
    return orjson.dumps(_answer(job, completion, profile))


def _answer(job: Job, completion: Completion, profile: Profile) -> dict[str, Any]:
    body = completion_body(profile, job.call, completion, job.number, int(time.time()), job.cost_pusd)
    return job.dialect.answer(spoil_answer(job.fault, body) if job.fault else body)


async def _send_failure(
    request: web.BaseRequest, job: Job, profile: Profile, headers: dict[str, str]
) -> web.StreamResponse:
    await asyncio.sleep(profile.hang_s if job.fault == "hang" else job.delay_s)
    match job.fault:
        case "html_200":
            return delivery.html_page(200)
        case "empty_body":
            return delivery.odd_body("empty_body", b"", headers)
        case "error_in_200":
            error = error_body("Provider returned error", None, None, 502)
            return reply(200, job.dialect.answer(error), headers)
        case kind:
            return failure_of(request, kind or "http_500", job.dialect, headers)


def failure_of(
    request: web.BaseRequest, kind: str, dialect: Dialect, headers: dict[str, str]
) -> web.StreamResponse:
    """Return an error status, a proxy's page, or a reset."""
    if kind in ("http_502", "http_504"):
        return delivery.html_page(int(kind[-3:]))
    if kind in ("reset_before", "hang"):
        return delivery.reset(request)
    status, message, type_, code = _ERRORS[kind]
    return reply(*dialect.failure(status, error_body(message, type_, None, code)), headers)
