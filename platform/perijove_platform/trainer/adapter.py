"""peft's LoRA adapter as a GGUF adapter, the form that llama.cpp applies at inference.

The layout is that of llama.cpp's ``convert_lora_to_gguf.py``: ``general.type`` "adapter", ``adapter.type`` "lora",
``adapter.lora.alpha``, and for every adapted weight ``W`` of shape (out, in) the tensors ``W.lora_a`` of shape (r, in)
and ``W.lora_b`` of shape (out, r); llama.cpp adds ``alpha / r * lora_b @ lora_a``.
"""

import json
import os
from pathlib import Path
from typing import Any

from perijove_platform.trainer.base_model import ROTARY_PERMUTED
from perijove_platform.trainer.errors import TrainingError


def write_gguf(adapter: Path, target: Path, *, architecture: str, model_config: Any) -> None:
    """Convert the peft folder `adapter` to the file `target`, which appears whole or not at all.

    Args:
        architecture: llama.cpp's name of the base's architecture.
        model_config: the base's transformers configuration (layers, heads).

    Raises:
        TrainingError: a tensor has no counterpart in llama.cpp.
    """
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    settings = json.loads((adapter / "adapter_config.json").read_bytes())
    enums = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(enums[architecture], model_config.num_hidden_layers)
    building = target.with_name(f"{target.name}.part")
    writer = gguf.GGUFWriter(building, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(settings["lora_alpha"]))
    for key, tensor in sorted(load_file(adapter / "adapter_model.safetensors").items()):
        module, _, part = key.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".")
        name = names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        if name is None or part not in ("lora_A", "lora_B"):
            message = f"The engine has no counterpart of the adapter's tensor {key}."
            raise TrainingError(message, code="unsupported_model", param="model")
        if part == "lora_B" and architecture in ROTARY_PERMUTED:
            heads = {"q_proj": model_config.num_attention_heads, "k_proj": model_config.num_key_value_heads}
            if (count := heads.get(module.rpartition(".")[2])) is not None:
                tensor = permute_rotary(tensor, count)
        writer.add_tensor(f"{name}.{part.lower()}", np.ascontiguousarray(tensor, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with building.open("rb") as file:
        os.fsync(file.fileno())
    building.rename(target)


def permute_rotary(rows: Any, heads: int) -> Any:
    """Rows of a q or k projection, from Hugging Face's rotary order to llama.cpp's.

    Hugging Face rotates the first half of a head's rows against the second half, llama.cpp neighbouring rows; as in
    ``LlamaModel.permute`` of llama.cpp's ``convert_hf_to_gguf.py``.

    Args:
        rows: shape (heads * head size, …).
    """
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
