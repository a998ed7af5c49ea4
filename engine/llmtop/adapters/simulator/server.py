"""The simulated provider as an HTTP server on loopback: for tests, demos, benchmarks and `llmtop simulate`.

    async with SimulatedProvider(profile) as server:
        ...  # talk to server.base_url, read server.books

Provider: OpenAI's POST /v1/chat/completions, /v1/files, /v1/batches and GET /v1/models (also without
/v1), Anthropic's /v1/messages, /v1/messages/batches and models, Gemini's :generateContent,
:batchGenerateContent, batches, files and models under /v1beta and, where the request is one of Gemini's,
/v1; servers that speak OpenAI's format under paths of their own (`houses`).
Simulator: GET /_sim/books, GET and POST /_sim/settings, POST /_sim/reset.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Protocol

import orjson
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from llmtop.adapters.simulator import complaints
from llmtop.adapters.simulator.anthropic_words import ANTHROPIC
from llmtop.adapters.simulator.batches.anthropic_api import AnthropicBatches
from llmtop.adapters.simulator.batches.desk import BatchDesk
from llmtop.adapters.simulator.batches.gemini_api import GeminiBatches
from llmtop.adapters.simulator.batches.openai_api import OpenAIBatches
from llmtop.adapters.simulator.batches.styles import STYLES
from llmtop.adapters.simulator.books import Books
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.counting import generate_tokens, message_tokens
from llmtop.adapters.simulator.dialects import OPENAI, Dialect
from llmtop.adapters.simulator.gemini_words import GEMINI
from llmtop.adapters.simulator.houses import visit_of
from llmtop.adapters.simulator.jobs import failure_of, reply
from llmtop.adapters.simulator.models import model_body, models_body
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.profiles import changed
from llmtop.adapters.simulator.responses import RESPONSES
from llmtop.adapters.simulator.service import Service, with_seed
from llmtop.errors import ConfigError, UsageError

HOST = "127.0.0.1"
_MOST_BODY_BYTES = 64 * 1024 * 1024
_KEEP_ALIVE_S = 3600.0
_SHUTDOWN_S = 0.02
"""Until what is in flight is aborted; to aiohttp 0 would mean for ever."""

_GENERATE = re.compile(
    r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<what>streamGenerateContent|generateContent|countTokens)"
)

_MODEL = re.compile(r"(?:/v1(?:beta)?)?/models/(?P<model>[^:]+)")

_Route = Callable[[web.BaseRequest, Dialect], Awaitable[web.StreamResponse]]


class BatchApi(Protocol):
    """Files and batch jobs of one API."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Answer; None: it is not ours. Raises Complaint."""


class SimulatedProvider:
    """A provider for as long as the `async with` lasts; leaving it aborts what is in flight.

    `clock` (monotonic seconds) drives limits and schedules; latency is slept on the running loop.
    `seed` stands in for the profile's own.
    """

    def __init__(
        self,
        profile: Profile,
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
        seed: int | None = None,
    ) -> None:
        self._port = port
        self._service = Service(with_seed(profile, seed), clock)
        self._desk = BatchDesk(self._service, clock)
        self._batches: dict[str, BatchApi] = {
            **{style.api: OpenAIBatches(self._desk, style) for style in STYLES},
            "anthropic": AnthropicBatches(self._desk),
            "gemini": GeminiBatches(self._desk),
        }
        self._runner: web.ServerRunner | None = None
        self._routes: dict[tuple[str, str], _Route] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/messages"): self._chat,
            ("POST", "/v1/messages/count_tokens"): self._count,
            ("POST", "/v1/responses"): self._respond,
            ("POST", "/chat/completions"): self._chat,
            ("GET", "/v1/models"): self._models,
            ("GET", "/v1beta/models"): self._models,
            ("GET", "/models"): self._models,
            ("GET", "/_sim/books"): self._show_books,
            ("GET", "/_sim/settings"): self._show_settings,
            ("POST", "/_sim/settings"): self._change_settings,
            ("POST", "/_sim/reset"): self._reset,
        }

    def __repr__(self) -> str:
        state = self.base_url if self._runner else "closed"
        return f"SimulatedProvider({state}, {self._service})"

    @property
    def base_url(self) -> str:
        """What a client takes for `provider.base_url`."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def root_url(self) -> str:
        """Where `/_sim/...` is."""
        return f"http://{HOST}:{self._port}"

    @property
    def books(self) -> Books:
        """What happened so far, by the provider's own count."""
        return self._service.books

    @property
    def profile(self) -> Profile:
        """The settings that hold now."""
        return self._service.profile

    def change(self, settings: Mapping[str, Any]) -> None:
        """Obey these settings from now on, as `POST /_sim/settings` does. Raises ConfigError."""
        self._service.change(changed(self._service.profile, settings))

    def reset(self) -> None:
        """Begin books, schedules, limits and tries anew; batches and files are gone."""
        self._service.reset()
        self._desk.reset()

    async def __aenter__(self) -> SimulatedProvider:
        server = web.Server(
            self._handle,
            request_factory=_request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE_S,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        site = web.TCPSite(runner, HOST, self._port, backlog=4096)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise UsageError(
                f"port {self._port}", f"cannot be opened ({error.strerror})", "Choose another port, or 0."
            ) from None
        self._port = runner.addresses[0][1]
        self._runner = runner
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        self._desk.reset()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        visit = visit_of(request.path)
        if visit is None:
            return await self._answer(request, dialect_of(request), "")
        here = request.clone(rel_url=request.rel_url.with_path(visit.path, keep_query=True))
        return await self._answer(here, visit.dialect, visit.model)

    async def _answer(self, request: web.BaseRequest, dialect: Dialect, model: str) -> web.StreamResponse:
        """Answer in a dialect. `model`: where the address names it."""
        route = self._routes.get((request.method, request.path))
        try:
            if model and route == self._chat:
                return await self._service.chat(request, dialect, model)
            if route is not None:
                return await route(request, dialect)
            answer = await self._other(request, dialect)
        except web.HTTPRequestEntityTooLarge:
            return reply(*dialect.error(complaints.too_large()), {})
        except Complaint as complaint:
            return reply(*dialect.error(complaint), {})
        if answer is not None:
            return answer
        is_known = any(path == request.path for _, path in self._routes)
        complain = complaints.wrong_method if is_known else complaints.unknown_url
        return reply(*dialect.error(complain(request.method, request.path)), {})

    async def _other(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse | None:
        """Answer an address with a name in it; None: there is no such address. Raises Complaint."""
        generate = _GENERATE.fullmatch(request.path)
        if generate is not None and request.method == "POST":
            return await self._generate(request, generate["model"], generate["what"])
        # The address of a running upload is a secret itself, and needs no key.
        if "upload_id" not in request.query:
            self._service.check_key(request)
        if request.method == "GET" and (named := _MODEL.fullmatch(request.path)):
            return reply(200, model_body(dialect.name, named["model"], self.profile.models), {})
        outage = self._service.outage()
        if outage is not None:
            return failure_of(request, outage, dialect, {})
        return await self._batches[dialect.name].handle(request)

    async def _respond(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        if dialect.name in ("together", "mistral"):
            return reply(*dialect.error(complaints.unknown_url(request.method, request.path)), {})
        return await self._service.chat(request, RESPONSES)

    async def _generate(self, request: web.BaseRequest, model: str, what: str) -> web.StreamResponse:
        service = self._service
        if what == "countTokens":
            service.check_key(request)
            raw = await request.read()
            return reply(200, generate_tokens(raw, model, service.profile, service.patterns), {})
        return await service.chat(request, GEMINI, model, is_streamed=what != "generateContent")

    async def _count(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        service = self._service
        service.check_key(request)
        raw = await request.read()
        return reply(200, message_tokens(raw, request.headers, service.profile, service.patterns), {})

    async def _chat(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        return await self._service.chat(request, dialect)

    async def _models(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        self._service.check_key(request)
        return reply(200, models_body(dialect.name, self.profile.models), {})

    async def _show_books(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        return reply(200, self.books.as_json(has_ids=request.query.get("ids") == "1"), {})

    async def _show_settings(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        return reply(200, _settings(self.profile), {})

    async def _change_settings(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        try:
            wanted = orjson.loads(await request.read())
            if not isinstance(wanted, dict):
                raise ConfigError("settings", "are not a JSON object", 'Send {"setting": value}.')
            self.change(wanted)
        except orjson.JSONDecodeError as error:
            return reply(400, {"error": {"message": f"not JSON: {error}"}}, {})
        except ConfigError as error:
            return reply(400, {"error": {"message": str(error)}}, {})
        return reply(200, _settings(self.profile), {})

    async def _reset(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        self.reset()
        return reply(200, {"reset": True}, {})


def dialect_of(request: web.BaseRequest) -> Dialect:
    """Return whose words a request speaks: its address tells, and for those of two its headers."""
    path, headers = request.path, request.headers
    if path.startswith("/v1/messages"):
        return ANTHROPIC
    if path.endswith("/chat/completions"):
        return OPENAI
    if "anthropic-version" in headers:
        return ANTHROPIC
    is_google = path.startswith(("/v1beta/", "/upload/", "/download/")) or ":" in path
    if is_google or "x-goog-api-key" in headers or "x-goog-api-client" in headers or "key" in request.query:
        return GEMINI
    return OPENAI


def _settings(profile: Profile) -> dict[str, Any]:
    shown = asdict(profile)
    shown["fault_steps"] = [step._asdict() for step in profile.fault_steps]
    shown["capacity_steps"] = [step._asdict() for step in profile.capacity_steps]
    if profile.require_key:
        shown["require_key"] = "***"
    return shown


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """A request whose body may be larger than aiohttp's 1 MiB."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MOST_BODY_BYTES)
