"""The batch jobs of one simulated provider: creating, finding, ending them, and working their lines.

What that looks like on the wire is for the modules by API beside this one. All times are seconds of
the batches' own clock: the epoch, `batch_speed` times as fast as the server's.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from llmtop.adapters.simulator.batches.files import Files, StoredFile
from llmtop.adapters.simulator.batches.lines import BadLine, Grammar, Line, Sent, trouble_of
from llmtop.adapters.simulator.batches.record import Api, Batch, Draft
from llmtop.adapters.simulator.batches.timeline import TERMINAL, State, timeline
from llmtop.adapters.simulator.batches.work import Worker, line_call
from llmtop.adapters.simulator.chat_request import ChatCall
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.draws import Draws
from llmtop.adapters.simulator.service import Service

_DAY_S = 86_400.0
_RETENTION_S: Mapping[Api, float] = {"anthropic": 29 * _DAY_S, "gemini": 2 * _DAY_S}
_USUAL_RETENTION_S = 30 * _DAY_S
_MOST_LINES: Mapping[Api, int] = {"anthropic": 100_000, "gemini": 10_000_000, "mistral": 1_000_000}
_USUAL_LINES = 50_000
_AT_ONCE_S = 0.25
"""How long a question about a batch waits for its lines to be worked."""
_LINES_A_TURN = 50


class BatchDesk:
    """All batch jobs and files of one simulated provider."""

    def __init__(self, service: Service, clock: Callable[[], float]) -> None:
        self.service = service
        self.files = Files()
        self._clock = clock
        self._turned_at = clock()
        self._turned_to = time.time()
        self._speed = service.profile.batch_speed
        self._batches: dict[str, Batch] = {}
        self._worker = Worker(service, self.new_file)
        self._grammars: dict[Api, Grammar] = {}
        self._numbers = 0
        self._creations = 0
        self._uploads = 0

    def __repr__(self) -> str:
        return f"BatchDesk({len(self._batches)} batches, {self.files})"

    @property
    def now(self) -> float:
        """The time of the batches."""
        at = self._turned_to + (self._clock() - self._turned_at) * self._speed
        if self._speed != self.service.profile.batch_speed:
            self._turned_at, self._turned_to = self._clock(), at
            self._speed = self.service.profile.batch_speed
        return at

    def reset(self) -> None:
        """Forget all batches and files."""
        for batch in self._batches.values():
            if batch.working is not None:
                batch.working.cancel()
        self._batches.clear()
        self.files.close()
        self._creations = self._uploads = 0

    # -- creating ------------------------------------------------------------------------------

    def upload_troubles(self) -> frozenset[str]:
        """Draw the troubles of one upload."""
        self._uploads += 1
        return self._drawn("upload", self._uploads)

    def creation_troubles(self) -> frozenset[str]:
        """Draw the troubles of one creation and of the batch that may come of it."""
        self._creations += 1
        return self._drawn("batch", self._creations)

    def new_id(self, prefix: str) -> str:
        """Return an id of its own."""
        self._numbers += 1
        return f"{prefix}{self._numbers:024x}"

    def new_file(self, name: str, purpose: str, prefix: str, life_s: float) -> StoredFile:
        """Return an empty file, kept for `life_s`."""
        now = self.now
        return self.files.add(StoredFile(self.new_id(prefix), name, purpose, now, now + life_s))

    def retention_s(self, api: Api) -> float:
        """Return how long results can be read."""
        return self.service.profile.batch_retention_s or _RETENTION_S.get(api, _USUAL_RETENTION_S)

    def most_lines(self, api: Api) -> int:
        """Return how many lines a batch may have."""
        return self.service.profile.batch_max_requests or _MOST_LINES.get(api, _USUAL_LINES)

    async def read(self, grammar: Grammar, source: StoredFile, model: str, version: str) -> Draft:
        """Read the lines of a batch; faulty ones are told in `faults`."""
        draft, digest, seen = Draft(), hashlib.sha256(), set[str]()
        for number, (at, raw) in enumerate(source.lines(), start=1):
            if not raw.strip():
                continue
            if number % _LINES_A_TURN == 0:
                await asyncio.sleep(0)
            digest.update(raw + b"\n")
            try:
                sent = grammar.read(raw)
                if sent.custom_id in seen:
                    raise BadLine("duplicate_custom_id", f"The custom_id {sent.custom_id!r} is used twice.")
            except BadLine as bad:
                fault = {"code": bad.code, "message": bad.message, "param": bad.param, "line": number}
                draft.faults.append(fault)
                continue
            seen.add(sent.custom_id)
            call = self._call(grammar, sent, model, version)
            if call is None and isinstance(sent.body, dict) and isinstance(sent.body.get("model"), str):
                draft.models.add(sent.body["model"])  # a model that is not there is one all the same
            self._add_line(draft, sent.custom_id, at, call)
        draft.digest = digest.digest()
        return draft

    def _call(self, grammar: Grammar, sent: Sent, model: str, version: str) -> ChatCall | None:
        try:
            return line_call(grammar, sent, model, version, self.service)
        except Complaint:
            return None

    def _add_line(self, draft: Draft, custom_id: str, at: int, call: ChatCall | None) -> None:
        if call is None:
            draft.lines.append(Line(custom_id, at, custom_id, 1, None))
            return
        service = self.service
        key = call.prompt.key
        attempt = service.next_try(key)
        trouble = trouble_of(service.profile, service.patterns, call, attempt)
        draft.lines.append(Line(custom_id, at, key, attempt, trouble))
        draft.tokens += call.prompt.tokens
        draft.models.add(call.model)

    def create(
        self,
        api: Api,
        batch_id: str,
        source: StoredFile,
        draft: Draft,
        troubles: frozenset[str],
        *,
        model: str,
        label: Any = None,
        details: Mapping[str, Any] | None = None,
        version: str = "",
        faults: Iterable[Mapping[str, Any]] = (),
    ) -> Batch:
        """Create a batch and book it."""
        profile, now = self.service.profile, self.now
        found = (*faults, *draft.faults)
        window_s = profile.batch_window_s * (2 if api == "gemini" else 1)
        lines = _in_order(draft.lines, profile.batch_order, profile.seed + self._creations)
        stuck = sum(1 for line in lines if line.trouble == "stuck")
        if "expires" in troubles:
            stuck = max(stuck, len(lines) - len(lines) // 2)
        is_faulty = bool(found) or "failed" in troubles
        batch = Batch(
            id=batch_id, api=api, number=self._creations, model=model, source=source, lines=lines,
            label=label, details=details or {}, version=version, troubles=troubles, digest=draft.digest,
            tokens=draft.tokens, faults=found,
            life=timeline(profile, now, len(lines), stuck, window_s, is_faulty=is_faulty),
        )  # fmt: skip
        source.hold()
        self._book(batch)
        self._batches[batch_id] = batch
        return batch

    def _book(self, batch: Batch) -> None:
        books, now = self.service.books, self.now
        books.batches_created[batch.api] += 1
        books.batch_lines += len(batch.lines)
        others = [other for other in self._batches.values() if other.life.state(now) != "failed"]
        books.batches_twice += any(other.digest == batch.digest for other in others)
        keys = {line.key for line in batch.lines}
        live = (other for other in others if other.life.state(now) not in TERMINAL)
        books.batch_overlaps += any(line.key in keys for other in live for line in other.lines)

    def enqueued_tokens(self, api: Api, model: str) -> int:
        """Return the prompt tokens of a model's unfinished batches."""
        now = self.now
        alive = (
            batch
            for batch in self._batches.values()
            if batch.api == api and batch.model == model and batch.life.state(now) not in TERMINAL
        )
        return sum(batch.tokens for batch in alive)

    def is_queue_full(self, api: Api, model: str, tokens: int) -> bool:
        """Whether so many more tokens pass the limit of what may wait."""
        most = self.service.profile.batch_enqueued_tokens
        return bool(most) and self.enqueued_tokens(api, model) + tokens > most

    # -- looking -------------------------------------------------------------------------------

    def find(self, api: Api, batch_id: str) -> Batch | None:
        """Return a batch that can be seen; a young one may not be yet."""
        batch = self._batches.get(batch_id)
        if batch is None or batch.api != api or self._is_young(batch, "young_404"):
            return None
        return batch

    def listed(self, api: Api) -> list[Batch]:
        """Return the batches that the list shows, newest first."""
        shown = [batch for batch in self._batches.values() if batch.api == api]
        return [batch for batch in reversed(shown) if not self._is_young(batch, "listed_late")]

    def _is_young(self, batch: Batch, trouble: str) -> bool:
        age_s = self.now - batch.life.created_at
        return trouble in batch.troubles and age_s < self.service.profile.batch_young_s

    async def state(self, batch: Batch) -> State:
        """Return what is shown of a batch's state; its lines are worked when its end is asked for."""
        state = batch.life.state(self.now)
        if state not in TERMINAL:
            return state
        if batch.outcome is None:
            if batch.working is None:
                batch.working = asyncio.create_task(self._work(batch, state), name=f"work {batch.id}")
            await asyncio.wait({batch.working}, timeout=_AT_ONCE_S)
            if batch.working.done():
                batch.working.result()  # a bug in the work is to be heard, not waited for
            if batch.outcome is None:
                return "finalizing"
        if "back" in batch.troubles and "end" in batch.shown and "back" not in batch.shown:
            batch.shown.add("back")
            return "in_progress"
        batch.shown.add("end")
        return state

    async def _work(self, batch: Batch, state: State) -> None:
        grammar = self._grammars[batch.api]
        batch.outcome = await self._worker.work(batch, state, grammar, self.retention_s(batch.api), self.now)
        batch.source.let_go()

    def teach(self, api: Api, grammar: Grammar) -> None:
        """Say how an API writes its lines."""
        self._grammars[api] = grammar

    def is_kept(self, batch: Batch) -> bool:
        """Whether the results can still be read."""
        return self.now < batch.life.created_at + self.retention_s(batch.api)

    def cancel(self, batch: Batch) -> bool:
        """Ask a batch to stop; False: it has ended before."""
        now = self.now
        if batch.life.state(now) in TERMINAL:
            return False
        batch.life.cancelled_at = min(batch.life.cancelled_at, max(now, batch.life.created_at))
        return True

    def drop(self, batch: Batch) -> None:
        """Delete a batch; what it came to stays in the books."""
        self._batches.pop(batch.id, None)

    def _drawn(self, what: str, number: int) -> frozenset[str]:
        profile = self.service.profile
        if profile.batch_trouble_first and number > profile.batch_trouble_first:
            return frozenset()
        draws = Draws(profile.seed, f"{what} {number}", 1)
        return frozenset(
            kind for kind, share in profile.batch_troubles.items() if draws.uniform(kind) < share
        )


def _in_order(lines: list[Line], order: str, seed: int) -> list[Line]:
    """Return the lines as they are worked: those that get stuck come last."""
    shuffled = list(lines)
    if order == "shuffled":
        Random(seed).shuffle(shuffled)
    return sorted(shuffled, key=lambda line: line.trouble == "stuck")
