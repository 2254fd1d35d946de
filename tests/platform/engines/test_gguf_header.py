"""GGUF headers, read from files that the `gguf` package wrote and from damaged ones."""

from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
from perijove_platform.engines.gguf_header import TENSOR_TYPES, GgufError, read_header, split_parts


def test_reads_the_default_model(smollm2: Path) -> None:
    header = read_header(smollm2)
    assert (header.architecture, header.context_length, header.parameters) == ("llama", 8192, 134_515_008)
    assert header.size_bytes == smollm2.stat().st_size
    assert not header.is_adapter and not header.is_embedding


def test_tensor_types_are_those_of_ggml() -> None:
    assert {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()} == TENSOR_TYPES


def test_tells_adapters_and_encoders(lora_adapter: Path, tiny_gguf: Callable[..., Path], tmp_path: Path) -> None:
    assert read_header(lora_adapter).is_adapter
    assert read_header(tiny_gguf(tmp_path / "e.gguf", architecture="nomic-bert")).is_embedding


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 nothing like it", "not a GGUF"),
        (b"GGUF\x09\x00\x00\x00", "version 9"),
        (b"GGUF\x03\x00\x00\x00", "truncated"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 64, "damaged"),
    ],
)
def test_refuses_what_is_no_model(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(GgufError, match=says):
        read_header(path)


def test_every_truncation_is_found(tiny_gguf: Callable[..., Path], tmp_path: Path) -> None:
    whole = tiny_gguf(tmp_path / "whole.gguf", floats=128).read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(GgufError):
            read_header(cut)


def test_names_the_parts_of_a_split_model() -> None:
    parts = split_parts(Path("/m/big-00002-of-00003.gguf"))
    assert [part.name for part in parts] == [f"big-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    assert split_parts(Path("/m/one.gguf")) == [Path("/m/one.gguf")]
