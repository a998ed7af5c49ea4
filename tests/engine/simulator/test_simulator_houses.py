"""The ways of Azure, Groq, Together and Mistral, where they differ from OpenAI's, in plain HTTP."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from llmtop.adapters.simulator import SimulatedProvider, load_profile

CHAT = {
    "azure": "/azure/openai/v1/chat/completions",
    "groq": "/groq/openai/v1/chat/completions",
    "together": "/together/v1/chat/completions",
    "mistral": "/mistral/v1/chat/completions",
}


def provider(**settings: Any) -> SimulatedProvider:
    return SimulatedProvider(load_profile({"profile": "instant", "batch_s": 0.0, **settings}))


class Client:
    """Sends requests to one server."""

    def __init__(self, session: aiohttp.ClientSession, server: SimulatedProvider) -> None:
        self._session = session
        self._server = server

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any]:
        """Return status and JSON."""
        url = self._server.root_url + path
        async with self._session.request(method, url, headers=headers, allow_redirects=False, **more) as got:
            text = await got.text()
            return got.status, json.loads(text) if text else dict(got.headers)

    async def chat(self, house: str, text: str = "Rain", **more: Any) -> tuple[int, Any]:
        """Ask for a completion."""
        wanted = {"model": "sim-small", "messages": [{"role": "user", "content": text}], **more}
        return await self.ask("POST", CHAT[house], json=wanted)

    async def upload(self, path: str, lines: list[dict[str, Any]], **fields: str) -> tuple[int, Any]:
        """Send a file up."""
        form = aiohttp.FormData(fields)
        content = "".join(json.dumps(line) + "\n" for line in lines)
        form.add_field("file", content, filename="in.jsonl")
        return await self.ask("POST", path, data=form)


LINE = {"custom_id": "a", "body": {"messages": [{"role": "user", "content": "Rain"}], "model": "m"}}
FULL = {**LINE, "method": "POST", "url": "/v1/chat/completions"}
CREATE = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}


@pytest.mark.parametrize("house", CHAT)
async def test_each_answers_and_is_billed_in_the_same_books(
    session: aiohttp.ClientSession, house: str
) -> None:
    async with provider() as server:
        status, answer = await Client(session, server).chat(house)

        assert status == 200
        assert answer["choices"][0]["message"]["content"]
        assert server.books.billed_requests == 1


@pytest.mark.parametrize("life", ["x", "nan", "1e999", "-5", "60", "99999999999", ""])
async def test_a_life_of_a_file_that_makes_no_sense_is_refused_and_leaves_no_file(
    session: aiohttp.ClientSession, life: str
) -> None:
    async with provider() as server:
        client = Client(session, server)
        fields = {"purpose": "batch", "expires_after[seconds]": life}
        status, said = await client.upload("/v1/files", [FULL], **fields)
        _, files = await client.ask("GET", "/v1/files")

    assert (status, said["error"]["param"]) == (400, "expires_after.seconds")
    assert files["data"] == []


async def test_files_and_batches_of_one_are_not_anothers(session: aiohttp.ClientSession) -> None:
    async with provider() as server:
        client = Client(session, server)
        _, file = await client.upload("/groq/openai/v1/files", [FULL], purpose="batch")
        wanted = {**CREATE, "input_file_id": file["id"]}
        _, batch = await client.ask("POST", "/groq/openai/v1/batches", json=wanted)
        elsewhere = await client.ask("POST", "/v1/batches", json=wanted)
        codes = [
            (await client.ask("GET", f"{where}/{what}"))[0]
            for where in ("/groq/openai/v1", "/v1", "/azure/openai/v1")
            for what in (f"files/{file['id']}", f"batches/{batch['id']}")
        ]
        _, files = await client.ask("GET", "/v1/files")

    assert codes == [200, 200, 404, 404, 404, 404]
    assert (elsewhere[0], files["data"]) == (400, [])


async def test_a_file_cannot_be_written_to_where_files_come_whole(session: aiohttp.ClientSession) -> None:
    async with provider() as server:
        client = Client(session, server)
        _, file = await client.upload("/v1/files", [FULL], purpose="batch")
        await client.ask("PUT", f"/v1/files/{file['id']}/bytes?upload_id=x", data=b"more")
        _, kept = await client.ask("GET", f"/v1/files/{file['id']}")

    assert kept["bytes"] == file["bytes"]


async def test_azure_names_filters_keys_and_deployments_its_own_way(session: aiohttp.ClientSession) -> None:
    async with provider(blocked_pattern="bomb", missing_models=["gone"], rate_headers=True) as server:
        client = Client(session, server)
        blocked = await client.chat("azure", "bomb")
        unknown = await client.chat("azure", model="gone")
        _, fine = await client.chat("azure")
        server.change({"require_key": "k-12345678", "faults": {"content_filter": 1.0}})
        refused = await client.chat("azure")
        filtered = await client.ask(
            "POST",
            "/azure/openai/deployments/dep/chat/completions?api-version=2025-04-01-preview",
            headers={"api-key": "k-12345678"},
            json={"messages": [{"role": "user", "content": "Snow"}]},
        )

    assert blocked[0] == 400
    assert blocked[1]["error"]["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    assert (unknown[0], unknown[1]["error"]["code"]) == (404, "DeploymentNotFound")
    assert fine["choices"][0]["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    assert (refused[0], refused[1]["error"]["code"]) == (401, "401")
    assert filtered[1]["model"] == "dep"
    assert filtered[1]["choices"][0]["content_filter_results"]["hate"]["filtered"] is True


async def test_azure_tells_limits_in_whole_seconds_and_unknown_ones_as_minus_one(
    session: aiohttp.ClientSession,
) -> None:
    async with provider(requests_per_minute=60, rate_headers=True) as server:
        url = server.root_url + CHAT["azure"]
        wanted = {"model": "m", "messages": [{"role": "user", "content": "Rain"}]}
        async with session.post(url, json=wanted) as answer:
            headers = answer.headers

    assert headers["x-ratelimit-limit-requests"] == "60"
    assert headers["x-ratelimit-reset-requests"].isdigit()
    assert headers["x-ratelimit-remaining-tokens"] == "-1"


async def test_a_batch_of_azure_has_times_as_text_and_a_capital_at_first(
    session: aiohttp.ClientSession,
) -> None:
    async with provider() as server:
        client = Client(session, server)
        _, file = await client.upload("/azure/openai/v1/files", [FULL], purpose="batch")
        wanted = {**CREATE, "endpoint": "/chat/completions", "input_file_id": file["id"]}
        status, batch = await client.ask("POST", "/azure/openai/v1/batches", json=wanted)

    assert (status, batch["status"], batch["endpoint"]) == (200, "Validating", "/v1/chat/completions")
    assert batch["created_at"].endswith("+00:00")
    assert batch["request_counts"] == {"total": None, "completed": None, "failed": None}


async def test_groq_has_longer_windows_and_a_list_without_pages(session: aiohttp.ClientSession) -> None:
    async with provider() as server:
        client = Client(session, server)
        _, file = await client.upload("/groq/openai/v1/files", [FULL], purpose="batch")
        wanted = {**CREATE, "input_file_id": file["id"]}
        long = await client.ask("POST", "/groq/openai/v1/batches", json=wanted | {"completion_window": "7d"})
        odd = await client.ask("POST", "/groq/openai/v1/batches", json=wanted | {"completion_window": "1h"})
        _, page = await client.ask("GET", "/groq/openai/v1/batches")
        _, answer = await client.chat("groq")

    assert (long[0], long[1]["completion_window"], odd[0]) == (200, "7d", 400)
    assert set(page) == {"object", "data"}
    assert set(file) == {"id", "object", "bytes", "created_at", "filename", "purpose"}
    assert answer["x_groq"]["id"]
    assert answer["usage"]["queue_time"]


async def test_together_takes_files_at_its_own_address_or_in_two_steps(
    session: aiohttp.ClientSession,
) -> None:
    async with provider() as server:
        client = Client(session, server)
        words = {"purpose": "batch-api", "file_name": "in.jsonl"}
        at_once = await client.upload("/together/v1/files/upload", [LINE], **words)
        unnamed = await client.upload("/together/v1/files/upload", [LINE], purpose="batch-api")
        as_openai = await client.upload("/together/v1/files/upload", [LINE], **(words | {"purpose": "batch"}))
        begun = await client.ask(
            "POST", "/together/v1/files", data=aiohttp.FormData(words, default_to_multipart=True)
        )
        where = begun[1]["Location"].removeprefix(server.root_url)
        await client.ask("PUT", where, data=json.dumps(LINE).encode())
        named = begun[1]["X-Together-File-Id"]
        finished = await client.ask("POST", f"/together/v1/files/{named}/preprocess")

        assert (at_once[0], unnamed[0], as_openai[0]) == (200, 400, 400)
        assert (begun[0], finished[0]) == (302, 200)
        assert finished[1]["bytes"] == len(json.dumps(LINE))
        assert server.books.batch_uploads == 2


async def test_a_job_of_together_stands_in_an_envelope_once_and_shows_no_tag(
    session: aiohttp.ClientSession,
) -> None:
    async with provider(batch_lines={"http_400": 1.0}) as server:
        client = Client(session, server)
        words = {"purpose": "batch-api", "file_name": "in.jsonl"}
        _, file = await client.upload("/together/v1/files/upload", [LINE], **words)
        wanted = {"endpoint": CREATE["endpoint"], "input_file_id": file["id"], "metadata": {"a": "b"}}
        _, created = await client.ask("POST", "/together/v1/batches", json=wanted)
        job: dict[str, Any] = {}
        while job.get("status") != "COMPLETED":
            _, job = await client.ask("GET", f"/together/v1/batches/{created['job']['id']}")
        _, listed = await client.ask("GET", "/together/v1/batches")
        _, error = await client.ask("GET", f"/together/v1/files/{job['error_file_id']}/content")

    assert (created["job"]["status"], created["warning"]) == ("VALIDATING", "")
    assert "metadata" not in job
    assert listed == [job]
    assert set(error) == {"custom_id", "error"}


async def test_together_stops_with_eos_and_forbids_what_is_too_long(session: aiohttp.ClientSession) -> None:
    async with provider(context_tokens=50) as server:
        client = Client(session, server)
        _, answer = await client.chat("together")
        status, _ = await client.chat("together", "Rain " * 100)

    assert (answer["choices"][0]["finish_reason"], status) == ("eos", 403)


async def test_mistral_has_flat_errors_and_knows_its_own_fields_only(session: aiohttp.ClientSession) -> None:
    async with provider(missing_models=["gone"], requests_per_minute=4) as server:
        client = Client(session, server)
        unknown = await client.chat("mistral", model="gone")
        odd = await client.chat("mistral", max_completion_tokens=5)
        fine = await client.chat("mistral", random_seed=3, max_tokens=50)
        while (refused := await client.chat("mistral"))[0] == 200:
            pass

    assert (unknown[0], unknown[1]["object"]) == (404, "error")
    assert (odd[0], odd[1]["detail"][0]["loc"]) == (422, ["body", "max_completion_tokens"])
    assert fine[0] == 200
    assert (refused[0], "error" in refused[1]) == (429, False)


async def test_a_job_of_mistral_names_one_model_for_all_lines(session: aiohttp.ClientSession) -> None:
    bare = {"custom_id": "a", "body": {"messages": [{"role": "user", "content": "Rain"}]}}
    async with provider() as server:
        client = Client(session, server)
        _, file = await client.upload("/mistral/v1/files", [bare], purpose="batch")
        wanted = {"endpoint": CREATE["endpoint"], "input_files": [file["id"]], "metadata": {"run": "r1"}}
        nobody = await client.ask("POST", "/mistral/v1/batch/jobs", json=wanted)
        _, job = await client.ask("POST", "/mistral/v1/batch/jobs", json={**wanted, "model": "sim-large"})
        assert job["status"] == "QUEUED"
        while job["status"] != "SUCCESS":
            _, job = await client.ask("GET", f"/mistral/v1/batch/jobs/{job['id']}")
        _, row = await client.ask("GET", f"/mistral/v1/files/{job['output_file']}/content")
        _, page = await client.ask("GET", "/mistral/v1/batch/jobs?page=1&page_size=1")

    assert nobody[0] == 422
    assert (job["metadata"], job["succeeded_requests"]) == ({"run": "r1"}, 1)
    assert row["response"]["body"]["model"] == "sim-large"
    assert (page["data"], page["total"]) == ([], 1)
