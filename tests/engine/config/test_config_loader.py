"""The TOML file, the environment and the command line become one checked config."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from config_files import GOOD, Write, faults, loaded


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"  \r\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"x = 1\ny = \xff\xfe\n", "line 2: is not UTF-8"),
        ('name = "x"'.encode("utf-16"), "is UTF-16"),
        ('name = "x"'.encode("utf-16-le"), "is UTF-16"),
        (b'name = "a"\nx = "\0"', "line 2: has a NUL"),
        (b"#" * (2**20 + 1), "is over 1 MiB"),
        (b'name = "a"\nmodel = \n', "line 2: is not TOML"),
        (b"name = 'a'\nname = 'b'\n", "line 2: is not TOML"),
        (b"x = " + b"[" * 5000, "is nested too deeply"),
        (b"x = " + b"9" * 5000, "thousands of digits"),
    ],
)
def test_a_file_that_is_no_config_is_said_to_be_what_it_is(write: Write, content: bytes, said: str) -> None:
    assert said in faults(write(content))


def test_a_missing_file_a_folder_and_a_pipe_are_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")

    assert "there is no such file" in faults(tmp_path / "none.toml")
    assert "is a folder" in faults(tmp_path)
    assert "is a pipe" in faults(tmp_path / "pipe.toml")
    assert "is a device" in faults(Path("/dev/zero"))
    assert "cannot be opened" in faults(Path("a\0b"))


def test_a_byte_order_mark_and_windows_line_ends_are_fine(write: Write) -> None:
    config = loaded(write(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()))

    assert config.request.prompt == "Explain {text}"


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        ('nmae = "x"', "nmae", 'Did you mean "name"?'),
        ("[provder]\nx = 1", "provder", 'Did you mean "provider"?'),
        ("[retry]\nmax_attemps = 3", "retry.max_attemps", 'Did you mean "max_attempts"?'),
        ("[retry]\nconcurrency = 3", "retry.concurrency", "Did you mean execution.concurrency?"),
        ("retry = 3", "retry", "must be a table"),
        ("[retry]\nmax_attempts = true", "retry.max_attempts", "is a boolean (true)"),
        ('[retry]\nmax_attempts = "3"', "retry.max_attempts", 'is text ("3")'),
        ("[retry]\nmax_attempts = 2.5", "retry.max_attempts", "is 2.5, and must be a whole number"),
        ("[retry]\nmax_attempts = 0", "retry.max_attempts", "is 0, and must be a whole number from 1 to 100"),
        ("[retry]\nmax_attempts = -1", "retry.max_attempts", "from 1 to 100"),
        ("[retry]\nmax_attempts = nan", "retry.max_attempts", "is NaN"),
        ("[retry]\nmax_attempts = inf", "retry.max_attempts", "is Infinity"),
        ("[retry]\nmax_attempts = 1e400", "retry.max_attempts", "from 1 to 100"),
        ("[retry]\nmax_attempts = " + "9" * 400, "retry.max_attempts", "is a huge number"),
        ("[retry]\nmax_wait = 0", "retry.max_wait", "above 0s"),
        ('[retry]\nmax_wait = "3 weeks"', "retry.max_wait", "must be a duration"),
        ('[retry]\nmax_wait = "-3s"', "retry.max_wait", "must be a duration"),
        ("[retry]\nmax_wait = 2026-01-01", "retry.max_wait", "is a date or time"),
        ("[execution]\nconcurrency = 0", "execution.concurrency", "from 1 to 4096"),
        ("[execution]\nconcurrency = 5000", "execution.concurrency", "from 1 to 4096"),
        ('[execution]\nconcurrency = "9-3"', "execution.concurrency", "must go up"),
        ('[execution]\nconcurrency = "many"', "execution.concurrency", "MIN-START-MAX"),
        ('[execution]\norder = "random"', "execution.order", "must be one of"),
        ("[limits]\nrequests_per_second = -2", "limits.requests_per_second", "above 0"),
        ("[limits]\nrequests_per_second = 1\nburst = 0.5", "limits.burst", "from 1 to"),
        ("[limits]\nburst = 2", "limits.burst", "has no effect without a rate"),
        (
            "[limits]\nrequests_per_second = 1\nrequests_per_minute = 60",
            "limits.requests_per_minute",
            "says the same as limits.requests_per_second",
        ),
        ("[budget]\nmax_cost = 0", "budget.max_cost", "above 0"),
        ('[budget]\nmax_cost = "5"', "budget.max_cost", "is text"),
        ("[budget]\nmax_cost = nan", "budget.max_cost", "is NaN"),
        ("[budget]\nmax_cost = 1e9999999999999999999999", "budget.max_cost", "is Infinity"),
        ("[prices]\ninput = 0.0000001", "prices.input", "finer than it can be counted"),
        ("[prices]\ninput = -1", "prices.input", "from 0 to 10000"),
        ("[memory]\nthreshold = 1.5", "memory.threshold", "from 0.05 to 1"),
        ('[memory]\nper_process = "5 elephants"', "memory.per_process", "a size from"),
        ("[output]\nmetadata_fields = [1]", "output.metadata_fields", "list of texts"),
        ('[output]\nmetadata_fields = ["a", "a"]', "output.metadata_fields", "twice"),
        ('[output]\npath = "items.jsonl"', "output.path", "is the input file"),
        ('[output]\npath = "."', "output.path", "is a folder"),
        ('[output]\npath = "r"\nrejected_path = "./r"', "output.rejected_path", "same file"),
    ],
)
def test_each_fault_names_its_key_and_what_would_be_right(
    write: Write, lines: str, place: str, said: str
) -> None:
    head = "" if lines.startswith("[") else lines + "\n"
    tail = lines if lines.startswith("[") else ""

    told = faults(write(f"{head}{GOOD}{tail}\n"))

    assert f"run.toml: {place}: " in told
    assert said in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('model = "m"', "", "provider.model: is missing"),
        ('model = "m"', 'model = " "', "provider.model: is blank"),
        ('path = "items.jsonl"', "", "input.path: is missing"),
        ('path = "items.jsonl"', 'path = "items.json"', 'set input.format = "jsonl"'),
        ('path = "items.jsonl"', 'path = "items"', "tells no format"),
        ('path = "items.jsonl"', 'path = "items.parquet"', "not available yet"),
        ('path = "items.jsonl"', 'path = "items.jsonl.zst"', "not available yet"),
        ('path = "items.jsonl"', 'path = "items.jsonl"\nlimit = 0', "input.limit: is 0"),
        ('kind = "openai"', 'kind = "anthropic"', "request.max_output_tokens: is missing"),
        ('kind = "openai"', 'kind = "local"', '"local" is not available yet'),
        ('kind = "openai"', 'kind = "opnai"', 'Did you mean "openai"?'),
        ('kind = "openai"', 'simulator = { profile = "x" }', "provider.simulator: has no effect"),
        (
            'prompt = "Explain {text}"',
            'prompt = "a"\nprompt_file = "b"',
            "request.prompt_file: says the same",
        ),
        ('prompt = "Explain {text}"', 'prompt_file = "none.txt"', "there is no such file"),
        ('prompt = "Explain {text}"', 'prompt = "{a.b}"', "request.prompt: has an attribute"),
        ('prompt = "Explain {text}"', 'response_format = "schema"', "request.schema_file: is missing"),
        ('prompt = "Explain {text}"', 'schema_file = "s.json"', "request.schema_file: has no effect"),
        ('prompt = "Explain {text}"', "extra = { stream = true }", "request.extra.stream: would change"),
        ('prompt = "Explain {text}"', "extra = { a = nan }", "request.extra: holds a number"),
        ('prompt = "Explain {text}"', "extra = { a = 2026-01-01 }", "request.extra: holds a date"),
        ('prompt = "Explain {text}"', "temperature = 3", "request.temperature: is 3"),
    ],
)
def test_the_main_sections_are_checked_as_well(write: Write, old: str, new: str, said: str) -> None:
    assert said in faults(write(GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[batch]\nspill = "none"', "batch.spill: has no effect with execution.mode"),
        ('[execution]\nmode = "batch"\n[batch]\ndeadline = "2h"', "no effect without batch.spill"),
        (
            '[execution]\nmode = "batch"\nitems_per_request = 5\npack_check = 0.1',
            "pack_check: is for realtime",
        ),
        ('[execution]\nmode = "auto"\n[batch]\npoll_interval = 0', "batch.poll_interval"),
    ],
)
def test_settings_of_batch_jobs_that_cannot_work_are_refused(write: Write, lines: str, said: str) -> None:
    assert said in faults(write(f"{GOOD}{lines}\n"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[batch]\nspil = "none"', 'batch.spil: unknown key; Did you mean "spill"?'),
        ('[conversation]\nturns_field = "turns"', "conversation: is not available yet"),
    ],
)
def test_what_comes_later_is_refused_and_its_keys_are_checked(write: Write, lines: str, said: str) -> None:
    assert said in faults(write(f"{GOOD}{lines}\n"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("enabled = 1", "cache.enabled: is a number (1)"),
        ("enbled = false", 'cache.enbled: unknown key; Did you mean "enabled"?'),
        ('ttl = "30d"', "cache.ttl: has no effect without cache.enabled"),
        ("enabled = true\nttl = 0", "cache.ttl: is 0, and must be a duration above 0s"),
        ('enabled = true\nmax_size = "1kB"', 'cache.max_size: is "1kB", and must be a size from 1MiB'),
        (
            'enabled = true\nredis_url_env = "redis://host/0"',
            "cache.redis_url_env: is not the name of a variable",
        ),
        (
            'enabled = true\nredis_url_env = "REDIS_URL"\nmax_size = "2GB"',
            "cache.max_size: has no effect with cache.redis_url_env",
        ),
    ],
)
def test_a_cache_that_would_not_do_what_was_said_is_refused(write: Write, lines: str, said: str) -> None:
    assert said in faults(write(f"{GOOD}[cache]\n{lines}\n"))


def test_the_cache_is_off_unless_it_is_asked_for(write: Write) -> None:
    assert not loaded(write(GOOD)).cache.enabled
    assert not loaded(write(GOOD + '[cache]\nenabled = false\nttl = "30d"\n')).cache.enabled

    asked = loaded(write(GOOD + '[cache]\nenabled = true\nttl = "12h"\nmax_size = "64MiB"\n')).cache

    assert (asked.enabled, asked.ttl, asked.max_size) == (True, 43_200.0, 2**26)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a/v1",
        "a.example/v1",
        "http://",
        "http:///v1",
        "https://a:99999/v1",
        "https://a:x/v1",
        "https://a:0/v1",
        "https://a:/v1",
        "https://user:pw@a/v1",
        "https://user@a/v1",
        "https://a/v1?x=1",
        "https://a/v1?",
        "https://a/v1#x",
        "https://a/v 1",
        r"https://a/v\n1",
        r"https://a\tb/v1",
        r"https://a/\u001b[31m",
        r"https://a\\b/v1",
        "https://[::1/v1",
    ],
)
def test_a_base_url_that_is_none_is_refused(write: Write, url: str) -> None:
    told = faults(write(GOOD.replace('model = "m"', f'model = "m"\nbase_url = "{url}"')))

    assert "provider.base_url: " in told
    assert "\x1b" not in told
    assert "user" not in told or "user name" in told


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "https://[::1]:8080/v1/", "https://a.example"])
def test_a_good_base_url_is_kept_as_it_stands(write: Write, url: str) -> None:
    assert (
        loaded(write(GOOD.replace('model = "m"', f'model = "m"\nbase_url = "{url}"'))).provider.base_url
        == url
    )


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "sk-abc123def456ghi789"',
        'api_key = "swordfish-swordfish"',
        'api_key_env = "sk-abc123def456ghi789"',
        'api_key_env = "swordfish swordfish"',
        'headers = { Authorization = "swordfish" }',
        'headers = { "X-Api-Key" = "swordfish" }',
        'headers = { X-Other = "Bearer swordfish12345" }',
        'base_url = "https://swordfish:swordfish@a/v1"',
        'sk-abc123def456ghi789 = "x"',
        'token = "swordfish"',
    ],
)
def test_a_key_in_the_config_is_refused_and_never_repeated(write: Write, line: str) -> None:
    told = faults(write(GOOD.replace('model = "m"', f'model = "m"\n{line}')))

    assert "swordfish" not in told
    assert "abc123" not in told


def test_a_key_on_the_command_line_is_refused_and_never_repeated(write: Write) -> None:
    told = faults(write(GOOD), overrides=["provider.api_key=sk-abc123def456ghi789", "sk-abc123def456ghi789"])

    assert "abc123" not in told
    assert "--set provider.api_key" in told


def test_a_prompt_that_talks_about_keys_is_no_key(write: Write) -> None:
    prompt = "Why must sk-abc123def456ghi789 stay secret? {text}"

    assert loaded(write(GOOD.replace("Explain {text}", prompt))).request.prompt == prompt


def test_all_faults_of_a_file_are_told_together_and_twenty_at_most(write: Write) -> None:
    few = faults(write(GOOD + "[retry]\nmax_attempts = 0\nmax_wait = 0\n[budget]\nmax_cost = 0\n"))
    many = faults(write(GOOD + "[retry]\n" + "".join(f"zz{n} = 1\n" for n in range(50))))

    assert len(few.splitlines()) == 3
    assert len(many.splitlines()) == 20
    assert "31 more faults" in many


def test_no_message_holds_a_control_byte(write: Write) -> None:
    evil = r"\u001b]0;x\u0007\u009b31m\u202e"
    told = faults(
        write(
            f'"{evil}" = 1\n{GOOD}[retry]\n"{evil}" = 1\nmax_wait = "{evil}"\n[execution]\nmode = "{evil}"\n'
        )
    )

    assert not any(ord(character) < 32 and character != "\n" for character in told)
    assert "\x9b" not in told
    assert "\u202e" not in told
