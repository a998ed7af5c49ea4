"""Items of one input: one checking pass before the first request, then lazily as they are needed.

Memory stays the same whatever the size of the input, but for 10 to 20 bytes an item during `scan`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from llmtop.adapters.sources.ids import BadId, SeenIds, id_text, shown_id
from llmtop.adapters.sources.jsonl import without_surrogates
from llmtop.adapters.sources.lines import Line, LineFile, at_line, shown_name
from llmtop.adapters.sources.records import Format, NoDigest, Record, format_of
from llmtop.adapters.sources.shapes import BadShape, BatchLines, check_shape, kind_of_item
from llmtop.adapters.sources.spool import spool_stdin
from llmtop.cleaning import clean
from llmtop.config.input_format import STDIN, format_by_name, why_not_by_name
from llmtop.config.schema import InputConfig
from llmtop.errors import InputError
from llmtop.model import Item

_PROGRESS_EVERY = 512
_OWN_IDS = ("id", "custom_id")


class ScannedItem(NamedTuple):
    """What a run keeps of an item: enough to find it again."""

    seq: int
    id: str
    line: int
    offset: int
    """Where its line starts in the file, in bytes; -1 where the file cannot be entered in the middle."""


def open_source(config: InputConfig, *, spool: Path | None = None, stdin: BinaryIO | None = None) -> Source:
    """Return the source that a config names. Standard input is first copied to `spool`.

    Without `stdin` what an earlier call copied to `spool` is read again. Raises InputError.
    """
    name = "standard input" if config.path == STDIN else shown_name(config.path)
    kind = config.format or format_by_name(config.path)
    if kind is None:
        raise InputError(name, *why_not_by_name(config.path))
    path = spool_stdin(spool, stdin) if config.path == STDIN else config.path
    return Source(config, path, name, format_of(kind, name))


class Source:
    """The items of one file, in its order. Holds no file open between calls."""

    def __init__(self, config: InputConfig, path: Path, name: str, format_: Format) -> None:
        self._config = config
        self._path = path
        self._format = format_
        self.name = name
        self.digest: str | None = None
        """SHA-256 in hex of the lines that were read, once a scan came to its end."""
        self.count: int | None = None
        """Items, once a scan came to its end."""

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {'not scanned' if self.count is None else f'{self.count} items'})"

    def scan(
        self,
        needed_fields: frozenset[str] | None,
        on_progress: Callable[[float], None] | None = None,
        lines: BatchLines = "openai",
    ) -> Iterator[ScannedItem]:
        """Read everything once and check it; sets `digest` and `count` at its end.

        `needed_fields` are those of the prompt; None: there is no prompt, so an item must bring its
        messages. `on_progress` gets the part of the file that was read, 0 to 1. `lines`: whose batch
        lines the provider can be sent. Raises InputError at the first fault.
        """
        digest = hashlib.sha256()
        seen = SeenIds()
        count = 0
        with LineFile(self._path, self.name) as file:
            for record in self._format.records(file, digest):
                item = self._item(count, record)
                try:
                    check_shape(item.kind, item.fields, needed_fields, lines)
                except BadShape as error:
                    raise InputError(at_line(self.name, record.line), error.what, error.remedy) from None
                if seen.add(item.id):
                    self._refuse_twin(item)
                yield ScannedItem(count, item.id, record.line, record.offset)
                count += 1
                if on_progress is not None and count % _PROGRESS_EVERY == 0:
                    on_progress(file.progress())
                if count == self._config.limit:
                    break
        if count == 0:
            raise InputError(self.name, "has no items", "Is it the right file?")
        self.digest = digest.hexdigest()
        self.count = count
        if on_progress is not None:
            on_progress(1.0)

    def items(self, wanted: Iterable[int]) -> Iterator[Item]:
        """Yield the items of these seqs, which must go up, in one pass; only they are parsed.

        Raises InputError when the input has become shorter or an item unreadable.
        """
        seqs = iter(wanted)
        target = next(seqs, None)
        if target is None:
            return
        with LineFile(self._path, self.name) as file:
            for seq, record in enumerate(self._format.records(file, NoDigest())):
                if seq != target:
                    continue
                yield self._item(seq, record)
                target = next(seqs, None)
                if target is None:
                    return
                if target <= seq:
                    raise ValueError(f"seq {target} after {seq}: they must go up")
        raise InputError(
            self.name, f"has no item {target + 1} any more", "The input was changed during the run."
        )

    def item(self, seq: int, offset: int, line: int = 0) -> Item:
        """Return one item: at once where `offset` is known, else by reading up to it.

        `line` is its line number where that is known. Raises InputError.
        """
        if offset >= 0:
            with LineFile(self._path, self.name) as file:
                found = file.line_at(offset, line)
            record = Record(line, offset, found)
            fields = self._format.fields(record)
            if line or self._own_id_field(fields) is not None:
                return self._built(seq, record, fields)
        return next(self.items((seq,)))

    def _item(self, seq: int, record: Record) -> Item:
        return self._built(seq, record, self._format.fields(record))

    def _built(self, seq: int, record: Record, fields: dict[str, Any]) -> Item:
        item_id = self._id_of(fields, record.line)
        if isinstance(record.content, Line) and b"\\u" in record.content.raw:
            fields = without_surrogates(fields)
        return Item(seq, item_id, fields, kind_of_item(fields), record.line)

    def _id_of(self, fields: dict[str, Any], line: int) -> str:
        name = self._own_id_field(fields)
        if name is None:
            return str(line)
        try:
            return id_text(fields[name])
        except KeyError:
            shown = clean(name, limit=60)
            remedy = "Set input.id_field to a field that each item has, or leave it out."
            raise InputError(at_line(self.name, line), f'has no field "{shown}" for its id', remedy) from None
        except BadId as error:
            what = f'the id (field "{clean(name, limit=60)}") {error}'
            remedy = "An id is text of 1 to 512 characters, or a number."
            raise InputError(at_line(self.name, line), what, remedy) from None

    def _own_id_field(self, fields: dict[str, Any]) -> str | None:
        if self._config.id_field is not None:
            return self._config.id_field
        for name in _OWN_IDS:
            if name in fields:
                return name
        return None

    def _refuse_twin(self, item: Item) -> None:
        """Look for the earlier item with the same id; return when only the digests were alike."""
        for twin in self.items(range(item.seq)):
            if twin.id == item.id:
                what = f"has the id {shown_id(item.id)}, as line {twin.line} has"
                remedy = 'Ids must differ (1 and "1" are the same id).'
                raise InputError(at_line(self.name, item.line), what, remedy)
