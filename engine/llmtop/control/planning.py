"""What runs would take, before a call is made: reads the inputs, sends nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from llmtop.adapters.prices import find_prices
from llmtop.adapters.sources import open_source
from llmtop.config.filter_tables import names_of
from llmtop.config.kinds import KINDS
from llmtop.config.schema import RunConfig
from llmtop.engine.simulators import with_simulated_prices
from llmtop.policy.advice import Plan, Workload, plan, plan_together
from llmtop.policy.pricing import Pricer
from llmtop.policy.rendering import needed_fields
from llmtop.policy.template import Template
from llmtop.run.filtering import chain_of
from llmtop.run.workload import way_of, workload_of

__all__ = ["Plan", "plan_of"]


def plan_of(configs: Sequence[RunConfig], *, allow_code: bool = False) -> tuple[Plan, ...]:
    """Return one plan a config; several share a process.

    Raises InputError, ConfigError and ConfigErrors as a run would. A `python` filter is loaded, not called.
    """
    for config in configs:
        chain_of(config, allow_code=allow_code)
    works = [_workload(config) for config in configs]
    plans = [_with_filters(plan(work), config) for work, config in zip(works, configs, strict=True)]
    return tuple(plans) if len(works) == 1 else (*plans, plan_together(works))


def _with_filters(made: Plan, config: RunConfig) -> Plan:
    code = (str(table["call"]) for table in config.filters if table.get("use") == "python")
    return replace(made, filters=names_of(config.filters), code=tuple(dict.fromkeys(code)))


def _workload(config: RunConfig) -> Workload:
    template = None if config.request.prompt is None else Template(config.request.prompt)
    source = open_source(config.input)
    count = sum(1 for _ in source.scan(needed_fields(template), lines=KINDS[config.provider.kind].lines))
    prices = with_simulated_prices(config).prices
    pricer = find_prices(config.provider, prices, time.time(), config.request.extra)
    work = workload_of(config, source, count, pricer)
    return replace(work, way=_way(config, count, pricer))


def _way(config: RunConfig, items: int, pricer: Pricer) -> str:
    """Return which way `mode` goes, in a sentence; empty where nothing is chosen."""
    if config.execution.mode == "realtime":
        return ""
    if config.execution.mode == "batch":
        return "mode = batch: by the provider's batch jobs."
    chosen = way_of(config, items, pricer)
    return f"mode = auto takes {chosen.mode}: {chosen.why}."
