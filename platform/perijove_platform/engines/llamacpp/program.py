"""The llama.cpp engine as a runtime sees it; imports nothing of xllamacpp."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perijove_platform.engines.config import EngineConfig
from perijove_platform.engines.gguf_header import GgufError, read_header, split_parts
from perijove_platform.engines.llamacpp.explain import explain
from perijove_platform.engines.llamacpp.parameters import context_length

_PROCESS_BYTES = 160 << 20  # the interpreter, the library and the compute buffers of a small model
_KV_BYTES_PER_VALUE = 2  # f16, llama.cpp's default


class LlamaCppProgram:
    """See `program.EngineProgram`."""

    name = "llamacpp"

    def command(self) -> Sequence[str]:
        return (sys.executable, "-m", "perijove_platform.engines.llamacpp")

    def estimate_bytes(self, config: EngineConfig) -> int:
        """Weights, KV cache and a constant; measured against real engines it is high rather than low."""
        path = Path(config.model_path)
        header = read_header(path)
        weights = 0
        for part in split_parts(path):
            if not part.is_file():
                raise GgufError(f"the model's part {part.name} is missing: fetch the model again")
            weights += part.stat().st_size
        adapters = sum(Path(adapter).stat().st_size for adapter in config.adapters)
        tokens = context_length(config, header.context_length)
        return weights + adapters + _PROCESS_BYTES + kv_cache_bytes(header.model_metadata(), tokens)

    def explain(self, log_lines: Sequence[str]) -> str | None:
        return explain(log_lines)


def kv_cache_bytes(metadata: Mapping[str, Any], tokens: int) -> int:
    """Bytes of keys and values: 2 x layers x tokens x key-value heads x head size x 2 (f16).

    Per-layer lists (which the header reader leaves out) fall back to the attention heads: never too low.
    """
    layers = _number(metadata, "block_count")
    heads = max(1, _number(metadata, "attention.head_count"))
    kv_heads = _number(metadata, "attention.head_count_kv") or heads
    head_size = _number(metadata, "attention.key_length") or _number(metadata, "embedding_length") // heads
    return 2 * layers * tokens * kv_heads * head_size * _KV_BYTES_PER_VALUE


def _number(metadata: Mapping[str, Any], key: str) -> int:
    value = metadata.get(key, 0)
    return value if isinstance(value, int) else 0
