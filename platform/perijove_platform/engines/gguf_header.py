"""The header of a GGUF file: what the model is, and whether the file is complete.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A reader of its own, because the `gguf` package
loads numpy and maps the whole file, and because every length in an untrusted file must be bounded.
"""

from __future__ import annotations

import math
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_MAX_ENTRIES = 1 << 20
_MAX_STRING_BYTES = 1 << 24
_MAX_ARRAY_LENGTH = 1 << 25
_MAX_DIMENSIONS = 8
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# ggml's tensor types: (elements in a block, bytes of a block).
TENSOR_TYPES: dict[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54),
    35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip
_ENCODERS = re.compile(r"bert|embedding|t5encoder|llama-embed$")
_SPLIT = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


class GgufError(ValueError):
    """The file is not a complete GGUF model; the message says why, for a person."""


@dataclass(frozen=True, kw_only=True)
class GgufHeader:
    """What a GGUF file says of itself.

    Attributes:
        metadata: its keys with scalar and text values; arrays are left out.
        parameters: the number of weights in this file.
        size_bytes: the file's size.
    """

    metadata: dict[str, Any]
    parameters: int
    size_bytes: int

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def is_adapter(self) -> bool:
        return self.metadata.get("general.type") == "adapter"

    @property
    def is_embedding(self) -> bool:
        """Whether it turns texts into vectors: an encoder, or a model that names a way of pooling."""
        pooling = self.metadata.get(f"{self.architecture}.pooling_type")
        return bool(_ENCODERS.search(self.architecture)) or (isinstance(pooling, int) and pooling in (1, 2, 3))

    @property
    def context_length(self) -> int | None:
        """Tokens that it was trained for."""
        value = self.metadata.get(f"{self.architecture}.context_length")
        return value if isinstance(value, int) and value > 0 else None

    def model_metadata(self) -> dict[str, Any]:
        """The keys of the architecture itself, without its name before them: ``{"context_length": 8192, …}``."""
        prefix = f"{self.architecture}."
        return {key.removeprefix(prefix): value for key, value in self.metadata.items() if key.startswith(prefix)}


def split_parts(path: Path) -> list[Path]:
    """The files of a model: its path alone, or every part when the name says ``-00001-of-00003``."""
    match = _SPLIT.match(path.name)
    if match is None:
        return [path]
    count = int(match["count"])
    return [path.with_name(f"{match['stem']}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]


def read_header(path: str | Path) -> GgufHeader:
    """Reads and checks one file. Blocking.

    Raises:
        GgufError: not a GGUF file, or one that is damaged or truncated.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return _Reader(file, size).header()
        except (struct.error, EOFError):
            raise GgufError(_truncated(size)) from None
        except (OverflowError, MemoryError, UnicodeDecodeError):
            raise GgufError("the file's header is damaged: fetch or copy it again") from None


def _truncated(size: int, wanted: int | None = None) -> str:
    detail = (
        f"{size} bytes of at least {wanted}" if wanted is not None else f"it ends within its header, at {size} bytes"
    )
    return f"the file is truncated ({detail}): fetch or copy it again"


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def header(self) -> GgufHeader:
        if self._size == 0:
            raise GgufError("the file is empty")
        if self._file.read(4) != b"GGUF":
            raise GgufError("the file is not a GGUF model (its first bytes are not 'GGUF')")
        version = self._number("I")
        if version not in (2, 3):
            raise GgufError(
                f"GGUF version {version} is not supported: convert the model again with a current llama.cpp"
            )
        tensors, entries = self._count(_MAX_ENTRIES), self._count(_MAX_ENTRIES)
        metadata = dict(filter(None, (self._entry() for _ in range(entries))))
        infos = [self._tensor() for _ in range(tensors)]
        self._check_complete(metadata, infos)
        return GgufHeader(metadata=metadata, parameters=sum(count for count, _, _ in infos), size_bytes=self._size)

    def _check_complete(self, metadata: dict[str, Any], infos: list[tuple[int, int, int]]) -> None:
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0:
            raise GgufError("the file's header is damaged: fetch or copy it again")
        start = math.ceil(self._file.tell() / alignment) * alignment
        wanted = start
        for elements, kind, offset in infos:
            per_block, block_bytes = TENSOR_TYPES.get(kind, (1, 0))
            wanted = max(wanted, start + offset + elements // per_block * block_bytes)
        if infos and wanted > self._size:
            raise GgufError(_truncated(self._size, wanted))

    def _entry(self) -> tuple[str, Any] | None:
        key, kind = self._string(), self._number("I")
        if kind == _ARRAY:
            self._skip_array()
            return None
        return key, self._value(kind)

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind not in _SCALARS:
            raise GgufError("the file's header is damaged: fetch or copy it again")
        return self._number(_SCALARS[kind])

    def _skip_array(self) -> None:
        kind, length = self._number("I"), self._count(_MAX_ARRAY_LENGTH)
        if kind in _SCALARS:
            self._skip(length * struct.calcsize(_SCALARS[kind]))
            return
        if kind != _STRING:
            raise GgufError("the file's header is damaged: fetch or copy it again")
        for _ in range(length):
            self._skip(self._count(_MAX_STRING_BYTES))

    def _tensor(self) -> tuple[int, int, int]:
        """Elements, type, offset in the data."""
        self._string()
        dimensions = [self._number("Q") for _ in range(self._count(_MAX_DIMENSIONS, "I"))]
        return math.prod(dimensions), self._number("I"), self._number("Q")

    def _count(self, limit: int, form: str = "Q") -> int:
        value: int = self._number(form)
        if value > limit:
            raise GgufError("the file's header is damaged: fetch or copy it again")
        return value

    def _string(self) -> str:
        length = self._count(_MAX_STRING_BYTES)
        data = self._file.read(length)
        if len(data) < length:
            raise EOFError
        return data.decode("utf-8", errors="replace")

    def _skip(self, length: int) -> None:
        # `read` and not `seek`, which would pass the end of the file unnoticed and drop the read-ahead buffer.
        while length > 0:
            data = self._file.read(min(length, 1 << 20))
            if not data:
                raise EOFError
            length -= len(data)

    def _number(self, form: str) -> Any:
        return struct.unpack("<" + form, self._file.read(struct.calcsize("<" + form)))[0]
