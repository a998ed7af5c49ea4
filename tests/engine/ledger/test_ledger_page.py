from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from ledger_values import finishes, new_ledger, put_all, result

DOCS = Path(__file__).parents[3] / "docs" / "ledger.md"


async def test_every_query_that_the_manual_shows_runs_beside_a_live_ledger(folder: Path) -> None:
    ledger = new_ledger(folder)
    await put_all(ledger, finishes(result(0), result(1, "failed")))
    queries = re.findall(r'mode=ro" "(SELECT.*)"$', DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    reader = sqlite3.connect(f"{(folder / 'run.db').as_uri()}?mode=ro", uri=True)

    answers = [reader.execute(query).fetchall() for query in queries]

    assert len(answers) == 5
    assert answers[0] == [("done", 1), ("failed", 1)]
    assert '"id":"m-1"' in answers[3][0][0]
    reader.close()
    ledger.close()


async def test_the_manual_names_every_table(folder: Path) -> None:
    ledger = new_ledger(folder)
    tables = ledger._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    ledger.close()

    named = set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert named == {name for (name,) in tables}
