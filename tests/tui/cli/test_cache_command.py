"""`llmtop cache`: over a real cache, as a process would."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from llmtop.adapters.cache import SharedCache
from llmtop.model import Answer
from llmtop_tui.cli import main

HOSTILE = "openai/m\x1b]0;owned\x07"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("COLUMNS", raising=False)
    for name in ("HOME", "JSON", "DEBUG", "YES"):
        monkeypatch.delenv(f"LLMTOP_{name}", raising=False)
    return tmp_path / "home"


def fill(home: Path, number: int, place: str = "openai/m") -> None:
    async def go() -> None:
        home.mkdir(mode=0o700, exist_ok=True)
        cache = SharedCache(home / "cache.db", 2**26)
        for index in range(number):
            key = hashlib.sha256(f"{place} {index}".encode()).digest()
            answer = Answer("x" * 1000, "stop", "m", None, 10**9)
            cache.put(key, answer, place=place, ttl_s=9999.0)
        await cache.close()

    asyncio.run(go())


class Said:
    def __init__(self, capfd: pytest.CaptureFixture[str], home: Path) -> None:
        self._capfd = capfd
        self._home = home

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = main(["cache", *words, "--home", str(self._home)])
        captured = self._capfd.readouterr()
        return code, captured.out, captured.err


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str], home: Path) -> Said:
    return Said(capfd, home)


def test_the_list_shows_what_each_model_holds_and_is_safe_to_print(home: Path, said: Said) -> None:
    fill(home, 30)
    fill(home, 2, HOSTILE)

    code, out, err = said("list")
    data = json.loads(said("list", "--json")[1])

    assert code == 0
    assert "PROVIDER/MODEL" in out and "30" in out and "\x1b" not in out
    assert "cache.db" in err
    assert data["entries"] == 32
    assert [(each["place"], each["entries"]) for each in data["groups"]] == [("openai/m", 30), (HOSTILE, 2)]
    assert data["groups"][0]["worth_usd"] == "0.03"


def test_an_empty_cache_is_said_to_be_one(said: Said) -> None:
    code, out, err = said("list")

    assert (code, out) == (0, "")
    assert "holds no answers" in err and "cache.enabled" in err


def test_prune_removes_what_is_asked_and_clear_everything(home: Path, said: Said) -> None:
    fill(home, 300)

    assert json.loads(said("prune", "--json")[1])["removed"] == 0
    assert json.loads(said("prune", "--older-than", "1h", "--json")[1])["removed"] == 0
    pruned = json.loads(said("prune", "--max-size", "200kB", "--json")[1])
    assert 100 < pruned["removed"] < 250
    assert pruned["used_bytes"] <= 200_000
    code, _, err = said("clear", "--yes")

    assert code == 0
    assert f"{300 - pruned['removed']} answers removed" in err
    assert json.loads(said("list", "--json")[1])["entries"] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("prune", "--max-size", "many"), "--max-size: is"),
        (("prune", "--older-than", "7 weeks"), "--older-than: is"),
        (("list", "--redis-url-env", "NO_SUCH_REDIS"), "NO_SUCH_REDIS"),
    ],
)
def test_words_that_make_no_sense_are_refused(said: Said, words: tuple[str, ...], told: str) -> None:
    code, out, err = said(*words)

    assert (code, out) == (2, "")
    assert told in err


def test_a_cache_that_cannot_be_used_is_an_error_of_state(home: Path, said: Said) -> None:
    (home / "cache.db").mkdir(parents=True)

    code, out, err = said("list")

    assert (code, out) == (4, "")
    assert "cache.db" in err and "Traceback" not in err


def test_a_damaged_cache_is_put_aside_and_named(home: Path, said: Said) -> None:
    home.mkdir()
    (home / "cache.db").write_bytes(b"no database" * 1000)

    code, _, err = said("list")
    again, _, _ = said("list")

    assert (code, again) == (4, 0)
    assert "put aside" in err
    assert len(list(home.glob("cache.db.damaged-*"))) == 1
