"""Packing: several items in one request, and their answers told apart by id. Pure."""

from llmtop.policy.packing.checking import agree, is_checked
from llmtop.policy.packing.forms import ItemForm, JsonForm, TextForm, item_form
from llmtop.policy.packing.planner import PackPlanner, split
from llmtop.policy.packing.prompt import PackPrompt, Part, is_packable, output_tokens, pack_key
from llmtop.policy.packing.reading import PackReading, read_pack
from llmtop.policy.packing.schema import pack_schema
from llmtop.policy.packing.sharing import share, share_usage

__all__ = [
    "ItemForm",
    "JsonForm",
    "PackPlanner",
    "PackPrompt",
    "PackReading",
    "Part",
    "TextForm",
    "agree",
    "is_checked",
    "is_packable",
    "item_form",
    "output_tokens",
    "pack_key",
    "pack_schema",
    "read_pack",
    "share",
    "share_usage",
    "split",
]
