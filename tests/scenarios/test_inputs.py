"""Every form of input goes through a whole run, and standard input outlives a kill."""

from __future__ import annotations

import gzip
import json

from whole_runs import Desk, each_once, simulator, until

LINES = "".join(json.dumps({"id": f"m-{n}", "text": f"rain {n}"}) + "\n" for n in range(12)).encode()
IDS = [f"m-{n}" for n in range(12)]


async def test_standard_input_is_kept_and_the_same_bytes_go_on_after_a_kill(desk: Desk) -> None:
    async with simulator(latency_s=0.1) as server:
        config = desk.config(
            server.base_url, execution={"concurrency": 1}, input={"path": "-", "format": "jsonl"}
        )
        process = await desk.started("run", config, stdin=-1)
        assert process.stdin is not None
        process.stdin.write(LINES)
        process.stdin.close()
        await until(lambda: server.books.served >= 3)
        process.kill()
        await process.communicate()
        server.change({"latency_s": 0.0})

        said = await desk.llmtop("run", config, stdin=LINES)

        assert said.code == 0, said.err
        assert "continues run" in said.err
        assert desk.written_ids() == each_once(IDS)
        assert server.books.served <= len(IDS) + 1
        (kept,) = desk.home_folder.glob("runs/*/input")
        assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (LINES, 0o600)


async def test_a_signal_while_standard_input_says_nothing_ends_the_program(desk: Desk) -> None:
    async with simulator() as server:
        config = desk.config(server.base_url, input={"path": "-", "format": "jsonl"})
        process = await desk.started("run", config, stdin=-1)
        await until(lambda: any(desk.home_folder.glob("runs/*/input")))

        process.terminate()

        assert await process.wait() == 143


async def test_gzip_csv_and_messages_go_through_a_run(desk: Desk) -> None:
    (desk.folder / "items.jsonl.gz").write_bytes(gzip.compress(LINES))
    (desk.folder / "items.csv").write_text('id,text\nc-1,"rain, rain"\nc-2,"a ""quoted"" roof"\n')
    asked = [{"role": "user", "content": "Explain rain, id: q-1"}]
    (desk.folder / "chat.jsonl").write_text(json.dumps({"id": "q-1", "messages": asked}) + "\n")
    async with simulator() as server:
        paths = {"zipped": "items.jsonl.gz", "table": "items.csv", "chat": "chat.jsonl"}
        prompts = {"chat": {"prompt": None}}
        configs = [
            desk.config(
                server.base_url,
                name,
                input={"path": path},
                output={"path": f"{name}-out.jsonl"},
                request=prompts.get(name, {}),
            )
            for name, path in paths.items()
        ]

        async with desk.engine(*configs) as runs:
            for run in runs:
                await run.settled()
            assert {run.exit_code for run in runs} == {0}

        found = {name: desk.written_ids(desk.folder / f"{name}-out.jsonl") for name in paths}
        assert found == {
            "zipped": each_once(IDS),
            "table": each_once(["c-1", "c-2"]),
            "chat": each_once(["q-1"]),
        }
        assert set(server.books.served_ids) == {*IDS, "c-1", "c-2", "q-1"}


async def test_openai_batch_lines_go_through_a_run_with_their_own_settings(desk: Desk) -> None:
    lines = [
        {
            "custom_id": f"b-{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "sim-large", "messages": [{"role": "user", "content": f"Rain, id: b-{n}"}]},
        }
        for n in range(5)
    ]
    (desk.folder / "batch.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    async with simulator() as server:
        config = desk.config(server.base_url, input={"path": "batch.jsonl"}, request={"prompt": None})
        said = await desk.llmtop("run", config)

        assert said.code == 0, said.out + said.err
        assert desk.written_ids() == each_once([f"b-{n}" for n in range(5)])
        assert {result["model"] for result in desk.results()} == {"sim-large"}


async def test_ids_and_texts_of_any_kind_come_back_as_they_went_in(desk: Desk) -> None:
    ids = [
        "../../etc/passwd",
        "-rf",
        "a/b",
        "x" * 512,
        "'; DROP TABLE items; --",
        "日本語 \u2028 ü",
        '"quoted"',
    ]
    items = "".join(json.dumps({"id": each, "text": f"rain {n}"}) + "\n" for n, each in enumerate(ids))
    (desk.folder / "items.jsonl").write_text(items)
    async with simulator() as server:
        said = await desk.llmtop(
            "run", desk.config(server.base_url, request={"prompt": "Explain {text}"}), "--display", "plain"
        )

        assert said.code == 0
        assert {result["id"] for result in desk.results()} == set(ids)
        assert desk.output.read_bytes().count(b"\n") == len(ids)
        exported = await desk.llmtop("export", "latest")
        assert {json.loads(line)["id"] for line in exported.out.split("\n") if line} == set(ids)
