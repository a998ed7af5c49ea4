"""The tables of `run.db`, as numbered steps that `PRAGMA user_version` counts.

A step that was released is never edited: a change is a new step. The SQL keeps to what
PostgreSQL also takes, apart from `INTEGER PRIMARY KEY` and `BLOB`, which mean the same there
as `BIGINT PRIMARY KEY` and `BYTEA`. `docs/ledger.md` explains the tables to users.
"""

from __future__ import annotations

import sqlite3

from llmtop.errors import StateError

APPLICATION_ID = 0x6C6C6D74  # "llmt", in the file's header: `file run.db` shows it

_FIRST = (
    """CREATE TABLE run (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        llmtop_version TEXT NOT NULL,
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        config TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        fingerprint_parts TEXT NOT NULL,
        source_path TEXT NOT NULL,
        output_path TEXT,
        rejected_path TEXT,
        prices TEXT NOT NULL,
        item_count BIGINT,
        state TEXT NOT NULL,
        state_detail TEXT NOT NULL,
        is_paused INTEGER NOT NULL,
        exit_code INTEGER,
        started_at DOUBLE PRECISION,
        finished_at DOUBLE PRECISION,
        elapsed_s DOUBLE PRECISION NOT NULL,
        output_state TEXT NOT NULL,
        totals TEXT
    )""",
    """CREATE TABLE items (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        line BIGINT NOT NULL,
        byte_offset BIGINT NOT NULL
    )""",
    """CREATE TABLE attempts (
        id INTEGER PRIMARY KEY,
        seq BIGINT NOT NULL,
        number INTEGER NOT NULL,
        started_at DOUBLE PRECISION NOT NULL,
        reserved_pusd BIGINT NOT NULL,
        ended_at DOUBLE PRECISION,
        outcome TEXT,
        latency_ms BIGINT,
        http_status INTEGER,
        error_type TEXT,
        error_message TEXT,
        retry_after_s DOUBLE PRECISION,
        input_tokens BIGINT,
        cached_input_tokens BIGINT,
        cache_write_tokens BIGINT,
        output_tokens BIGINT,
        reasoning_tokens BIGINT,
        is_estimated INTEGER,
        cost_pusd BIGINT,
        is_maybe_billed INTEGER NOT NULL DEFAULT 0,
        request_id TEXT
    )""",
    "CREATE INDEX attempts_by_item ON attempts (seq)",
    "CREATE INDEX attempts_open ON attempts (seq) WHERE ended_at IS NULL AND is_maybe_billed = 0",
    """CREATE TABLE packed (
        seq BIGINT NOT NULL,
        attempt_id BIGINT NOT NULL
    )""",
    "CREATE INDEX packed_by_item ON packed (seq)",
    """CREATE VIEW sends AS
        SELECT * FROM attempts
        UNION ALL
        SELECT attempts.id, packed.seq, number, started_at, reserved_pusd, ended_at, outcome, latency_ms,
            http_status, error_type, error_message, retry_after_s, input_tokens, cached_input_tokens,
            cache_write_tokens, output_tokens, reasoning_tokens, is_estimated, cost_pusd, is_maybe_billed,
            request_id
        FROM packed JOIN attempts ON attempts.id = packed.attempt_id""",
    """CREATE TABLE responses (
        attempt_id INTEGER PRIMARY KEY,
        body BLOB NOT NULL,
        body_bytes BIGINT NOT NULL
    )""",
    """CREATE TABLE results (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        status TEXT NOT NULL,
        file_end BIGINT NOT NULL,
        error_type TEXT,
        error_message TEXT,
        cost_pusd BIGINT,
        via TEXT NOT NULL,
        latency_ms BIGINT,
        attempts INTEGER NOT NULL,
        input_tokens BIGINT NOT NULL,
        cached_input_tokens BIGINT NOT NULL,
        output_tokens BIGINT NOT NULL,
        reasoning_tokens BIGINT NOT NULL,
        finished_at DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX results_by_status ON results (status, seq)",
    "CREATE INDEX results_by_error ON results (error_type, seq) WHERE error_type IS NOT NULL",
    """CREATE TABLE lines (
        seq INTEGER PRIMARY KEY,
        line BLOB NOT NULL
    )""",
    """CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        what TEXT NOT NULL,
        old TEXT NOT NULL,
        new TEXT NOT NULL,
        why TEXT NOT NULL,
        origin TEXT NOT NULL
    )""",
    """CREATE TABLE commands (
        id INTEGER PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        verb TEXT NOT NULL,
        origin TEXT NOT NULL,
        arguments TEXT,
        is_ok INTEGER NOT NULL,
        message TEXT NOT NULL
    )""",
)

_CACHE = (
    "ALTER TABLE results ADD COLUMN saved_pusd BIGINT",
    "ALTER TABLE results ADD COLUMN is_joined INTEGER NOT NULL DEFAULT 0",
)
CACHE_VERSION = 2
"""From this version on results know what the cache saved."""

_CHECKS = (
    """CREATE TABLE checks (
        attempt_id INTEGER PRIMARY KEY,
        is_same INTEGER NOT NULL
    )""",
    "ALTER TABLE run ADD COLUMN plan TEXT",
)
CHECKS_VERSION = 3
"""From this version on it is known whether packed answers agree with lone ones, and what was planned."""

_BATCHES = (
    """CREATE TABLE batches (
        number INTEGER PRIMARY KEY,
        tag TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        model TEXT NOT NULL,
        requests BIGINT NOT NULL,
        input_bytes BIGINT NOT NULL,
        input_sha256 TEXT NOT NULL,
        tokens BIGINT NOT NULL,
        reserved_pusd BIGINT NOT NULL,
        intended_at DOUBLE PRECISION NOT NULL,
        file_id TEXT,
        batch_id TEXT,
        created_at DOUBLE PRECISION,
        done BIGINT,
        failed BIGINT,
        polled_at DOUBLE PRECISION,
        ended_at DOUBLE PRECISION,
        expires_at DOUBLE PRECISION,
        results_until DOUBLE PRECISION,
        over_at DOUBLE PRECISION,
        error TEXT
    )""",
    """CREATE TABLE batch_items (
        batch BIGINT NOT NULL,
        seq BIGINT NOT NULL,
        custom_id TEXT NOT NULL,
        reserved_pusd BIGINT NOT NULL,
        outcome TEXT,
        attempt_id BIGINT,
        PRIMARY KEY (batch, seq)
    )""",
    "CREATE INDEX batch_items_by_item ON batch_items (seq)",
)
BATCHES_VERSION = 4
"""From this version on there are batch jobs."""

_MEMBERS = ("CREATE INDEX packed_by_attempt ON packed (attempt_id)",)
"""So that the items of a pack are found without reading all packs."""

_OWED = (
    """CREATE TABLE owed (
        seq INTEGER PRIMARY KEY,
        cost_pusd BIGINT
    )""",
)
"""What an item has cost before the call that brings its result; NULL: unknown."""

_LINES = ("CREATE INDEX batch_items_by_line ON batch_items (batch, custom_id)",)
"""So that the items of a job's request are found by its name: a pack has several."""

_ASKED_AGAIN = (
    """CREATE TABLE asked_again (
        attempt_id BIGINT NOT NULL,
        seq BIGINT NOT NULL,
        filters TEXT NOT NULL
    )""",
)
ASKED_AGAIN_VERSION = 8
"""From this version on answers are known that a filter rejected and whose items were asked again."""

_UPLOADS = ("ALTER TABLE batches ADD COLUMN uploaded_at DOUBLE PRECISION",)
UPLOADS_VERSION = 9
"""From this version on it is known when the file of a batch job went up."""

STEPS: tuple[tuple[str, ...], ...] = (
    _FIRST,
    _CACHE,
    _CHECKS,
    _BATCHES,
    _MEMBERS,
    _OWED,
    _LINES,
    _ASKED_AGAIN,
    _UPLOADS,
)
"""Step n brings a file from version n to version n + 1."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema version of an open file; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, where: str) -> None:
    """Bring the file to the newest version, inside the caller's transaction.

    Raises StateError for a file that a newer llmtop wrote.
    """
    version = version_of(connection)
    check_version(version, where)
    for number, step in enumerate(STEPS[version:], start=version + 1):
        for statement in step:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")


def check_version(version: int, where: str) -> None:
    """Raise StateError for a file that a newer llmtop wrote."""
    if version > len(STEPS):
        raise StateError(
            where,
            f"was written by a newer llmtop (ledger version {version}; this one knows up to {len(STEPS)})",
            "install that version or a later one",
        )
