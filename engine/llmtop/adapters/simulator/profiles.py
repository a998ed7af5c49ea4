"""The named profiles, and profiles from settings or a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_origin, get_type_hints

from llmtop.adapters.simulator.checks import nearest
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.vocabulary import CapacityStep, FaultStep
from llmtop.cleaning import clean
from llmtop.errors import ConfigError, ConfigErrors, UsageError

_MOST_FILE_BYTES = 1024 * 1024

_NAMED = (
    Profile(
        name="quickstart",
        description="About a minute for 320 items: uneven latency, some 429s and faults, all items end done.",
        latency="lognormal",
        latency_s=1.0,
        latency_sigma=0.4,
        requests_per_second=7.0,
        burst=4.0,
        concurrency=24,
        rate_headers=True,
        faults={
            "http_500": 0.02,
            "http_503": 0.01,
            "http_529": 0.01,
            "reset_before": 0.01,
            "truncated": 0.01,
            "slow": 0.01,
        },
        fault_tries=2,
        slow_factor=4.0,
        fault_latency_s=0.3,
        cached_prefix_tokens=16,
    ),
    Profile(
        name="two_per_second",
        description="A strict server: 2 requests a second, burst 2, each takes 2 to 5 s.",
        latency="uniform",
        latency_min_s=2.0,
        latency_max_s=5.0,
        requests_per_second=2.0,
        burst=2.0,
        count_refused=False,
    ),
    Profile(
        name="fast",
        description="Fixed 50 ms, no limits, no faults: for measuring a client.",
        latency_s=0.05,
    ),
    Profile(name="instant", description="No latency, no limits, no faults.", latency_s=0.0),
    Profile(
        name="fixed_minute",
        description="120 requests in each fixed minute, all of them at its start if you like.",
        latency="lognormal",
        latency_s=0.8,
        requests_per_minute=120.0,
        minute_style="fixed",
        rate_headers=True,
        hint="reset_headers",
    ),
    Profile(
        name="tokens_per_minute",
        description="30,000 tokens a minute by the declared maximum, headers and retry-after-ms.",
        latency="lognormal",
        latency_s=1.0,
        tokens_per_minute=30_000.0,
        rate_headers=True,
        hint="retry_after_ms",
    ),
    Profile(
        name="concurrency_cap",
        description="16 requests at a time, no hint when to come back.",
        latency="lognormal",
        latency_s=0.5,
        concurrency=16,
        hint="none",
    ),
    Profile(
        name="flaky",
        description="A third of all requests meets a fault: 5xx, 529, resets, slow, cut or odd answers.",
        latency="lognormal",
        latency_s=0.2,
        faults={
            "http_500": 0.04,
            "http_502": 0.03,
            "http_503": 0.03,
            "http_504": 0.02,
            "http_529": 0.03,
            "reset_before": 0.03,
            "reset_after_headers": 0.02,
            "cut_body": 0.02,
            "truncated": 0.02,
            "malformed": 0.02,
            "empty_body": 0.01,
            "html_200": 0.01,
            "error_in_200": 0.01,
            "null_content": 0.01,
            "slow": 0.02,
            "gzip": 0.01,
            "blank_lines": 0.01,
            "missing_usage": 0.01,
        },
    ),
    Profile(
        name="outage",
        description="Serves well for 10 s, refuses everything for 20 s, and is back.",
        latency="lognormal",
        latency_s=0.3,
        fault_steps=(FaultStep(10.0, 20.0, "http_503"), FaultStep(20.0, 30.0, "reset_before")),
    ),
    Profile(
        name="unknown_cap",
        description="A concurrency cap nobody tells: 32, half of it at 20 s, all at 40 s, double at 60 s.",
        latency="lognormal",
        latency_s=0.5,
        concurrency=32,
        hint="none",
        is_refusal_named=False,
        capacity_steps=(CapacityStep(20.0, 0.5), CapacityStep(40.0, 1.0), CapacityStep(60.0, 2.0)),
        capacity_repeat_s=80.0,
    ),
    Profile(
        name="batch_latency",
        description="1 s plus 0.1 s for each item in the prompt, 3 requests a second: packing pays.",
        latency_s=1.0,
        latency_per_item_s=0.1,
        requests_per_second=3.0,
    ),
)

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _NAMED})
"""Name -> profile; `description` says in one line what it is for."""

_HINTS = get_type_hints(Profile)
_ROWS: dict[str, Any] = {"fault_steps": FaultStep, "capacity_steps": CapacityStep}


def load_profile(settings: Mapping[str, Any]) -> Profile:
    """Build the profile of `{"profile": NAME or FILE, setting: value, ...}`; without a name: quickstart.

    Raises ConfigError (an unknown key with the nearest known one, a wrong value).
    """
    named = settings.get("profile", "quickstart")
    if not isinstance(named, str):
        raise ConfigError("profile", f"is {named!r}", "Use the name of a profile, or of a TOML file.")
    changes = {key: value for key, value in settings.items() if key != "profile"}
    return changed(profile_from(named), changes)


def settings_of(words: Iterable[str]) -> dict[str, Any]:
    """Read settings given as KEY=VALUE; a value is TOML where it can be, and text otherwise.

    `faults.http_500=0.1` is an entry of a table. Raises UsageError; whether a setting exists is for others.
    """
    settings: dict[str, Any] = {}
    for word in words:
        dotted, equals, value = word.partition("=")
        names = [name.strip() for name in dotted.split(".")]
        if not equals or not all(names):
            remedy = "Write it as KEY=VALUE, like batch_speed=3600."
            raise UsageError(f"--set {clean(word, limit=60)}", "cannot be read", remedy)
        table = settings
        for name in names[:-1]:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise UsageError(f"--set {clean(dotted, limit=60)}", f"{name} is no table", "Say it once.")
        table[names[-1]] = _as_toml(value.strip())
    return settings


def _as_toml(word: str) -> Any:
    if "\n" in word or "\r" in word:
        return word
    try:
        read = tomllib.loads(f"value = {word}")
    except (ValueError, RecursionError):
        return word
    return read["value"] if len(read) == 1 else word


def profile_from(name_or_path: str) -> Profile:
    """Return a named profile, or that of a TOML file; the file's `profile` key names what it starts from."""
    if name_or_path in PROFILES:
        return PROFILES[name_or_path]
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        raise ConfigError("profile", f"{name_or_path!r} is unknown", nearest(name_or_path, PROFILES))
    settings = _read(path)
    base = settings.pop("profile", None)
    if base is not None and (not isinstance(base, str) or base not in PROFILES):
        fault = ConfigError("profile", f"is {base!r}", nearest(str(base), PROFILES))
        raise ConfigErrors(str(path), [fault])
    try:
        return changed(PROFILES[base] if base else Profile(), {"name": path.stem, **settings})
    except ConfigError as error:
        raise ConfigErrors(str(path), [error]) from None


def changed(profile: Profile, changes: Mapping[str, Any]) -> Profile:
    """Return `profile` with these settings, given as TOML or JSON has them. Raises ConfigError."""
    known = [each.name for each in fields(Profile)]
    values: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in known:
            raise ConfigError(key, "is not a setting of the simulator", nearest(key, ["profile", *known]))
        values[key] = _rows(key, value) if key in _ROWS else _typed(key, value, _HINTS[key])
    return replace(profile, **values)


def _typed(key: str, value: Any, hint: Any) -> Any:
    """Return `value` as the field wants it, or raise ConfigError."""
    kind = get_origin(hint) or hint
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if (kind is str or get_origin(hint) is Literal) and isinstance(value, str):
        return value
    if kind is tuple and isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
        return tuple(value)
    if kind is Mapping and isinstance(value, Mapping):
        return {str(word): _typed(f"{key}.{word}", share, float) for word, share in value.items()}
    raise ConfigError(key, f"is {value!r}", f"Use {_WANTED.get(kind, 'text')}.")


def _rows(key: str, value: Any) -> Any:
    row = _ROWS[key]
    if not isinstance(value, (list, tuple)):
        raise ConfigError(key, f"is {value!r}", f"Use a list of tables with {', '.join(row._fields)}.")
    return tuple(_row(key, row, each) for each in value)


def _row(key: str, row: Any, value: Any) -> Any:
    if isinstance(value, row):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(key, f"has the entry {value!r}", f"Use tables with {', '.join(row._fields)}.")
    for name in value:
        if name not in row._fields:
            raise ConfigError(f"{key}.{name}", "is unknown", nearest(str(name), row._fields))
    missing = [name for name in row._fields if name not in value and name not in row._field_defaults]
    if missing:
        raise ConfigError(key, f"has an entry without {missing[0]}", "Add it.")
    hints = get_type_hints(row)
    return row(**{name: _typed(f"{key}.{name}", each, hints[name]) for name, each in value.items()})


_WANTED: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list of texts",
    Mapping: "a table of shares",
}


def _read(path: Path) -> dict[str, Any]:
    """Return the file's settings. Never waits for a device or a pipe. Raises ConfigError."""
    if not path.exists():
        raise ConfigError(str(path), "does not exist", "Name a profile or a TOML file.")
    if not path.is_file():
        raise ConfigError(str(path), "is not a file", "Name a profile or a TOML file.")
    try:
        raw = path.read_bytes()[: _MOST_FILE_BYTES + 1]
        if len(raw) > _MOST_FILE_BYTES:
            raise ConfigError(str(path), "is larger than 1 MiB", "A profile is a short list of settings.")
        return tomllib.loads(raw.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})", "Check its rights.") from None
    except UnicodeDecodeError:
        raise ConfigError(str(path), "is not UTF-8 text", "Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), f"is not TOML: {error}", "Mend that line.") from None
