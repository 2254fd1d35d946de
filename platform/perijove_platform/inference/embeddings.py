"""Embeddings: by the model inside the platform's process, or by an engine that runs an embedding model."""

from __future__ import annotations

import asyncio
import base64
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perijove_platform.errors import BadRequest, Unavailable
from perijove_platform.inference.catalog import EmbeddedTexts, Embedder
from perijove_platform.inference.engine import EngineSession
from perijove_platform.inference.schemas import EmbeddingRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


async def embed_in_process(embedder: Embedder | None, request: EmbeddingRequest) -> EmbeddedTexts:
    """Vectors from the embedding model of this process.

    Raises:
        BadRequest: tokens instead of text, or a length that the model does not have.
    """
    if embedder is None:
        raise Unavailable("This platform runs without an embedding model. Register an embedding GGUF and name it.")
    inputs = inputs_of(request)
    if not isinstance(inputs[0], str):
        raise BadRequest(f"'{request.model}' takes text, not tokens.", param="input", code="unsupported_input")
    lengths = embedder.dimensions
    if request.dimensions is not None and request.dimensions not in lengths:
        listed = ", ".join(str(length) for length in sorted(lengths))
        raise BadRequest(f"'{request.model}' gives vectors of {listed} dimensions.", param="dimensions")
    return await embedder.embed(inputs, request.dimensions)


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


def encode(vectors: NDArray[np.float32], encoding: str | None) -> list[Any]:
    """Rows as lists of numbers, or as base64 of little-endian float32."""
    return [_base64(row.tobytes()) for row in vectors] if encoding == "base64" else vectors.tolist()


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
