"""One simulated provider at work: a request's way from its arrival to its answer, and the books of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from aiohttp import web

from llmtop.adapters.simulator import complaints, delivery
from llmtop.adapters.simulator.admission import Admission
from llmtop.adapters.simulator.books import Books
from llmtop.adapters.simulator.chat_answer import Completion, complete
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.dialects import Dialect
from llmtop.adapters.simulator.draws import Draws
from llmtop.adapters.simulator.faults import Faults
from llmtop.adapters.simulator.jobs import Ending, Job, reply, send
from llmtop.adapters.simulator.latency import Load, service_s
from llmtop.adapters.simulator.packs import answered_ids
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.streams import gemini_events
from llmtop.adapters.simulator.usage import PrefixCache, Prices
from llmtop.adapters.simulator.vocabulary import UNBILLED_FAULTS

_KEY_HEADERS = ("x-api-key", "x-goog-api-key", "api-key")
_UNDECLARED_TOKENS = 256
"""Output that a request without a maximum takes of the tokens a minute."""


class Service:
    """The provider behind the HTTP server. One event loop; `clock` counts seconds and never goes back."""

    def __init__(self, profile: Profile, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.books = Books()
        self._admission = Admission(profile, clock())
        self._tries: dict[str, int] = {}
        self._number = 0
        self._first_at: float | None = None
        self._prefixes = PrefixCache(profile.cached_prefix_tokens)
        self._obey(profile)

    def __repr__(self) -> str:
        return f"Service({self.profile.name}, {self._admission}, {self.books.received} received)"

    def change(self, profile: Profile) -> None:
        """Obey other settings from now on."""
        if profile.cached_prefix_tokens != self.profile.cached_prefix_tokens:
            self._prefixes = PrefixCache(profile.cached_prefix_tokens)
        self._admission.change(profile, self._clock())
        self._obey(profile)

    def reset(self) -> None:
        """Begin books, schedules, limits and tries anew; what is in flight stays in flight."""
        in_flight = self.books.in_flight
        self.books = Books(received=in_flight, in_flight=in_flight, max_in_flight=in_flight)
        self._admission.answered = 0
        self._admission.start(self._clock())
        self._tries.clear()
        self._first_at = None
        self._prefixes = PrefixCache(self.profile.cached_prefix_tokens)

    def _obey(self, profile: Profile) -> None:
        self.profile = profile
        self.patterns = Patterns.of(profile)
        self._faults = Faults(profile, self.patterns)
        self._load = Load(profile)
        self._prices = Prices(profile)

    async def chat(
        self, request: web.BaseRequest, dialect: Dialect, model: str = "", *, is_streamed: bool = False
    ) -> web.StreamResponse:
        """Answer one request for a completion. `model`, `is_streamed`: where the address says so."""
        profile = self.profile
        self._number += 1
        headers = {dialect.id_header: f"req_{self._number:024x}"}
        raw = await request.read()
        now = self._clock()
        self._arrive(now)
        try:
            self.check_key(request)
            call = dialect.parse(raw, request.headers, model, profile, self.patterns)
        except Complaint as complaint:
            self.books.rejected[complaint.reason] += 1
            status, said = dialect.error(complaint)
            if is_streamed and status == 200:
                return await delivery.stream(request, gemini_events(said), headers, None, 0.0, 0.0)
            return reply(status, said, headers)
        if is_streamed:
            call = replace(call, is_streamed=True)
        tokens = call.prompt.tokens
        if profile.token_charge == "declared":
            tokens += call.max_tokens or _UNDECLARED_TOKENS
        refusal = self._admission.admit(now, tokens)
        if profile.rate_headers:
            headers.update(dialect.rate_headers(self._admission, now, time.time()))
        if refusal is None:
            return await self._work(request, call, headers, now, dialect)
        status, body, hints = dialect.refuse(profile, refusal, call.model, time.time())
        self.books.refused[refusal.cause] += 1
        self.books.status_429 += status == 429
        headers.update(hints)
        return reply(status, body, headers)

    def check_key(self, request: web.BaseRequest) -> None:
        """Raise Complaint where the profile wants a key and the request has not got it."""
        wanted = self.profile.require_key
        if not wanted:
            return
        key = presented_key(request)
        if not key:
            raise complaints.no_key()
        if key != wanted:
            raise complaints.wrong_key(key, is_echoed=self.profile.echo_key)

    def outage(self) -> str | None:
        """Return the fault that a call about files or batch jobs meets at this moment; None: none."""
        now = self._clock()
        self._number += 1
        draws = Draws(self.profile.seed, f"call {self._number}", 1)
        return self._faults.outage(draws, now - self._begin(now))

    def next_try(self, key: str) -> int:
        """Count another try of a prompt, from 1; `answered` begins anew."""
        self._tries[key] = self._tries.get(key, 0) + 1
        return self._tries[key]

    def answered(self, key: str) -> None:
        """The next time this prompt comes it is a new question, and the table of tries stays small."""
        self._tries.pop(key, None)

    def complete_line(self, call: ChatCall, draws: Draws) -> tuple[Completion, int, int]:
        """Answer a line of a batch; return also its price, and a number of its own."""
        cached = self._prefixes.cached_tokens(call.model, call.prompt)
        completion = complete(self.profile, call, draws, cached)
        full = self._prices.cost_pusd(completion.tokens)
        self._number += 1
        return completion, round(full * (1 - self.profile.batch_discount)), self._number

    def _arrive(self, now: float) -> None:
        self.books.arrive(now - self._begin(now))

    def _begin(self, now: float) -> float:
        """Let the schedules begin at the first request; return when that was."""
        if self._first_at is None:
            self._first_at = now
            self._admission.start(now)
        return self._first_at

    async def _work(
        self,
        request: web.BaseRequest,
        call: ChatCall,
        headers: dict[str, str],
        now: float,
        dialect: Dialect,
    ) -> web.StreamResponse:
        """Answer a request that was let in; whatever happens, it is let out and booked once.

        A plain answer is booked before its first byte leaves, so that a client that asks again at
        once finds its place free.
        """
        self.books.begin()
        self.books.pack_sizes[max(1, len(call.prompt.items))] += 1
        job = self._plan(call, now, dialect)
        ending: Ending = "abandoned"
        try:
            response = await send(request, job, self.profile, headers)
            ending = job.ending
        except ConnectionError:
            # The client left while it was written to; aiohttp notices it at this answer.
            response = web.Response()
        finally:
            self._settle(job, ending)
        return response

    def _plan(self, call: ChatCall, now: float, dialect: Dialect) -> Job:
        """Decide what becomes of a request: all chance is drawn from its prompt and try."""
        profile, key = self.profile, call.prompt.key
        attempt = self.next_try(key)
        draws = Draws(profile.seed, key, attempt)
        fault = self._faults.kind_for(call.prompt, draws, attempt, now - (self._first_at or now))
        if fault:
            self.books.faults[fault] += 1
        if fault in UNBILLED_FAULTS:
            return Job(call, key, fault, None, 0, profile.fault_latency_s, self._number, dialect)
        cached = self._prefixes.cached_tokens(call.model, call.prompt)
        completion = complete(profile, call, draws, cached)
        tokens = completion.tokens
        items = max(1, len(call.prompt.items))
        alone_s = service_s(profile, draws, items, tokens.prompt, tokens.completion)
        if fault == "slow":
            alone_s *= profile.slow_factor
        delay_s = self._load.delay_s(now, alone_s, self._admission.in_flight)
        cost_pusd = self._prices.cost_pusd(tokens)
        return Job(call, key, fault, completion, cost_pusd, delay_s, self._number, dialect)

    def _settle(self, job: Job, ending: Ending) -> None:
        books, profile = self.books, self.profile
        used = 0
        books.in_flight -= 1
        if ending == "served":
            self._serve(job)
        elif ending == "cut":
            books.cut += 1
        elif ending == "spoiled":
            books.spoiled += 1
        else:
            books.abandoned += 1
        if job.completion is not None and (ending != "abandoned" or profile.bill_abandoned):
            books.bill(job.completion.tokens, job.cost_pusd)
            used = job.completion.tokens.completion
            self._admission.answered += 1
        self._admission.release(self._clock(), -used if profile.token_charge == "actual" else 0)

    def _serve(self, job: Job) -> None:
        self.books.serve(self.ids_served(job.call, job.completion, job.key))
        self.answered(job.key)

    def ids_served(self, call: ChatCall, completion: Completion | None, key: str) -> Sequence[str]:
        """Return the ids that a good answer answers, as the books count them; `key`: where it has no ids."""
        prompt, profile = call.prompt, self.profile
        if not profile.track_ids:
            return ()
        ids = prompt.ids or (key,)
        if len(prompt.items) > 1 and (profile.pack_trouble or profile.poison_pattern) and completion:
            return answered_ids(completion.content, ids)
        return ids


def with_seed(profile: Profile, seed: int | None) -> Profile:
    """Return the profile with this seed; None: its own."""
    return profile if seed is None else replace(profile, seed=seed)


def presented_key(request: web.BaseRequest) -> str:
    """Return the key of a request, in any dialect's way; `x-api-key` wins over a bearer's."""
    headers = request.headers
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    named = next((headers[name] for name in _KEY_HEADERS if headers.get(name)), request.query.get("key"))
    return (named or bearer).strip()
