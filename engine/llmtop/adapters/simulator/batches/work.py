"""Working the lines of a batch job: answers, errors, money, and the files of the results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from llmtop.adapters.simulator.batches.files import StoredFile
from llmtop.adapters.simulator.batches.lines import (
    ANSWER_TROUBLES,
    Grammar,
    Line,
    LineEnd,
    Sent,
    answer_end,
    error_end,
    failed_end,
)
from llmtop.adapters.simulator.batches.record import Batch, Outcome
from llmtop.adapters.simulator.batches.timeline import State
from llmtop.adapters.simulator.chat_request import ChatCall
from llmtop.adapters.simulator.complaints import Complaint, invalid_value
from llmtop.adapters.simulator.draws import Draws
from llmtop.adapters.simulator.service import Service

NewFile = Callable[[str, str, str, float], StoredFile]
"""Name, purpose, prefix of the id, seconds that it is kept."""

_LINES_A_TURN = 25
_SPOILING = ANSWER_TROUBLES - {"missing_usage"} | {"missing", "malformed"}
"""Troubles that leave nothing of use of an answer that was paid for."""


def line_call(grammar: Grammar, sent: Sent, model: str, version: str, service: Service) -> ChatCall:
    """Return the request of a line; an answer in pieces cannot be had in a batch. Raises Complaint."""
    call = grammar.call(sent, model, version, service.profile, service.patterns)
    if call.is_streamed:
        raise invalid_value("stream", "stream: a request in a batch cannot be streamed.")
    return call


class Worker:
    """Works batches whose end has come."""

    def __init__(self, service: Service, new_file: NewFile) -> None:
        self._service = service
        self._new_file = new_file

    async def work(
        self, batch: Batch, state: State, grammar: Grammar, retention_s: float, now: float
    ) -> Outcome:
        """Work the lines that are done by the end, and write down what became of the others.

        An expired or failed job of Gemini returns nothing at all, whatever was done, and bills nothing.
        """
        if state == "failed" or (batch.api == "gemini" and state != "completed"):
            self._service.books.batch_lines_undone += len(batch.lines)
            return Outcome(None, None)
        results = _Results(
            batch, grammar, self._new_file, max(0.0, batch.life.created_at + retention_s - now)
        )
        done = batch.life.done
        for index, line in enumerate(batch.lines):
            if index % _LINES_A_TURN == 0:
                await asyncio.sleep(0)
            if index < done:
                end = self._end(batch, line, grammar, results.outcome, now)
                results.add(end, line.trouble)
            else:
                self._service.books.batch_lines_undone += 1
                results.give_up(line, is_cancelled=state == "cancelled")
        return results.outcome

    def _end(self, batch: Batch, line: Line, grammar: Grammar, outcome: Outcome, now: float) -> LineEnd:
        service, dialect = self._service, grammar.dialect
        books, profile = service.books, service.profile
        sent = grammar.read(batch.source.line_at(line.at))
        try:
            call = line_call(grammar, sent, batch.model, batch.version, service)
        except Complaint as complaint:
            books.batch_lines_failed += 1
            return failed_end(dialect, line.custom_id, complaint)
        failed = error_end(dialect, line)
        if failed is not None:
            books.batch_lines_failed += 1
            return failed
        made = service.complete_line(call, Draws(profile.seed, line.key, line.attempt))
        tokens = made[0].tokens
        books.bill_line(tokens, made[1])
        outcome.input_tokens += tokens.prompt
        outcome.output_tokens += tokens.completion
        if line.trouble in _SPOILING or made[0].finish_reason == "length":
            books.batch_lines_failed += 1
        else:
            books.serve_line(service.ids_served(call, made[0], line.key))
            service.answered(line.key)
        return answer_end(dialect, profile, call, line, made, now)


class _Results:
    """The files of one batch while they are written."""

    def __init__(self, batch: Batch, grammar: Grammar, new_file: NewFile, kept_s: float) -> None:
        self._batch = batch
        self._grammar = grammar
        self._new_file = new_file
        self._kept_s = kept_s
        self._number = 0
        self.outcome = Outcome(None, None)

    def add(self, end: LineEnd, trouble: str | None) -> None:
        """Write the end of a line, with its trouble."""
        is_good = end.kind == "answer"
        self.outcome.answered += is_good
        self.outcome.failed += not is_good
        if trouble == "missing":
            return
        written = self._write(end)
        if trouble == "malformed":
            written = written[: len(written) // 2] + b"\n"
        self._append(end, written)
        if trouble == "duplicate":
            self._append(end, written)
        elif trouble == "conflicting":
            self._append(end, written.replace(b"The ", b"Another ", 1).replace(b" is ", b" was ", 1))
        elif trouble == "unknown":
            stranger = LineEnd("nobody-sent-this", end.kind, end.status, end.body)
            self._append(stranger, self._write(stranger))

    def give_up(self, line: Line, *, is_cancelled: bool) -> None:
        """Write that a line was not done; OpenAI's format says nothing of those of a cancelled batch."""
        if is_cancelled:
            self.outcome.cancelled += 1
            end = LineEnd(line.custom_id, "cancelled")
            if self._grammar.has_error_file:
                return
        else:
            self.outcome.expired += 1
            end = LineEnd(line.custom_id, "expired")
        self._append(end, self._write(end))

    def _write(self, end: LineEnd) -> bytes:
        self._number += 1
        return self._grammar.write(end, self._batch.number * 1_000_000 + self._number)

    def _append(self, end: LineEnd, written: bytes) -> None:
        is_apart = self._grammar.has_error_file and end.kind != "answer"
        outcome = self.outcome
        if is_apart:
            outcome.errors = outcome.errors or self._file("error")
            outcome.errors.append(written)
        else:
            outcome.output = outcome.output or self._file("output")
            outcome.output.append(written)

    def _file(self, what: str) -> StoredFile:
        name = f"{self._batch.id}_{what}.jsonl"
        file = self._new_file(name, "batch_output", self._grammar.prefix, self._kept_s)
        file.owner = self._batch.api
        return file
