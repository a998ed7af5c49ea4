"""Put values that were read and checked into the schema's dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.companions import Companions
from llmtop.config.keys import SECTIONS
from llmtop.config.kinds import KINDS
from llmtop.config.schema import Origin, RunConfig


def build(file: Path, read: Mapping[str, Any], texts: Companions, origins: Mapping[str, Origin]) -> RunConfig:
    """Return the config of one run; keys that nobody set keep the schema's defaults."""
    config = RunConfig(
        name=read.get("name") or _name_of(file),
        file=file,
        origins=dict(origins),
        filters=read.get("filters", ()),
    )
    for section in SECTIONS:
        prefix = f"{section}."
        changes = {key.removeprefix(prefix): value for key, value in read.items() if key.startswith(prefix)}
        if changes:
            config = replace(config, **{section: replace(getattr(config, section), **changes)})
    model = KINDS[config.provider.kind].model
    if model is not None and not config.provider.model:
        config = replace(config, provider=replace(config.provider, model=model))
    request = config.request
    if texts.prompt is not None:
        request = replace(request, prompt=texts.prompt)
    if texts.schema is not None:
        request = replace(request, schema=texts.schema)
    return replace(config, request=request)


def _name_of(file: Path) -> str:
    return clean(file.stem, limit=100).strip() or "run"
