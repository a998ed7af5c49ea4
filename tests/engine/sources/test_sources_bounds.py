"""What a scan remembers, how far it goes, and what any bytes and ids come to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs import NOTHING_NEEDED, Make, scanned

from llmtop.adapters.sources import open_source
from llmtop.adapters.sources.ids import SeenIds
from llmtop.config.schema import InputConfig
from llmtop.errors import InputError


def test_only_the_wanted_items_are_parsed_and_each_is_found_again_by_its_offset(make: Make) -> None:
    source = make("\ufeff" + "".join(f'{{"n":{n}}}\n\n' for n in range(50)))
    found = scanned(source)

    assert [item.fields["n"] for item in source.items([3, 7, 49])] == [3, 7, 49]
    for one in found:
        assert source.item(one.seq, one.offset, one.line).id == one.id
        assert source.item(one.seq, one.offset).id == one.id
        assert source.item(one.seq, -1).fields == {"n": one.seq}


def test_seqs_that_do_not_go_up_are_a_bug_and_a_shorter_file_is_an_input_error(
    make: Make, tmp_path: Path
) -> None:
    source = make('{"n":1}\n{"n":2}\n')

    with pytest.raises(ValueError, match="go up"):
        list(source.items([1, 0]))
    with pytest.raises(InputError, match="has no item 3 any more"):
        list(source.items([0, 2]))


def test_the_limit_stops_the_scan_and_bounds_the_digest(make: Make) -> None:
    short = make('{"n":1}\n{"n":2}\n{"n":3}\nbroken', limit=2)
    first = scanned(short)
    digest = short.digest
    other = make('{"n":1}\r\n{"n":2}')

    scanned(other)

    assert (len(first), short.count) == (2, 2)
    assert digest == other.digest
    longer = make('{"n":1}\n{"n":2}\n{"n":3}\n')
    scanned(longer)
    assert longer.digest != digest


def test_progress_goes_up_to_the_end(make: Make) -> None:
    source = make("".join(f'{{"n":{n}}}\n' for n in range(2000)))
    seen: list[float] = []

    list(source.scan(NOTHING_NEEDED, seen.append))

    assert seen == sorted(seen)
    assert len(seen) > 2
    assert seen[-1] == 1.0
    assert source.count == 2000


def test_seen_ids_take_at_most_twenty_one_bytes_each() -> None:
    seen = SeenIds()

    assert not any(seen.add(f"item-{n}") for n in range(20_000))
    assert all(seen.add(f"item-{n}") for n in range(20_000))
    assert len(seen) == 20_000
    assert len(seen._slots) * 8 <= 21 * 20_000


def test_two_ids_that_only_share_a_digest_are_no_duplicates(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SeenIds, "add", lambda self, text: True)

    assert len(scanned(make('{"id":"a"}\n{"id":"b"}\n'))) == 2


@settings(max_examples=50, deadline=None)
@given(ids=st.lists(st.text(st.characters(codec="utf-8"), max_size=20) | st.integers(), max_size=20))
def test_a_scan_takes_distinct_good_ids_and_refuses_all_else(
    tmp_path_factory: pytest.TempPathFactory, ids: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("ids") / "in.jsonl"
    path.write_text("".join(json.dumps({"id": one}) + "\n" for one in ids))
    texts = [str(one) for one in ids]
    is_good = len(set(texts)) == len(texts) > 0 and all(text.strip() and "\0" not in text for text in texts)

    try:
        found = scanned(open_source(InputConfig(path=path)))
    except InputError:
        assert not is_good
    else:
        assert is_good
        assert [item.id for item in found] == texts


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=200), name=st.sampled_from(["a.jsonl", "a.csv", "a.tsv", "a.txt", "a.txt.gz"]))
def test_any_bytes_are_taken_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(raw)
    source = open_source(InputConfig(path=path))

    try:
        found = scanned(source)
    except InputError:
        return
    assert [item.id for item in source.items(range(len(found)))] == [item.id for item in found]
