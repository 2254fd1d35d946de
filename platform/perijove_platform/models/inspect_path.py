"""What lies at a path that somebody wants to register."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perijove_platform.engines.gguf_header import GgufError, GgufHeader, read_header, split_parts
from perijove_platform.errors import BadRequest


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A complete GGUF model; `path` is its first file, sizes are over all parts."""

    path: Path
    kind: str
    size_bytes: int
    parameters: int
    context_length: int | None


def inspect(path: str) -> Weights:
    """The model at `path`, a file or a folder with one model. Blocking.

    Raises:
        BadRequest: there is no complete model that an engine could serve.
    """
    given = Path(path).expanduser()
    if not given.is_absolute():
        raise _bad(
            f"'{path}' is not an absolute path. The platform's current folder is not yours: name it from the root."
        )
    try:
        return weights_of(_choose(given))
    except FileNotFoundError:
        raise _bad(f"There is no file or folder '{path}' on the platform's machine.") from None
    except OSError as error:
        raise _bad(f"'{path}' cannot be read by the platform ({error.strerror or error}).") from None
    except GgufError as error:
        raise _bad(f"'{path}' cannot be registered: {error}.") from None
    except ValueError:
        raise _bad("The path holds a null character, which no file's name can have.") from None


def weights_of(path: Path) -> Weights:
    """The model whose first file is `path`. Blocking.

    Raises:
        GgufError: it is not a complete model; the message names the part at fault.
        OSError: it cannot be read.
    """
    first: GgufHeader | None = None
    size = parameters = 0
    for part in split_parts(path):
        if first is not None and not part.is_file():
            raise GgufError(f"the part {part.name} of the model is missing: all parts must lie in one folder")
        header = read_header(part)
        first = first or header
        size += header.size_bytes
        parameters += header.parameters
    assert first is not None
    if first.is_adapter:
        raise GgufError("the file is a LoRA adapter and no model of its own: register the base model")
    if not first.architecture:
        raise GgufError("the file names no model architecture: it is not a language model")
    kind = "embedding" if first.is_embedding else "chat"
    return Weights(path=path, kind=kind, size_bytes=size, parameters=parameters, context_length=first.context_length)


def first_parts(paths: list[Path]) -> list[Path]:
    """Of files, those that begin a model, in order of their names; projectors of images are none."""
    return sorted(p for p in paths if split_parts(p)[0].name == p.name and not p.name.startswith("mmproj"))


def _choose(path: Path) -> Path:
    if not path.is_dir():
        path.stat()
        return split_parts(path)[0] if split_parts(path)[0].is_file() else path
    models = first_parts(list(path.glob("*.gguf")))
    if not models:
        advice = ""
        if any(path.glob("*.safetensors")):
            advice = " It holds safetensors: convert it with llama.cpp's convert_hf_to_gguf.py first."
        raise _bad(f"The folder '{path}' holds no GGUF model.{advice}")
    if len(models) > 1:
        names = ", ".join(model.name for model in models[:8])
        raise _bad(f"The folder '{path}' holds {len(models)} models ({names}): give the path of one of them.")
    return models[0]


def _bad(message: str) -> BadRequest:
    return BadRequest(message, param="source.path", code="invalid_model")
