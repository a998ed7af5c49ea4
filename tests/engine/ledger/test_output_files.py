from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_values import (
    finishes,
    ids_in,
    line_of,
    lines_in_ledger,
    new_ledger,
    put_all,
    result,
    run_record,
)

from llmtop.adapters.ledger import Ledger
from llmtop.errors import InputError, StateError
from llmtop.model import ItemStatus


async def _run_of_three(folder: Path) -> Path:
    """A run with three lines whose process died: the ledger says that it was not closed in order."""
    ledger = new_ledger(folder)
    await put_all(ledger, finishes(*map(result, range(3))))
    _die(ledger)
    return folder.parent / "out.jsonl"


def _die(ledger: Ledger) -> None:
    """Let go of everything as the end of a process does: nothing is settled."""
    ledger._output.close()
    ledger._reader.close()
    ledger._connection.close()
    ledger._lock.release()


THREE = b"".join(line_of(result(seq)) for seq in range(3))


async def test_lines_are_in_the_file_while_the_run_goes(folder: Path) -> None:
    ledger = new_ledger(folder)
    await put_all(ledger, finishes(result(2), result(0)))

    assert (folder.parent / "out.jsonl").read_bytes() == line_of(result(2)) + line_of(result(0))
    ledger.close()


@pytest.mark.parametrize(
    ("found", "notice"),
    [
        (THREE + b'{"id": "not committed"}\n', "cut back to its"),
        (THREE + b'{"id": "torn', "cut back to its"),
        (THREE[:-1], "completed from the ledger"),
        (THREE[:700], "completed from the ledger"),
        (THREE[:20], "completed from the ledger"),
        (THREE[:-200] + b"\0" * 200, "completed from the ledger"),
        (THREE[: len(line_of(result(0)))] + b"\0" * 5000, "cut back to its"),
        (b"", None),
        (None, None),
        (THREE, None),
    ],
)
async def test_after_a_crash_the_file_is_what_the_ledger_says(
    folder: Path, found: bytes | None, notice: str | None
) -> None:
    output = await _run_of_three(folder)
    output.unlink()
    if found is not None:
        output.write_bytes(found)

    ledger = Ledger.open(folder)
    ledger.close()

    assert output.read_bytes() == THREE
    assert [path.name for path in folder.parent.glob("out*")] == ["out.jsonl"]
    assert [notice in said for said in ledger.notices] == ([True] if notice else []), ledger.notices


@pytest.mark.parametrize("is_closed", [True, False])
async def test_a_file_that_is_not_ours_is_put_aside_and_not_overwritten(
    folder: Path, is_closed: bool
) -> None:
    output = await _run_of_three(folder)
    if is_closed:
        Ledger.open(folder).close()
    output.write_bytes(b"my own notes\n")
    (output.parent / "out.jsonl.1").write_bytes(b"taken")

    ledger = Ledger.open(folder)
    ledger.close()

    assert output.read_bytes() == THREE
    assert (output.parent / "out.jsonl.2").read_bytes() == b"my own notes\n"
    assert "put aside as out.jsonl.2" in ledger.notices[0]


def test_a_new_run_puts_the_output_of_an_older_one_aside(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    (folder.parent / "out.jsonl").write_bytes(b'{"id":"m-0"}\n')

    ledger = new_ledger(folder)
    ledger.close()

    assert (folder.parent / "out.jsonl").read_bytes() == b""
    assert (folder.parent / "out.jsonl.1").read_bytes() == b'{"id":"m-0"}\n'
    assert len(ledger.notices) == 1


async def test_a_file_that_lost_its_last_line_after_a_good_end_is_completed(folder: Path) -> None:
    output = await _run_of_three(folder)
    Ledger.open(folder).close()
    os.truncate(output, len(THREE) - 30)

    Ledger.open(folder).close()

    assert output.read_bytes() == THREE


async def test_a_file_that_was_moved_away_under_the_run_is_written_again_at_its_end(folder: Path) -> None:
    ledger = new_ledger(folder)
    output = folder.parent / "out.jsonl"
    await put_all(ledger, finishes(result(0)))
    output.rename(output.with_name("mine.jsonl"))
    for entry in finishes(result(1)):
        ledger.put(entry)

    ledger.close()

    assert ids_in(output) == ["m-0", "m-1"]


async def test_a_planted_link_is_not_written_through(folder: Path, tmp_path: Path) -> None:
    output = await _run_of_three(folder)
    output.unlink()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    output.symlink_to(victim)

    with pytest.raises(StateError, match="is a symbolic link"):
        Ledger.open(folder)

    assert victim.read_bytes() == b"precious"


def test_a_device_or_pipe_is_no_output_file(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    os.mkfifo(folder.parent / "out.jsonl")

    ledger = Ledger.create(folder, run_record(folder))
    with closing(ledger), pytest.raises(StateError, match=r"out\.jsonl"):
        ledger.add_items([(0, "m-0", 1, 0)])


def test_an_input_that_is_faulty_leaves_the_output_file_as_it_was(folder: Path) -> None:
    output = folder.parent / "out.jsonl"
    folder.parent.mkdir(parents=True)
    output.write_bytes(b"an earlier run's\n")

    ledger = Ledger.create(folder, run_record(folder))
    with closing(ledger), pytest.raises(InputError):
        ledger.add_items([(0, "m-0", 1, 0), (1, "m-0", 2, 10)])

    assert output.read_bytes() == b"an earlier run's\n"
    assert list(output.parent.glob("out.jsonl*")) == [output]


def test_two_live_runs_never_write_one_file(folder: Path) -> None:
    other = folder.with_name("motions-aa11bb")

    with closing(new_ledger(folder)):
        ledger = Ledger.create(other, run_record(other))
        with closing(ledger), pytest.raises(StateError, match="is being written by another run"):
            ledger.add_items([(0, "m-0", 1, 0)])


async def test_an_output_file_that_is_named_anew_is_filled_and_the_old_one_stays(folder: Path) -> None:
    old = await _run_of_three(folder)
    new = old.with_name("new.jsonl")

    with closing(Ledger.open(folder, run_record(folder, output_path=str(new)))) as ledger:
        assert ledger.record.output_path == str(new)

    assert old.read_bytes() == new.read_bytes() == THREE


async def test_rejected_results_go_to_a_file_of_their_own_where_one_is_named(folder: Path) -> None:
    rejected = folder.parent / "rejected.jsonl"
    ledger = new_ledger(folder, rejected_path=str(rejected))
    await put_all(
        ledger, finishes(result(0), result(1, "rejected"), result(2, "failed"), result(3, "rejected"))
    )
    _die(ledger)
    rejected.unlink()

    Ledger.open(folder).close()

    assert ids_in(folder.parent / "out.jsonl") == ["m-0", "m-2"]
    assert ids_in(rejected) == ["m-1", "m-3"]


def test_one_file_for_all_and_for_the_rejected_is_refused(folder: Path) -> None:
    with pytest.raises(StateError, match="is the same file"):
        Ledger.create(folder, run_record(folder, rejected_path=str(folder.parent / "out.jsonl")))


async def test_a_run_without_an_output_file_keeps_its_results(folder: Path) -> None:
    ledger = new_ledger(folder, output_path=None)
    await put_all(ledger, finishes(result(0), result(1)))
    assert ledger.requeue(["done"], ["m-0"]) == 1
    ledger.close()

    again = Ledger.open(folder)
    assert (again.counts().done, again.notices) == (1, ())
    again.close()


async def test_a_requeue_that_was_cut_off_before_the_file_was_written_is_finished_on_opening(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = await _run_of_three(folder)
    ledger = Ledger.open(folder)
    with monkeypatch.context() as crash:
        crash.setattr("llmtop.adapters.ledger.output.Output.rewrite", _raise_full)
        with pytest.raises(StateError):
            ledger.requeue(["done"], ["m-0"])
    _die(ledger)
    assert ids_in(output) == ["m-0", "m-1", "m-2"]

    Ledger.open(folder).close()

    assert ids_in(output) == ["m-1", "m-2"]
    assert [path.name for path in folder.parent.glob("out*")] == ["out.jsonl"]


async def test_a_rewritten_file_keeps_the_rights_that_the_user_gave_it(folder: Path) -> None:
    output = await _run_of_three(folder)
    output.chmod(0o644)
    ledger = Ledger.open(folder)
    ledger.requeue(["done"], ["m-0"])
    ledger.close()

    assert stat.S_IMODE(output.stat().st_mode) == 0o644


_STATUS = st.sampled_from(["done", "failed", "rejected"])
_STEPS = st.one_of(
    st.tuples(st.just("put"), st.lists(st.tuples(st.integers(0, 11), _STATUS), max_size=5)),
    st.tuples(st.just("requeue"), st.lists(_STATUS, min_size=1, max_size=2, unique=True)),
    st.tuples(st.just("close"), st.none()),
    st.tuples(st.just("crash and cut"), st.integers(0, 4000)),
    st.tuples(st.just("crash and append"), st.binary(min_size=1, max_size=50)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(_STEPS, max_size=8), has_rejected=st.booleans())
async def test_whatever_happens_the_files_hold_each_item_as_the_ledger_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object]], has_rejected: bool
) -> None:
    folder = tmp_path_factory.mktemp("any") / "run"
    output, rejected = folder.parent / "out.jsonl", folder.parent / "rejected.jsonl"
    ledger = new_ledger(folder, 12, rejected_path=str(rejected) if has_rejected else None)
    model: dict[str, ItemStatus] = {}

    for name, value in steps:
        match name, value:
            case "put", list():
                await put_all(ledger, finishes(*(result(seq, status) for seq, status in value)))
                for seq, status in value:
                    model.setdefault(f"m-{seq}", status)
            case "requeue", list():
                gone = [id for id, status in model.items() if status in value]
                assert ledger.requeue(value) == len(gone)
                model = {id: status for id, status in model.items() if id not in gone}
            case "close", _:
                ledger.close()
                ledger = Ledger.open(folder)
            case "crash and cut", int():
                _end_badly(ledger)
                os.truncate(output, min(value, output.stat().st_size))
                ledger = Ledger.open(folder)
            case "crash and append", bytes():
                _end_badly(ledger)
                with output.open("ab") as file:
                    file.write(value)
                ledger = Ledger.open(folder)

    ledger.close()
    kept = {"done", "failed"} if has_rejected else {"done", "failed", "rejected"}
    assert output.read_bytes() == lines_in_ledger(folder, lambda status: status in kept)
    if has_rejected:
        assert rejected.read_bytes() == lines_in_ledger(folder, lambda status: status not in kept)
    found = ids_in(output) + (ids_in(rejected) if has_rejected else [])
    assert sorted(found) == sorted(model)
    assert ledger.failure is None


def _end_badly(ledger: Ledger) -> None:
    if ledger._writer is not None:
        ledger._writer.stop(1.0)
    _die(ledger)


def _raise_full(*_: object) -> None:
    raise StateError("out.jsonl", "cannot be written: no space", "")
