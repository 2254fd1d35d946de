"""Embeddings: by the model inside the platform's process, or by an engine that runs an embedding model."""

from __future__ import annotations

import asyncio
import base64
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perijove_platform.errors import BadRequest, Unavailable
from perijove_platform.inference.catalog import Embedder
from perijove_platform.inference.engine import EngineSession
from perijove_platform.inference.schemas import EmbeddingRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHORTER_LENGTHS = (64, 128)
"""Of wordllama's Matryoshka training."""
MAX_TOTAL_CHARACTERS = 16 * 1024 * 1024


def inputs_of(request: EmbeddingRequest) -> list[Any]:
    """One entry per vector: texts, or lists of tokens."""
    given: Any = request.input
    if isinstance(given, str) or isinstance(given[0], int):
        given = [given]
    total = sum(len(item) for item in given)
    if total > MAX_TOTAL_CHARACTERS:
        raise BadRequest(f"The input has {total} characters, over {MAX_TOTAL_CHARACTERS}: send several requests.")
    return list(given)


async def embed_in_process(embedder: Embedder | None, request: EmbeddingRequest) -> dict[str, Any]:
    """The answer from the embedding model of this process.

    Raises:
        BadRequest: tokens instead of text, or a length that the model does not have.
    """
    if embedder is None:
        raise Unavailable("This platform runs without an embedding model. Register an embedding GGUF and name it.")
    inputs = inputs_of(request)
    if not isinstance(inputs[0], str):
        raise BadRequest(f"'{request.model}' takes text, not tokens.", param="input", code="unsupported_input")
    lengths = [length for length in SHORTER_LENGTHS if length < embedder.dimension] + [embedder.dimension]
    if request.dimensions is not None and request.dimensions not in lengths:
        listed = ", ".join(str(length) for length in lengths)
        raise BadRequest(f"'{request.model}' gives vectors of {listed} dimensions.", param="dimensions")
    embedded = await embedder.embed(inputs)
    vectors = await asyncio.to_thread(encode, embedded.vectors, request.dimensions, request.encoding_format)
    return body(request.model, vectors, embedded.tokens)


async def embed_by_engine(session: EngineSession, request: EmbeddingRequest) -> dict[str, Any]:
    """The answer from an engine.

    Raises:
        BadRequest: `dimensions`, which only models trained for it could honour.
    """
    if request.dimensions is not None:
        raise BadRequest(
            f"'{request.model}' gives vectors of one length only: leave 'dimensions' out.",
            param="dimensions",
            code="unsupported_parameter",
        )
    answer = await session.embed(inputs_of(request))
    vectors = [item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"])]
    if request.encoding_format == "base64":
        vectors = await asyncio.to_thread(lambda: [_base64(array("f", vector).tobytes()) for vector in vectors])
    return body(request.model, vectors, int(answer["usage"]["prompt_tokens"]))


def encode(vectors: NDArray[np.float32], dimensions: int | None, encoding: str | None) -> list[Any]:
    """Rows, cut to `dimensions` and scaled to length 1 again, as lists of numbers or as base64 of float32."""
    import numpy as np

    if dimensions is not None and dimensions < vectors.shape[1]:
        vectors = vectors[:, :dimensions]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    packed = np.ascontiguousarray(vectors, dtype="<f4")
    return [_base64(row.tobytes()) for row in packed] if encoding == "base64" else packed.tolist()


def _base64(packed: bytes) -> str:
    return base64.b64encode(packed).decode("ascii")


def body(model: str, vectors: Sequence[Any], tokens: int) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
