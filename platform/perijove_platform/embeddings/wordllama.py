"""The built-in model: static token embeddings of wordllama (256 dimensions), no network, no engine.

A text's vector is the mean of its tokens' vectors (WordLlama, https://github.com/dleemiller/WordLlama), scaled to
length 1. The weights stay in half precision, 16 MB, as they are in the package.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perijove_platform.embeddings.base import Embeddings
from perijove_platform.embeddings.tokens import tokenizer, wordllama_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORDLLAMA = "wordllama"
DIMENSION = 256
_WEIGHTS = Path("weights", f"l2_supercat_{DIMENSION}.safetensors")
_TENSOR = "embedding.weight"
_BATCH = 32


class WordLlamaEmbedder:
    """`Embedder` over the weights in the wordllama package."""

    model_id = WORDLLAMA
    dimension = DIMENSION

    def __init__(self) -> None:
        self._weights: NDArray[np.float16] | None = None
        self._loading = asyncio.Lock()

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        async with self._loading:
            if self._weights is None:
                self._weights = await asyncio.to_thread(_load)
        return await asyncio.to_thread(_embed, self._weights, list(texts))


def _load() -> "NDArray[np.float16]":
    from safetensors.numpy import load_file

    tokenizer()
    return load_file(str(wordllama_file(_WEIGHTS)))[_TENSOR]


def _embed(weights: "NDArray[np.float16]", texts: list[str]) -> Embeddings:
    import numpy as np

    vectors = np.zeros((len(texts), weights.shape[1]), dtype=np.float32)
    tokens = 0
    for start in range(0, len(texts), _BATCH):
        encodings = tokenizer().encode_batch_fast(texts[start : start + _BATCH], add_special_tokens=False)
        for row, encoding in enumerate(encodings, start):
            ids = np.minimum(np.asarray(encoding.ids, dtype=np.int64), len(weights) - 1)
            tokens += len(ids)
            if len(ids):
                vectors[row] = weights[ids].mean(axis=0, dtype=np.float32)
    return Embeddings(normalized(vectors), tokens)


def normalized(vectors: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Each row scaled to Euclidean length 1; rows of zeros stay."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32, copy=False)
    return scaled
