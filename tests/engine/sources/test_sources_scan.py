"""Input is checked whole before the first request, and read lazily after."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from inputs import Make, fault, scanned

from llmtop.adapters.sources import open_source
from llmtop.adapters.sources.lines import MAX_LINE_BYTES
from llmtop.config.schema import InputConfig
from llmtop.errors import InputError


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has no items"),
        ("\n \r\n\t\n", "has no items"),
        ("\ufeff", "has no items"),
        ('{"a":1}\n{"a":\n', "line 2: is not JSON"),
        ('{"a":1}\n{"a":"tex', "line 2: is not JSON: the file ends in the middle"),
        ('{"a":1}\n{"a":1', "line 2: is not JSON: the file ends in the middle"),
        ("[1]\n", "line 1: is a list and not an object"),
        ("3\n", "line 1: is a number"),
        ("null\n", "line 1: is null"),
        ('"x"\n', "line 1: is text"),
        ('{"a":NaN}\n', "line 1: is not JSON (NaN"),
        ('{"a":-Infinity}\n', "line 1: is not JSON (-Infinity"),
        ('{"a":' + "[" * 100_000 + "\n", "line 1: is"),
        ('{"a":' + "9" * 5000 + "}\n", "line 1: holds a number with thousands"),
        ('{"a":1} {"a":2}\n', "line 1: is not JSON"),
        (b'{"a":1}\n{"a":"\xff"}\n', "line 2: is not UTF-8"),
        (b'{"a":1}\n{"a":"\xed\xa0\x80"}\n', "line 2: is not UTF-8"),
        (b'{"a":1}\n\0\n', "line 2: is not JSON"),
        ('{"id":null}\n', 'the id (field "id") is null'),
        ('{"id":""}\n', "is blank"),
        ('{"id":" \\t"}\n', "is blank"),
        ('{"id":[1]}\n', "is a list"),
        ('{"id":{}}\n', "is an object"),
        ('{"id":true}\n', "is a boolean"),
        ('{"id":NaN}\n', "is not JSON"),
        ('{"id":1e999}\n', "line 1:"),
        ('{"id":"' + "x" * 513 + '"}\n', "is longer than 512 characters"),
        ('{"id":"\\ud800"}\n', "lone surrogate"),
        ('{"id":"a\\u0000"}\n', "NUL"),
        ('{"id":"a"}\n\n{"id":"b"}\n{"id":"a"}\n', 'line 4: has the id "a", as line 1 has'),
        ('{"id":1}\n{"id":"1"}\n', 'line 2: has the id "1", as line 1 has'),
        ('{"id":"2"}\n{"x":1}\n', 'line 2: has the id "2", as line 1 has'),
        ('{"custom_id":"a"}\n{"id":"a"}\n', "line 2: has the id"),
        ("\ufeff".encode("utf-16") + '{"a":1}'.encode("utf-16-le"), "is UTF-16"),
        ('{"a":1}'.encode("utf-16-le"), "is UTF-16"),
        ('{"a":1}'.encode("utf-32"), "is UTF-16 or UTF-32"),
        (gzip.compress(b'{"a":1}\n', mtime=0), "is a gzip file, and its name does not say so"),
        (b"PAR1....", "is a Parquet file"),
        (b"PK\x03\x04....", "is a zip file"),
        (b"\x28\xb5\x2f\xfd....", "is a zstd file"),
    ],
)
def test_bad_jsonl_is_refused_with_its_line(make: Make, content: str | bytes, said: str) -> None:
    told = fault(make(content))

    assert said in told
    assert "in.jsonl" in told


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id":"a","messages":[]}', "has no messages"),
        ('{"id":"a","messages":[1]}', "message 1 is no object with a role"),
        ('{"custom_id":"a","body":1}', "has a body that is not an object"),
        ('{"custom_id":"a","body":{}}', "has no messages"),
        ('{"custom_id":"a","url":"/v1/embeddings","body":{}}', "has the url /v1/embeddings"),
        ('{"custom_id":"a","method":"GET","body":{}}', "has a method other than POST"),
        ('{"custom_id":"a","body":{"stream":true}}', "asks for a stream"),
        ('{"custom_id":"a","body":{"n":2}}', "asks for several answers"),
        ('{"custom_id":"a","params":{}}', "is an Anthropic batch line"),
    ],
)
def test_a_ready_request_is_checked_for_its_shape(make: Make, line: str, said: str) -> None:
    assert f"line 1: {said}" in fault(make(line), None)


def test_a_field_that_the_prompt_needs_is_missed_with_file_line_and_name(make: Make) -> None:
    told = fault(make('{"title":"a","text":null}\n{"title":"b"}\n'), frozenset({"title", "text"}))

    assert 'in.jsonl: line 2: has no field "text", which the prompt needs; It has: title.' in told


def test_plain_fields_without_a_prompt_are_refused_but_ready_messages_are_not(make: Make) -> None:
    assert "Set request.prompt" in fault(make('{"text":"a"}\n'), None)
    assert scanned(make('{"id":"a","messages":[{"role":"user","content":"x"}]}\n'), None)


def test_what_may_stand_in_a_file_is_taken(make: Make) -> None:
    text = '\ufeff{"id":"a","t":"x\u2028y"}\r\n\r\n  \n{"id":7}\n{"id":1.5}\n{"t":"\\ud800z"}\n'
    text += '{"id":12345678901234567890123}'

    source = make(text)
    items = scanned(source)

    assert [(item.id, item.line) for item in items] == [
        ("a", 1),
        ("7", 4),
        ("1.5", 5),
        ("6", 6),
        ("12345678901234567890123", 7),
    ]
    assert [item.fields.get("t") for item in source.items(range(5))] == [
        "x\u2028y",
        None,
        None,
        "\ufffdz",
        None,
    ]


@pytest.mark.parametrize(
    "odd", ["../../x", "-rf", "a/b", "x" * 512, "'\";--", "$(id)", "[/b]", "日本", "a\nb"]
)
def test_an_id_is_data_of_any_script(make: Make, odd: str) -> None:
    source = make(json.dumps({"id": odd}) + "\n")

    assert scanned(source)[0].id == odd
    assert next(source.items([0])).id == odd


@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz"])
def test_a_line_over_the_limit_is_refused_without_reading_it_whole(
    make: Make, name: str, tmp_path: Path
) -> None:
    source = make('{"a":1}\n', name)
    with (gzip.open if name.endswith(".gz") else open)(tmp_path / name, "ab") as file:  # type: ignore[operator]
        for _ in range(MAX_LINE_BYTES // 2**20 * 3):
            file.write(b"x" * 2**20)

    assert "line 2: is longer than 16 MiB" in fault(source)


def test_a_line_of_exactly_the_limit_is_taken(make: Make) -> None:
    filler = MAX_LINE_BYTES - len('{"a":""}')

    assert len(scanned(make('{"a":"' + "x" * filler + '"}\r\n{"b":1}'))) == 2


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.txt", "in.txt.gz"])
def test_missing_folder_pipe_and_device_are_refused_without_blocking(tmp_path: Path, name: str) -> None:
    def told(path: Path) -> str:
        return fault(open_source(InputConfig(path=path)))

    assert "there is no such file" in told(tmp_path / name)
    (tmp_path / name).mkdir()
    assert "is a folder" in told(tmp_path / name)
    (tmp_path / name).rmdir()
    os.mkfifo(tmp_path / name)
    assert "is a pipe" in told(tmp_path / name)
    with pytest.raises(InputError, match="is a device"):
        scanned(open_source(InputConfig(path=Path("/dev/zero"), format="txt")))


def test_gzip_that_is_none_or_cut_or_damaged_is_said_to_be_so(make: Make, tmp_path: Path) -> None:
    source = make(
        "".join(json.dumps({"id": n, "t": os.urandom(50).hex()}) + "\n" for n in range(500)), "in.jsonl.gz"
    )
    whole = (tmp_path / "in.jsonl.gz").read_bytes()

    (tmp_path / "in.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    assert "the compressed data end in the middle" in fault(source)
    (tmp_path / "in.jsonl.gz").write_bytes(whole[:2000] + b"\xff" * 100 + whole[2100:])
    assert "in.jsonl.gz: line " in fault(source)
    (tmp_path / "in.jsonl.gz").write_bytes(b'{"id":1}\n')
    assert "is not a gzip file" in fault(source)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n", "has no items"),
        ("a,b\n1,2,3\n", "line 2: has 3 cells, and the header has 2"),
        ("a,b\n1\n", "line 2: has 1 cells"),
        ("a,a\n1,2\n", 'line 1: the header names "a" twice'),
        ('a,b\n1,"x\n\n', "line 2: is not CSV"),
        ('a,b\n1,2\n1,"x"y\n', "line 3: is not CSV"),
        ("id,b\n,2\n", "line 2: the id"),
        ('id,b\n1,"x\ny"\n1,2\n', 'line 4: has the id "1", as line 2 has'),
        (b"a,b\n1,\xff\n", "line 2: is not UTF-8"),
    ],
)
def test_bad_csv_is_refused_with_the_line_where_its_row_begins(
    make: Make, content: str | bytes, said: str
) -> None:
    assert said in fault(make(content, "in.csv"))


def test_a_quote_that_is_never_closed_is_not_read_to_the_end_of_a_large_file(make: Make) -> None:
    body = b'a,b\n1,"' + (b"x" * 2**20 + b"\n") * 20

    assert "line 2: the row is longer than 16 MiB; Is a quote never closed?" in fault(make(body, "in.csv"))


@pytest.mark.parametrize(("name", "separator"), [("in.csv", ","), ("in.tsv", "\t"), ("in.csv.gz", ",")])
def test_cells_hold_quotes_separators_and_line_ends_as_they_came(
    make: Make, name: str, separator: str
) -> None:
    text = (
        separator.join(["id", "t"])
        + "\r\n"
        + separator.join(["x", f'"a ""b""{separator}\r\nc"'])
        + "\r\n\r\ny"
        + separator
    )

    source = make("\ufeff" + text, name)

    assert [(item.id, item.line, item.offset) for item in scanned(source)] == [("x", 2, -1), ("y", 5, -1)]
    assert [dict(item.fields) for item in source.items([0, 1])] == [
        {"id": "x", "t": f'a "b"{separator}\r\nc'},
        {"id": "y", "t": ""},
    ]


def test_txt_is_an_item_a_line_that_is_not_blank(make: Make) -> None:
    source = make("one\n\n  two \r\nthree\u2028still three", "in.txt")

    assert [item.id for item in scanned(source, frozenset({"text"}))] == ["1", "3", "4"]
    assert [item.fields["text"] for item in source.items([0, 1, 2])] == [
        "one",
        "  two ",
        "three\u2028still three",
    ]
    assert "line 2: is not UTF-8" in fault(make(b"a\n\xff\n", "in.txt"))


def test_an_id_field_of_ones_own_must_be_in_every_item(make: Make) -> None:
    assert [item.id for item in scanned(make('{"id":"x","key":"k"}\n', id_field="key"))] == ["k"]
    assert 'line 2: has no field "key" for its id' in fault(make('{"key":1}\n{"id":1}\n', id_field="key"))


def test_the_four_shapes_are_told_apart(make: Make) -> None:
    message = [{"role": "user", "content": "x"}]
    lines = [{"id": 1}, {"id": 2, "messages": message}, {"custom_id": "c", "body": {"messages": message}}]
    source = make("".join(json.dumps(line) + "\n" for line in lines))

    scanned(source)

    assert [item.kind for item in source.items(range(3))] == ["fields", "messages", "openai"]


ANTHROPIC_LINE = '{"custom_id":"a","params":{"max_tokens":5,"messages":[{"role":"user","content":"x"}]}}'


def test_a_batch_line_is_an_item_only_of_the_provider_that_it_was_made_for(make: Make) -> None:
    (item,) = make(ANTHROPIC_LINE).scan(None, lines="anthropic")
    assert item.id == "a"

    with pytest.raises(InputError, match="is an Anthropic batch line, which this provider cannot be sent"):
        list(make(ANTHROPIC_LINE).scan(None, lines=None))
    with pytest.raises(InputError, match="is an OpenAI batch line, which this provider cannot be sent"):
        list(make('{"custom_id":"a","body":{}}').scan(None, lines="anthropic"))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("1", "has params that are not an object"),
        ('{"max_tokens":5,"stream":true}', "asks for a stream"),
        ('{"max_tokens":5,"model":3}', "has a model that is not text"),
        ('{"messages":[{"role":"user","content":"x"}]}', "has no max_tokens"),
        ('{"max_tokens":0}', "has no max_tokens"),
        ('{"max_tokens":5}', "has no messages"),
    ],
)
def test_the_params_of_an_anthropic_line_are_checked(make: Make, params: str, said: str) -> None:
    with pytest.raises(InputError, match=f"line 1: {said}"):
        list(make(f'{{"custom_id":"a","params":{params}}}').scan(None, lines="anthropic"))
