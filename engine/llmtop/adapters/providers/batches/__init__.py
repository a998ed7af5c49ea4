"""The batch jobs of each provider: their words on the wire, and reading what comes back."""

from llmtop.adapters.providers.batches.anthropic import AnthropicBatches
from llmtop.adapters.providers.batches.gemini import GeminiBatches
from llmtop.adapters.providers.batches.mistral import MistralBatches
from llmtop.adapters.providers.batches.openai import OpenAIBatches
from llmtop.adapters.providers.batches.wire import BatchWire

__all__ = ["AnthropicBatches", "BatchWire", "GeminiBatches", "MistralBatches", "OpenAIBatches"]
