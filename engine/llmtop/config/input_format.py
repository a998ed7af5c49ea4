"""Which format an input file has, by its name or by what the config says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

InputFormat = Literal["jsonl", "csv", "tsv", "txt"]

STDIN = Path("-")
_SUFFIXES: dict[str, InputFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "txt",
}
_LATER = frozenset({".parquet", ".zst"})


def is_gzip_name(path: Path) -> bool:
    """Whether the name says that the file is compressed with gzip."""
    return path.suffix.lower() == ".gz"


def format_by_name(path: Path) -> InputFormat | None:
    """Return the format that a name says, or None. Standard input is JSONL unless told otherwise."""
    if path == STDIN:
        return "jsonl"
    suffix = Path(path.stem).suffix if is_gzip_name(path) else path.suffix
    return _SUFFIXES.get(suffix.lower())


def is_later(path: Path) -> bool:
    """Whether the name says a format that is not available yet."""
    return path.suffix.lower() in _LATER


def why_not_by_name(path: Path) -> tuple[str, str]:
    """Say what is wrong with a name that tells no format, and what would be right."""
    suffix = path.suffix.lower()
    if suffix in _LATER:
        return (
            f'"{suffix}" input is not available yet',
            "Available: .jsonl .csv .tsv .txt, each also with .gz.",
        )
    if suffix == ".json":
        return (
            "is a .json file, and items come one a line",
            'Save it as .jsonl, or set input.format = "jsonl".',
        )
    return (
        "has a name that tells no format",
        "Name it .jsonl, .csv, .tsv or .txt (also with .gz), or set input.format.",
    )
