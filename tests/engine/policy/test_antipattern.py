"""The parallel-process anti-pattern is named with its cost, and only when there is a sign of it."""

from __future__ import annotations

from typing import Any

import pytest

from llmtop.policy.antipattern import ProcessFigures, anti_pattern

GIB = 1024**3


def figures(**given: Any) -> ProcessFigures:
    return ProcessFigures(**{"count": 0, "rss_bytes": 0, **given})


def test_twenty_processes_that_do_api_work_are_named_with_their_memory() -> None:
    seen = figures(
        count=24, rss_bytes=100 * GIB, api_count=20, api_rss_bytes=96 * GIB, largest_rss_bytes=5 * GIB
    )

    assert anti_pattern(seen, 0) == (
        "parallel-process anti-pattern: 20 Python processes do API work: 96.0 GiB together; "
        "as one process about 5.0 GiB"
    )


def test_what_one_process_takes_is_what_the_config_says() -> None:
    seen = figures(count=20, rss_bytes=GIB, api_count=20, api_rss_bytes=96 * GIB, largest_rss_bytes=9 * GIB)

    assert "as one process about 2.0 GiB" in (anti_pattern(seen, 2 * GIB) or "")


def test_many_processes_without_api_work_are_nobodys_business() -> None:
    assert anti_pattern(figures(count=200, rss_bytes=GIB, api_count=0), 0) is None


def test_where_connections_cannot_be_seen_the_number_alone_speaks() -> None:
    assert "perhaps" in (anti_pattern(figures(count=20, rss_bytes=GIB), 0) or "")
    assert anti_pattern(figures(count=19, rss_bytes=GIB), 0) is None


def test_a_high_load_with_an_idle_cpu_is_named() -> None:
    seen = figures(count=12, rss_bytes=3 * GIB, api_count=0, load_1m=45.0, cores=16, cpu_pct=12.0)

    text = anti_pattern(seen, 0) or ""

    assert text.startswith("parallel-process anti-pattern: load 45.0 on 16 cores with 12 % CPU")


@pytest.mark.parametrize(
    ("load", "cpu", "count"),
    [(45.0, 90.0, 12), (31.0, 12.0, 12), (None, 12.0, 12), (45.0, None, 12), (45.0, 12.0, 1)],
)
def test_a_busy_or_a_lonely_machine_is_no_sign(load: float | None, cpu: float | None, count: int) -> None:
    seen = figures(count=count, rss_bytes=GIB, api_count=0, load_1m=load, cores=16, cpu_pct=cpu)

    assert anti_pattern(seen, 0) is None


def test_a_few_processes_on_the_same_api_are_a_notice_and_no_anti_pattern() -> None:
    seen = figures(count=3, rss_bytes=15 * GIB, api_count=3, same_count=3, same_rss_bytes=15 * GIB)

    assert anti_pattern(seen, 5 * GIB) == (
        "3 other Python processes use this API: 15.0 GiB together; as one process about 5.0 GiB"
    )
