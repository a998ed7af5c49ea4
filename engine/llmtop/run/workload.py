"""A config and its input in the numbers that a plan needs: prompts are sampled, nothing is sent."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmtop.adapters.sources import Source
from llmtop.config.schema import RunConfig
from llmtop.model import ChatRequest, Item
from llmtop.policy.advice import Plan, Workload, plan
from llmtop.policy.batching import Way, choose_way
from llmtop.policy.packing import PackPrompt, Part
from llmtop.policy.pricing import Pricer
from llmtop.policy.rendering import chat_request
from llmtop.policy.template import Template
from llmtop.snapshot import PlanView

_ASSUMED_LATENCY_S = 2.0
_SAMPLE = 200
"""Prompts that are measured."""
_SAMPLED_PACKS = 5
_PROBE_TOKENS = 1_000_000


def workload_of(config: RunConfig, source: Source, count: int, pricer: Pricer) -> Workload:
    """Measure a sample of the prompts of `count` items (1 at least); the source has been scanned."""
    template = None if config.request.prompt is None else Template(config.request.prompt)

    def asked(item: Item) -> ChatRequest:
        return chat_request(config.request, config.provider.model, template, item)

    step = max(1, count // _SAMPLE)
    sizes = [_text_bytes(asked(item)) for item in source.items(range(0, count, step))]
    size = config.execution.items_per_request.start
    packs = _packs(config, source, count, size)
    given = pricer.upper_bound(_PROBE_TOKENS, 0)
    taken = pricer.upper_bound(0, _PROBE_TOKENS)
    return Workload(
        name=config.name,
        items=count,
        prompt_bytes_mean=sum(sizes) / len(sizes),
        prompt_bytes_max=max(sizes),
        items_per_request=size if packs else 1,
        pack_bytes_mean=sum(map(_text_bytes, packs)) / len(packs) if packs else None,
        pack_output_tokens=max((pack.max_output_tokens or 0 for pack in packs), default=0) or None,
        max_output_tokens=config.request.max_output_tokens,
        input_pusd=None if given is None else given // _PROBE_TOKENS,
        output_pusd=None if taken is None else taken // _PROBE_TOKENS,
        batch_factor=pricer.batch_factor,
        batch_window_s=config.batch.completion_window,
        limits=config.limits,
        concurrency=config.execution.concurrency.start,
        latency_s=_ASSUMED_LATENCY_S,
        has_cache=config.cache.enabled,
    )


def plan_view(config: RunConfig, source: Source, count: int, pricer: Pricer) -> PlanView:
    """Return what a run is expected to take, to be kept with it."""
    made: Plan = plan(workload_of(config, source, count, pricer))
    is_batch = way_of(config, count, pricer).mode == "batch"
    return PlanView(
        requests=made.requests,
        input_tokens=made.input_tokens,
        output_tokens=made.output_tokens,
        cost_pusd=made.batch_pusd if is_batch else made.realtime_pusd,
        duration_s=config.batch.completion_window if is_batch else made.duration_s,
    )


def way_of(
    config: RunConfig, items: int, pricer: Pricer, *, has_batches: bool = True, spent_s: float = 0.0
) -> Way:
    """Return which way a run of so many items goes; with the reason where `auto` chooses.

    `spent_s`: of the time until the deadline.
    """
    deadline = config.batch.deadline
    if config.execution.mode != "auto":
        return Way(config.execution.mode, "")
    return choose_way(
        items,
        has_batches=has_batches,
        batch_factor=pricer.batch_factor,
        deadline_s=None if deadline is None else max(0.0, deadline - spent_s),
        window_s=config.batch.completion_window,
        has_checks=config.execution.pack_check > 0,
    )


def _packs(config: RunConfig, source: Source, count: int, size: int) -> list[ChatRequest]:
    """Return some full packs as they would be sent; none where items are sent alone."""
    size = min(size, count)
    if size < 2:
        return []
    template = None if config.request.prompt is None else Template(config.request.prompt)
    prompt = PackPrompt(config.request.pack_prompt)
    starts = range(0, count - size + 1, max(size, math.ceil(count / _SAMPLED_PACKS)))
    return [
        prompt.request(parts, has_schema=config.request.response_format == "schema")
        for start in starts
        if (parts := _parts(config, template, list(source.items(range(start, start + size)))))
    ]


def _parts(config: RunConfig, template: Template | None, items: Sequence[Item]) -> list[Part]:
    """Return the items of a pack; none where one of them can only go alone."""
    if any(item.kind != "fields" for item in items):
        return []
    model = config.provider.model
    return [Part(item.id, chat_request(config.request, model, template, item)) for item in items]


def _text_bytes(request: ChatRequest) -> int:
    return sum(len(str(message.get("content", "")).encode(errors="replace")) for message in request.messages)
