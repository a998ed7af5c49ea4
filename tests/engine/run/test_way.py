"""Which way a run goes where its config leaves the choice."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import GOOD, loaded

from llmtop.adapters.prices import find_prices
from llmtop.run.workload import way_of

_HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("spent_s", "mode"), [(0.0, "batch"), (_HOUR_S, "batch"), (2 * _HOUR_S, "realtime"), (1e9, "realtime")]
)
def test_auto_takes_batches_while_one_can_still_be_done_before_the_deadline(
    tmp_path: Path, spent_s: float, mode: str
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        GOOD + '[execution]\nmode = "auto"\n[batch]\ncompletion_window = "24h"\ndeadline = "25h"\n'
    )
    config = loaded(path)
    pricer = find_prices(config.provider, config.prices, 0.0, config.request.extra)

    assert way_of(config, 5_000, pricer, spent_s=spent_s).mode == mode
