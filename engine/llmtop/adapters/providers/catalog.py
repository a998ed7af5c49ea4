"""Provider kind to wire format."""

from __future__ import annotations

from llmtop.adapters.providers.anthropic import AnthropicFormat
from llmtop.adapters.providers.batches import (
    AnthropicBatches,
    BatchWire,
    GeminiBatches,
    MistralBatches,
    OpenAIBatches,
)
from llmtop.adapters.providers.gemini import GeminiFormat
from llmtop.adapters.providers.openai import OpenAIFormat, openai_format
from llmtop.adapters.providers.wire import WireFormat
from llmtop.batch_jobs import BatchProvider
from llmtop.config.schema import ProviderKind, ServerName
from llmtop.errors import ConfigError


def wire_format(kind: ProviderKind, base_url: str | None, server: ServerName | None = None) -> WireFormat:
    """Return the words of a provider kind at `base_url` (None: the kind's own address).

    `server`: whose ways an OpenAI-compatible server has; None: its host name tells.
    The simulator speaks OpenAI's format and needs no key. Raises ConfigError for a kind without one.
    """
    if kind == "openai":
        return openai_format(base_url, server)
    if kind == "simulator":
        return OpenAIFormat(base_url or "", name="simulator")
    if kind == "anthropic":
        return AnthropicFormat(base_url)
    if kind == "gemini":
        return GeminiFormat(base_url)
    raise ConfigError("provider.kind", f'"{kind}" is not available yet', 'Use "openai" or "anthropic".')


def batch_provider(format_: WireFormat, wire: BatchWire, window_s: float) -> BatchProvider:
    """Return the batch jobs of whoever speaks `format_`. Raises ConfigError where there are none.

    `window_s`: how long a job may take, for those that are told so; the others have a window of their own.
    """
    if isinstance(format_, OpenAIFormat):
        return (MistralBatches if format_.server == "mistral" else OpenAIBatches)(wire, format_, window_s)
    if isinstance(format_, AnthropicFormat):
        return AnthropicBatches(wire, format_)
    if isinstance(format_, GeminiFormat):
        return GeminiBatches(wire, format_)
    raise ConfigError("execution.mode", "has no batch jobs at this provider", 'Set mode = "realtime".')
