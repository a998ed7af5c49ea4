"""What must hold between the keys of a config, and inside texts that have a syntax of their own."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.input_format import format_by_name, is_later, why_not_by_name
from llmtop.config.kinds import KINDS
from llmtop.config.placeholders import split_template
from llmtop.config.schema import ProviderConfig
from llmtop.config.unspoken import is_key_header, looks_like_key
from llmtop.errors import ConfigError

Read = Mapping[str, Any]
"""Dotted key -> value as it was read; keys that nobody set are absent."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "content-type", "content-encoding"}
)
_SHOULD_BE_URL = 'For example "https://openrouter.ai/api/v1".'


def check_together(read: Read, said: Collection[str]) -> Iterator[ConfigError]:
    """Yield every fault that lies between keys, or in the syntax of one.

    `said` holds all keys that were set, also those whose value could not be read.
    """
    yield from _check_provider(read, said)
    yield from _check_input(read, said)
    yield from _check_request(read)
    yield from _check_limits(read, said)
    yield from _check_cache(read, said)
    yield from _check_batch(read, said)
    yield from _check_output(read)


def _check_provider(read: Read, said: Collection[str]) -> Iterator[ConfigError]:
    kind = read.get("provider.kind", None if "provider.kind" in said else ProviderConfig().kind)
    if "provider.base_url" in read and (fault := url_fault(read["provider.base_url"])):
        yield ConfigError("provider.base_url", fault, _SHOULD_BE_URL)
    if "provider.model" not in said and kind is not None and KINDS[kind].model is None:
        yield ConfigError("provider.model", "is missing", "Name the model to ask.")
    variable = read.get("provider.api_key_env")
    if variable and not _VARIABLE.fullmatch(variable):
        yield ConfigError(
            "provider.api_key_env",
            "is not the name of a variable",
            'Name the variable that holds the key, like "OPENAI_API_KEY", never the key itself.',
        )
    if "provider.simulator" in read and kind not in (None, "simulator"):
        yield ConfigError(
            "provider.simulator",
            f'has no effect with kind = "{kind}"',
            'Set kind = "simulator", or take it out.',
        )
    if "provider.server" in read and kind not in (None, "openai"):
        yield ConfigError(
            "provider.server", f'has no effect with kind = "{kind}"', 'Set kind = "openai", or take it out.'
        )
    if kind == "anthropic":
        yield from _check_anthropic(read)
    for name, value in read.get("provider.headers", {}).items():
        yield from _check_header(name, value)


def _check_anthropic(read: Read) -> Iterator[ConfigError]:
    """Yield what Anthropic would refuse for every item."""
    if "request.max_output_tokens" not in read and "max_tokens" not in read.get("request.extra", {}):
        yield ConfigError(
            "request.max_output_tokens",
            "is missing, and Anthropic does not answer without it",
            "For example max_output_tokens = 1000.",
        )
    if read.get("request.temperature", 0) > 1:
        yield ConfigError(
            "request.temperature", f"is {read['request.temperature']:g}, and Anthropic takes 0 to 1"
        )


def _check_header(name: str, value: Any) -> Iterator[ConfigError]:
    shown = "(hidden)" if looks_like_key(name) else clean(name, limit=60)
    where = f"provider.headers.{shown}"
    if is_key_header(name):
        yield ConfigError(
            where, "a header that carries a key may not stand in a config file", "Use provider.api_key_env."
        )
    elif not _HEADER.fullmatch(name) or len(name) > 100:
        yield ConfigError(where, "is not the name of a header", 'For example "HTTP-Referer".')
    elif name.lower() in _OWN_HEADERS:
        yield ConfigError(where, "is set by llmtop itself", "Take it out.")
    elif not isinstance(value, str) or not value.isprintable() or not value.isascii() or len(value) > 4096:
        yield ConfigError(where, "must be printable ASCII text of one line, at most 4096 characters")


def url_fault(url: str) -> str | None:
    """Return what is wrong with a base URL, without repeating it, or None.

    The raw text is looked at first: urlsplit drops line ends and tabs without a word.
    """
    if not url.isprintable() or any(character.isspace() for character in url):
        return "has white space or a control character in it"
    if "\\" in url:
        return "has a backslash in it"
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        return "is not a valid address (its host or port)"
    if parts.scheme not in ("http", "https"):
        return "does not start with http:// or https://"
    if not host or not re.fullmatch(r"[^\s/?#@%<>\"^`{|}]+", host):
        return "names no valid host"
    if parts.netloc.endswith(":") or port == 0:
        return "has no valid port"
    if "@" in parts.netloc:
        return "has a user name or password in it"
    if "?" in url or "#" in url:
        return "has a query or a fragment"
    return None


def _check_input(read: Read, said: Collection[str]) -> Iterator[ConfigError]:
    path = read.get("input.path")
    if path is None:
        if "input.path" not in said:
            yield ConfigError("input.path", "is missing", 'Name the file with the items, or "-" for stdin.')
    elif is_later(path) or ("input.format" not in read and format_by_name(path) is None):
        yield ConfigError("input.path", *why_not_by_name(path))


def _check_request(read: Read) -> Iterator[ConfigError]:
    for key in ("request.prompt", "request.prompt_file"):
        if key in read and not isinstance(read[key], Path):
            try:
                split_template(read[key], key)
            except ConfigError as fault:
                yield fault
    wants_schema = read.get("request.response_format") == "schema"
    if wants_schema and "request.schema_file" not in read:
        yield ConfigError("request.schema_file", 'is missing, and response_format = "schema" needs it')
    if "request.schema_file" in read and not wants_schema:
        yield ConfigError("request.schema_file", "has no effect", 'Set request.response_format = "schema".')
    for name in ("stream", "n"):
        if name in read.get("request.extra", {}):
            what = "would change the form of the answers, which could then not be read"
            yield ConfigError(f"request.extra.{name}", what, "Take it out.")
    for name, key in (("model", "provider.model"), ("messages", "request.prompt")):
        if name in read.get("request.extra", {}):
            yield ConfigError(f"request.extra.{name}", f"is said by {key}", "Take it out.")


def _check_cache(read: Read, said: Collection[str]) -> Iterator[ConfigError]:
    others = sorted(key for key in said if key.startswith("cache.") and key != "cache.enabled")
    if others and "cache.enabled" not in said:
        yield ConfigError(others[0], "has no effect without cache.enabled", "Set cache.enabled = true.")
    variable = read.get("cache.redis_url_env")
    if variable and not _VARIABLE.fullmatch(variable):
        yield ConfigError(
            "cache.redis_url_env",
            "is not the name of a variable",
            'Name the variable that holds the address, like "REDIS_URL".',
        )
    if variable and "cache.max_size" in said:
        what = "has no effect with cache.redis_url_env"
        yield ConfigError("cache.max_size", what, "Set maxmemory in Redis, and take one of the two out.")


def _check_batch(read: Read, said: Collection[str]) -> Iterator[ConfigError]:
    mode = read.get("execution.mode", "realtime")
    spill = read.get("batch.spill", "none")
    can_make_jobs = mode != "realtime" or spill == "both"
    others = sorted(key for key in said if key.startswith("batch."))
    if others and not can_make_jobs:
        remedy = 'Set execution.mode = "batch" or "auto".'
        yield ConfigError(others[0], 'has no effect with execution.mode = "realtime"', remedy)
    if mode == "batch" and read.get("execution.pack_check"):
        what = "is for realtime: a check of a batch job's answers would wait for a job of its own"
        yield ConfigError("execution.pack_check", what, 'Take it out, or set execution.mode = "realtime".')
    if "batch.deadline" in said and mode == "batch" and spill == "none":
        what = "has no effect without batch.spill: the rest would go into another job"
        yield ConfigError("batch.deadline", what, 'Set batch.spill = "realtime".')


def _check_limits(read: Read, said: Collection[str]) -> Iterator[ConfigError]:
    rates = ("limits.requests_per_second", "limits.requests_per_minute")
    if "limits.burst" in read and not any(key in said for key in rates):
        yield ConfigError("limits.burst", "has no effect without a rate", "Set limits.requests_per_second.")
    start = read.get("provider.connect_timeout")
    total = read.get("provider.timeout")
    if start is not None and total is not None and start > total:
        yield ConfigError("provider.connect_timeout", "is longer than provider.timeout", "Make it shorter.")


def _check_output(read: Read) -> Iterator[ConfigError]:
    source, results, rejected = (
        read.get(key) for key in ("input.path", "output.path", "output.rejected_path")
    )
    for key, path in (("output.path", results), ("output.rejected_path", rejected)):
        if path is not None and path == source:
            yield ConfigError(key, "is the input file", "Name another file.")
        elif path is not None and path.is_dir():
            yield ConfigError(key, "is a folder", "Name a file in it.")
    if results is not None and results == rejected:
        yield ConfigError("output.rejected_path", "is the same file as output.path", "Name another file.")
