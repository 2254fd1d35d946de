"""The base model in the form that transformers trains: converted once from the GGUF and kept."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perijove_platform.trainer.errors import TrainingError

CONVERSION = "1"
"""Part of the cache's key: raise it when the conversion changes."""

ROTARY_PERMUTED = frozenset({"llama"})
"""Architectures whose q and k rows llama.cpp's converter reorders (and transformers orders back)."""
SUPPORTED = ROTARY_PERMUTED | {"qwen2", "qwen3", "phi3", "gemma2", "gemma3"}

MODEL_TYPES = {"mistral": "llama", "gemma3_text": "gemma3"}
"""transformers' name of a model type → llama.cpp's name of the architecture, where they differ."""


@dataclass(frozen=True)
class BaseModel:
    """A model folder in Hugging Face's layout and llama.cpp's name of its architecture."""

    folder: Path
    architecture: str


def prepare(source: Path, cache: Path, *, on_convert: Callable[[], None]) -> BaseModel:
    """The base as a folder that `from_pretrained` opens.

    Args:
        source: a GGUF file, or a folder in Hugging Face's layout (used as it is).
        cache: where conversions are kept, by the SHA-256 of the file; shared by processes.
        on_convert: called when a conversion begins, which takes seconds to minutes.

    Raises:
        TrainingError: the file cannot be read, or its architecture is not supported.
    """
    if source.is_dir():
        return BaseModel(source, _supported(_model_type(source), source))
    if not source.is_file():
        message = f"The base model's file {source.name} does not exist. Pull or register the model again."
        raise TrainingError(message, code="model_not_found", param="model")
    architecture = _supported(_architecture(source), source)
    folder = cache / f"{_sha256(source)}-{CONVERSION}"
    with _exclusive(cache / f"{folder.name}.lock"):
        if not folder.is_dir():
            on_convert()
            _convert(source, folder)
    return BaseModel(folder, architecture)


def load(base: BaseModel) -> tuple[Any, Any]:
    """Tokenizer and model: float32 on a CPU, bfloat16 on a GPU."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(base.folder)
    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=dtype)
    if not tokenizer.chat_template:
        message = "The base model has no chat template, so chat examples cannot be rendered. Choose an instruct model."
        raise TrainingError(message, code="unsupported_model", param="model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, model


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    building = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.bfloat16)
        # The weights have been dequantized; while the quantizer is set, saving is refused.
        model.hf_quantizer = None
        model.config.quantization_config = None
        del model.config.quantization_config
        model.save_pretrained(building)
        tokenizer.save_pretrained(building)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _architecture(source: Path) -> str:
    from gguf import GGUFReader

    try:
        field = GGUFReader(source).fields["general.architecture"]
        return str(field.contents())
    except (ValueError, KeyError, IndexError, OSError) as error:
        message = f"{source.name} cannot be read as GGUF ({error}); pull or register the model again."
        raise TrainingError(message, code="invalid_model", param="model") from error


def _model_type(folder: Path) -> str:
    try:
        model_type = str(json.loads((folder / "config.json").read_bytes())["model_type"])
    except (OSError, ValueError, KeyError) as error:
        message = f"{folder.name} is not a model folder: its config.json cannot be used ({error})."
        raise TrainingError(message, code="invalid_model", param="model") from error
    return MODEL_TYPES.get(model_type, model_type)


def _supported(architecture: str, source: Path) -> str:
    if architecture not in SUPPORTED:
        message = (
            f"{source.name} is a '{architecture}' model, which cannot be fine-tuned yet. "
            f"Supported: {', '.join(sorted(SUPPORTED))}."
        )
        raise TrainingError(message, code="unsupported_model", param="model")
    return architecture


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
