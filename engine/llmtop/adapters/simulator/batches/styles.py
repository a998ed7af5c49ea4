"""How the servers that speak OpenAI's format word their files and batch jobs. Pure.

A job is made in OpenAI's words and then translated; a wish for one is translated into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from llmtop.adapters.simulator.batches.grammars import (
    ENDPOINT,
    MistralGrammar,
    OpenAIGrammar,
    TogetherGrammar,
)
from llmtop.adapters.simulator.batches.lines import Grammar
from llmtop.adapters.simulator.batches.record import Api
from llmtop.adapters.simulator.complaints import Complaint, missing
from llmtop.adapters.simulator.dialects import OPENAI, OpenAIDialect
from llmtop.adapters.simulator.houses import HOUSES

_MIB = 1024 * 1024
_TIMES = (
    "created_at", "in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at",
    "cancelling_at", "cancelled_at", "expires_at",
)  # fmt: skip
_MOST_ROWS = 1000


class Style:
    """OpenAI's own ways; the others change what differs."""

    api: Api = "openai"
    purpose = "batch"
    upload_path = "/files"
    has_slow_files = False
    """Whether a file has to be processed before a batch can be made of it."""
    has_two_steps = False
    """Whether a file can also be named first and sent to an address that the answer gives."""
    jobs_path = "/batches"
    most_bytes = 200 * _MIB
    least_h = most_h = 24
    """The windows that a batch may have."""

    @property
    def dialect(self) -> OpenAIDialect:
        """The words of single requests and of errors."""
        return HOUSES.get(self.api, OPENAI)

    @property
    def grammar(self) -> Grammar:
        """How lines are written."""
        return OpenAIGrammar(self.dialect)

    def check_upload(self, fields: Mapping[str, str]) -> None:
        """Raise Complaint where a file came with the wrong words."""
        if "purpose" not in fields:
            raise missing("purpose")

    def file(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of a file."""
        return body

    def wanted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the wish for a job in OpenAI's words. Raises Complaint."""
        for name in ("input_file_id", "endpoint", "completion_window"):
            if not isinstance(body.get(name), str):
                raise missing(name)
        if not self.least_h <= _hours(body["completion_window"]) <= self.most_h:
            raise Complaint(400, "Invalid value: '24h' is supported.", param="completion_window")
        return dict(body)

    def job(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of a job."""
        return body

    def created(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a creation."""
        return job

    def page(self, rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> Any:
        """Return one page of the list of jobs."""
        return cursor_page(rows, query, 20)


class AzureStyle(Style):
    """Azure: times as text, the first state with a capital, counts only once they are known."""

    api: Api = "azure"
    has_slow_files = True

    def wanted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take the endpoint without its version too. Raises Complaint."""
        wanted = super().wanted(body)
        if wanted["endpoint"] == ENDPOINT.removeprefix("/v1"):
            wanted["endpoint"] = ENDPOINT
        return wanted

    def job(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of a job."""
        shown = {**body, **_as_text(body, "+00:00", digits="0")}
        del shown["model"]
        shown.pop("usage", None)
        if shown["status"] == "validating":
            shown["status"] = "Validating"
            shown["request_counts"] = {"total": None, "completed": None, "failed": None}
        return shown


class GroqStyle(Style):
    """Groq: smaller files, longer windows, and a list without pages."""

    api: Api = "groq"
    most_bytes = 100 * _MIB
    most_h = 7 * 24

    def file(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of a file."""
        return {name: body[name] for name in ("id", "object", "bytes", "created_at", "filename", "purpose")}

    def job(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of a job."""
        return {name: value for name, value in body.items() if name not in ("model", "usage")}

    def page(self, rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> Any:
        """Return the whole list."""
        return {"object": "list", "data": list(rows[:_MOST_ROWS])}


class TogetherStyle(Style):
    """Together: words in capitals, a job in an envelope at its creation, no tag, no counts."""

    api: Api = "together"
    purpose = "batch-api"
    upload_path = "/files/upload"
    most_h = 7 * 24
    has_two_steps = True
    most_bytes = 100 * _MIB

    @property
    def grammar(self) -> Grammar:
        """Lines need no method and no url; those that failed have no response."""
        return TogetherGrammar(self.dialect)

    def check_upload(self, fields: Mapping[str, str]) -> None:
        """Raise Complaint where a file came with the wrong words."""
        super().check_upload(fields)
        if "file_name" not in fields:
            raise missing("file_name")
        if fields["purpose"] not in ("batch-api", "fine-tune", "eval"):
            raise Complaint(400, f"invalid purpose: {fields['purpose']}", param="purpose")

    def file(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of a file."""
        kept = {name: body[name] for name in ("id", "object", "bytes", "created_at", "filename", "purpose")}
        return {**kept, "FileType": "jsonl", "Processed": True, "LineCount": 0}

    def wanted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Drop what Together does not know: there is no metadata."""
        known = {name: value for name, value in body.items() if name != "metadata"}
        return super().wanted({"completion_window": "24h", **known})

    def job(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of a job."""
        state = body["status"].upper()
        counts, errors = body["request_counts"], body["errors"]
        done = counts["completed"] + counts["failed"]
        times = _as_text(body, "Z")
        return {
            "id": body["id"],
            "user_id": "user-simulated",
            "input_file_id": body["input_file_id"],
            "file_size_bytes": 0,
            "status": "IN_PROGRESS" if state in ("FINALIZING", "CANCELLING") else state,
            "job_deadline": times["expires_at"],
            "created_at": times["created_at"],
            "endpoint": body["endpoint"],
            "progress": 100.0 * done / counts["total"] if counts["total"] else 0.0,
            "model_id": body["model"],
            "output_file_id": body["output_file_id"],
            "error_file_id": body["error_file_id"],
            "error": errors["data"][0]["message"] if errors else None,
            "completed_at": times.get("completed_at"),
        }

    def created(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a creation: the job in an envelope."""
        return {"job": job, "warning": ""}

    def page(self, rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> Any:
        """Return the whole list, as nothing but a list."""
        return list(rows[:_MOST_ROWS])


class MistralStyle(Style):
    """Mistral: jobs of lists of files, for one model, with words, counts and pages of their own."""

    api: Api = "mistral"
    jobs_path = "/batch/jobs"
    most_bytes = 512 * _MIB

    @property
    def grammar(self) -> Grammar:
        """Lines have an id and a body only."""
        return MistralGrammar(self.dialect)

    def file(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of a file."""
        kept = {name: body[name] for name in ("id", "object", "bytes", "created_at", "filename")}
        sample = "batch_request" if body["purpose"] == "batch" else "batch_result"
        return {
            **kept, "purpose": "batch", "sample_type": sample, "source": "upload", "num_lines": None,
            "mimetype": "application/jsonl", "signature": None,
        }  # fmt: skip

    def wanted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the wish for a job in OpenAI's words. Raises Complaint."""
        files = body.get("input_files")
        if not isinstance(files, list) or len(files) != 1 or not isinstance(files[0], str):
            raise missing("input_files")
        if not isinstance(body.get("model"), str) or not body["model"]:
            raise missing("model")
        if not isinstance(body.get("endpoint"), str):
            raise missing("endpoint")
        hours = body.get("timeout_hours", 24)
        if type(hours) is not int or not 1 <= hours <= 168:
            raise Complaint(400, "Input should be between 1 and 168", param="timeout_hours")
        return {**body, "input_file_id": files[0], "completion_window": f"{hours}h"}

    def job(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of a job."""
        counts, state = body["request_counts"], body["status"]
        faults = body["errors"]["data"] if body["errors"] else []
        ended = (body[f"{word}_at"] for word in ("completed", "failed", "expired", "cancelled"))
        return {
            "id": body["id"],
            "object": "batch",
            "input_files": [body["input_file_id"]],
            "endpoint": body["endpoint"],
            "model": body["model"],
            "agent_id": None,
            "metadata": body["metadata"],
            "output_file": body["output_file_id"],
            "error_file": body["error_file_id"],
            "errors": [{"message": fault["message"], "count": 1} for fault in faults],
            "outputs": None,
            "status": _MISTRAL_STATES[state],
            "created_at": body["created_at"],
            "started_at": body["in_progress_at"],
            "completed_at": next((at for at in ended if at is not None), None),
            "total_requests": counts["total"],
            "completed_requests": counts["completed"] + counts["failed"],
            "succeeded_requests": counts["completed"],
            "failed_requests": counts["failed"],
        }

    def page(self, rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> Any:
        """Return a page by its number, from 0; the oldest first unless it is asked otherwise."""
        ordered = list(rows) if query.get("order_by", "-created") == "-created" else list(reversed(rows))
        size, number = _number(query.get("page_size"), 100), _number(query.get("page"), 0)
        shown = ordered[number * size : (number + 1) * size]
        return {"object": "list", "data": shown, "total": len(ordered)}


_MISTRAL_STATES = {
    "validating": "QUEUED", "in_progress": "RUNNING", "finalizing": "RUNNING", "completed": "SUCCESS",
    "failed": "FAILED", "expired": "TIMEOUT_EXCEEDED", "cancelling": "CANCELLATION_REQUESTED",
    "cancelled": "CANCELLED",
}  # fmt: skip
STYLES: tuple[Style, ...] = (Style(), AzureStyle(), GroqStyle(), TogetherStyle(), MistralStyle())


def cursor_page(rows: Sequence[dict[str, Any]], query: Mapping[str, str], usual: int) -> dict[str, Any]:
    """Return the page after the row that `after` names."""
    after, limit = query.get("after"), _number(query.get("limit"), usual)
    if after is not None:
        at = next((index for index, row in enumerate(rows) if row["id"] == after), len(rows))
        rows = rows[at + 1 :]
    shown = list(rows[: max(1, limit)])
    return {
        "object": "list", "data": shown, "has_more": len(rows) > len(shown),
        "first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None,
    }  # fmt: skip


def _number(text: str | None, usual: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else usual


def _hours(window: str) -> int:
    """Return the hours of `24h` or `7d`; 0: it is neither."""
    number, unit = window[:-1], window[-1:]
    if not (number.isascii() and number.isdigit()) or len(number) > 4:
        return 0
    return int(number) * {"h": 1, "d": 24}.get(unit, 0)


def _as_text(body: Mapping[str, Any], zone: str, digits: str = "") -> dict[str, Any]:
    """Return the times of a job as text, with `digits` more of a second than there should be."""
    times = {name: body.get(name) for name in _TIMES}
    return {
        name: None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}{digits}{zone}"
        for name, at in times.items()
    }
