"""Every sample that ships loads, and its prompt fits its data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llmtop.adapters.sources import open_source
from llmtop.config.loader import load_config
from llmtop.model import Item
from llmtop.policy.filters import build_chain
from llmtop.policy.rendering import chat_request, needed_fields
from llmtop.policy.template import Template

SAMPLES = Path(__file__).parents[3] / "sample_configs"
ITEMS = {
    "quickstart": 300,
    "rate_limited": 10,
    "openai": 20,
    "openrouter": 20,
    "local_server": 300,
    "anthropic": 20,
    "gemini": 20,
    "packed_motions": 60,
    "compare_models": 40,
    "openai_batch": 300,
    "anthropic_batch": 300,
    "gemini_batch": 300,
    "sweep/small": 300,
    "sweep/medium": 300,
    "sweep/large": 300,
}


def test_no_sample_is_left_out() -> None:
    assert {str(path.relative_to(SAMPLES).with_suffix("")) for path in SAMPLES.rglob("*.toml")} == set(ITEMS)


@pytest.mark.parametrize("name", sorted(ITEMS))
def test_a_sample_loads_and_its_items_can_be_asked(name: str) -> None:
    config = load_config(SAMPLES / f"{name}.toml")[0]
    assert config.request.prompt is not None
    template = Template(config.request.prompt)
    source = open_source(config.input)

    found = list(source.scan(needed_fields(template)))
    first = next(source.items([0]))

    assert len(found) >= ITEMS[name]
    assert chat_request(config.request, config.provider.model, template, first).messages[-1]["role"] == "user"


def test_the_motions_have_a_whole_chain_that_rejects_what_no_inhabitant_should_read() -> None:
    (config,) = load_config(SAMPLES / "packed_motions.toml")
    chain = build_chain(config.filters, allow_code=False)
    motions = [json.loads(line) for line in (SAMPLES / "data" / "moties.jsonl").read_text().splitlines()]
    memory = chain.memory()

    told = [
        chain.run(motion["text"], Item(seq, motion["id"], motion), memory)
        for seq, motion in enumerate(motions)
    ]
    again = chain.run(motions[0]["text"], Item(99, "copy", {}), memory)
    sorry = chain.run("Het spijt me, maar daar kan ik niet mee helpen.", Item(100, "sorry", {}), memory)
    mixed = chain.run(
        f"{motions[1]['text']} De deadline (45-102) is maart.\nДа, конечно.", Item(101, "mixed", {}), memory
    )

    assert len(chain) == 10
    assert [result.rejected_by for result in told] == [None] * len(motions)
    assert len({motion["title"] for motion in motions}) == len(motions)
    assert again.rejected_by is not None and again.rejected_by.use == "duplicate"
    assert sorry.rejected_by is not None and sorry.rejected_by.is_asked_again(1)
    assert mixed.rejected_by is None and mixed.output.endswith(" De termijn is maart.")


def test_the_local_server_sample_also_loads_with_its_other_blocks() -> None:
    text = (SAMPLES / "local_server.toml").read_text()

    blocks = re.findall(r"(?m)^# \[provider\]\n(?:^# \w+ = .*\n)+", text)

    assert len(blocks) == 2
    assert all("base_url" in block and "model" in block for block in blocks)


def test_the_quickstart_and_the_rate_limited_sample_need_no_key_and_no_network() -> None:
    for name, profile in (("quickstart", "quickstart"), ("rate_limited", "two_per_second")):
        (config,) = load_config(SAMPLES / f"{name}.toml")

        assert config.provider.kind == "simulator"
        assert config.provider.simulator["profile"] == profile

    assert config.limits.request_rate == 2
    assert config.limits.burst == 2


def test_the_variants_of_the_comparison_ask_the_same_of_different_models_and_write_different_files() -> None:
    configs = load_config(SAMPLES / "compare_models.toml")

    assert [config.name for config in configs] == ["compare-small", "compare-large", "compare-hasty"]
    assert len({config.request.prompt for config in configs}) == 1
    assert len({config.provider.model for config in configs}) == 3
    assert len({config.output.path for config in configs}) == 3
