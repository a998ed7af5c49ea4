from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

import pytest
from ledger_values import finishes, line_of, new_ledger, put_all, result

from llmtop.adapters.ledger import Ledger, LedgerReader
from llmtop.control.export import CSV_COLUMNS, export, guarded
from llmtop.errors import StateError, UsageError
from llmtop.model import ItemStatus

ALL: tuple[ItemStatus, ...] = ("done", "rejected", "failed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run that is not there yet."""
    return tmp_path / "runs" / "motions-3f9a2c"


async def _live(folder: Path) -> Ledger:
    ledger = new_ledger(folder, 5)
    results = [
        result(3, output="=1+2"),
        result(0, output="one\ntwo, \u2028three"),
        result(1, "failed"),
        result(2, "rejected"),
    ]
    await put_all(ledger, finishes(*results))
    return ledger


async def test_lines_are_those_of_the_output_file_in_input_order_while_the_run_is_live(folder: Path) -> None:
    ledger = await _live(folder)
    out = io.BytesIO()
    with LedgerReader(folder) as reader:
        count = export(reader, out, "jsonl", ALL, raw=False)
    ledger.close()

    lines = out.getvalue().split(b"\n")
    assert count == 4
    assert [json.loads(line)["id"] for line in lines[:-1]] == ["m-0", "m-1", "m-2", "m-3"]
    assert lines[-1] == b""
    assert line_of(result(1, "failed")).rstrip() in lines


async def test_only_the_wanted_statuses_are_written(folder: Path) -> None:
    ledger = await _live(folder)
    out = folder.parent / "failed.jsonl"
    with LedgerReader(folder) as reader:
        count = export(reader, out, "jsonl", ("failed",), raw=False)
    ledger.close()

    assert count == 1
    assert out.read_bytes() == line_of(result(1, "failed"))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


@pytest.mark.parametrize(("raw", "cell"), [(False, "'=1+2"), (True, "=1+2")])
async def test_a_table_reads_back_and_its_formulas_are_quoted(folder: Path, raw: bool, cell: str) -> None:
    ledger = await _live(folder)
    out = io.BytesIO()
    with LedgerReader(folder) as reader:
        count = export(reader, out, "csv", ALL, raw=raw)
    ledger.close()

    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode(), newline="")))
    assert count == len(rows) == 4
    assert list(rows[0]) == list(CSV_COLUMNS)
    assert rows[0]["output"] == "one\ntwo, \u2028three"
    assert rows[3]["output"] == cell
    assert (rows[1]["error_type"], rows[1]["cost_usd"], rows[1]["pack_id"]) == ("timeout", "0.0000271", "")


async def test_an_export_of_nothing_is_an_empty_file_or_a_head(folder: Path) -> None:
    new_ledger(folder).close()
    lines, table = io.BytesIO(), io.BytesIO()
    with LedgerReader(folder) as reader:
        assert export(reader, lines, "jsonl", ALL, raw=False) == 0
        assert export(reader, table, "csv", ALL, raw=False) == 0

    assert lines.getvalue() == b""
    assert table.getvalue().decode().strip() == ",".join(CSV_COLUMNS)


@pytest.mark.parametrize(
    "cell", ["=A1", "+cmd", "-x", "@sum", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠x", "-1-2"]
)
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "-1", "+1.5", "-0.0000271", "-1e5", "plain", "a=b", " =x", "5"])
def test_a_plain_number_or_text_stays_as_it_is(cell: str) -> None:
    assert guarded(cell) == cell


async def test_an_export_replaces_a_file_in_one_step_and_no_link(folder: Path, tmp_path: Path) -> None:
    ledger = await _live(folder)
    ledger.close()
    old = tmp_path / "old.jsonl"
    old.write_bytes(b"old")
    link = tmp_path / "link.jsonl"
    link.symlink_to(old)
    with LedgerReader(folder) as reader:
        with pytest.raises(StateError, match="is a symbolic link"):
            export(reader, link, "jsonl", ALL, raw=False)
        assert old.read_bytes() == b"old"
        with pytest.raises(StateError, match="cannot be written"):
            export(reader, tmp_path / "no folder" / "x.jsonl", "jsonl", ALL, raw=False)
        export(reader, old, "jsonl", ALL, raw=False)

    assert old.read_bytes().count(b"\n") == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.jsonl", "old.jsonl", "runs"]


async def test_a_format_that_is_not_there_is_refused_and_no_file_is_made(
    folder: Path, tmp_path: Path
) -> None:
    new_ledger(folder).close()
    with LedgerReader(folder) as reader, pytest.raises(UsageError, match="parquet is not available yet"):
        export(reader, tmp_path / "x.parquet", "parquet", ALL, raw=False)

    assert not (tmp_path / "x.parquet").exists()
