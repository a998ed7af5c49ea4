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
from llmtop.policy.rendering import chat_request, needed_fields
from llmtop.policy.template import Template
from llmtop.run.filtering import chain_of

__all__ = ["Plan", "plan_of"]

_ASSUMED_LATENCY_S = 2.0
_SAMPLE = 200
"""Prompts that are measured."""
_PROBE_TOKENS = 1_000_000


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
    step = max(1, count // _SAMPLE)
    sizes = [
        sum(len(str(message.get("content", "")).encode(errors="replace")) for message in request.messages)
        for request in (
            chat_request(config.request, config.provider.model, template, item)
            for item in source.items(range(0, count, step))
        )
    ]
    prices = with_simulated_prices(config).prices
    pricer = find_prices(config.provider, prices, time.time(), config.request.extra)
    given = pricer.upper_bound(_PROBE_TOKENS, 0)
    taken = pricer.upper_bound(0, _PROBE_TOKENS)
    return Workload(
        name=config.name,
        items=count,
        prompt_bytes_mean=sum(sizes) / len(sizes),
        prompt_bytes_max=max(sizes),
        items_per_request=config.execution.items_per_request.start,
        max_output_tokens=config.request.max_output_tokens,
        input_pusd=None if given is None else given // _PROBE_TOKENS,
        output_pusd=None if taken is None else taken // _PROBE_TOKENS,
        batch_discount=pricer.batch_factor,
        limits=config.limits,
        concurrency=config.execution.concurrency.start,
        latency_s=_ASSUMED_LATENCY_S,
    )
