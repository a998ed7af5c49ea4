"""`llmtop init`: a commented config to start from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from llmtop.errors import StateError, UsageError
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.printing import put, put_json, say

STARTER = """\
# A run of llmtop: what to ask, of whom, how fast, and for how much. What is commented out shows its default.
#   llmtop plan FILE    items, requests, cost and time; nothing is sent
#   llmtop run FILE     start it, or go on with it; the dashboard steers it
# Unknown keys are errors. Paths are relative to this file. Durations: "250ms", "30s", "10m", "24h".

# name = "llmtop"                 # the file's stem

[provider]
kind = "openai"                   # openai and everything compatible; "simulator" needs no key
model = "gpt-4.1-mini"
# base_url = "https://api.openai.com/v1"   # any compatible server: OpenRouter, vLLM, llama.cpp, Ollama ...
# api_key_env = "OPENAI_API_KEY"  # the variable that holds the key; a key itself is refused here
# timeout = "120s"

[input]
path = "items.jsonl"              # one JSON object a line; also .csv .tsv .txt, gzipped or not, "-" for stdin
# id_field = "id"                 # else "custom_id", else the line number; an id may come once
# limit = 20                      # only the first items: a cheap look before the whole run

[request]
# system = "You explain things in plain words."
prompt = "Explain in two sentences:\\n{text}"      # {field} of the item; {{ and }} are literal braces
max_output_tokens = 300
# temperature = 0.2
# response_format = "text"        # text | json | schema, with schema_file

[execution]
# concurrency = "1-8-512"         # min-start-max, tuned by what is measured; one number is fixed

[limits]                          # what the provider allows, as far as you know it
# requests_per_minute = 500
# tokens_per_minute = 200000

# [retry]
# max_attempts = 6                # a 429 never uses one up

[budget]
max_cost = 5.00                   # USD for the run: it never spends more
on_limit = "pause"                # pause | stop

# [prices]                        # USD per million tokens, where the price table does not know the model
# input = 0.40
# output = 1.60

[output]
path = "results.jsonl"            # written while the run goes, one line a finished item
# metadata_fields = ["title"]     # input fields that each result carries
"""


def init(
    common: Common,
    path: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Where to; - for stdout.", show_default=False)
    ] = "llmtop.toml",
    force: Annotated[bool, option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Write a commented starter config (llmtop.toml)."""
    if path == "-":
        put(STARTER.rstrip("\n"))
        return
    _write(Path(path), is_forced=force)
    if common.is_json:
        put_json({"file": path})
        return
    put(path)
    say(f"name your model and items in {path}, then: llmtop plan {path}")


def _write(path: Path, *, is_forced: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    flags |= os.O_TRUNC if is_forced else os.O_EXCL
    try:
        with os.fdopen(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(STARTER)
    except FileExistsError:
        raise UsageError(str(path), "is there already", "Name another file, or say --force") from None
    except OSError as error:
        raise StateError(str(path), f"cannot be written: {error.strerror}", "Name another file") from None
