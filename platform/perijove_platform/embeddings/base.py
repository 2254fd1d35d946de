"""What an embedding model is to the rest of the platform."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from perijove_platform.runtimes.base import ModelSpec


@dataclass(frozen=True)
class Embeddings:
    """The vectors of some texts.

    Attributes:
        vectors: shape (texts, dimension), float32, each of length 1 (zeros for a text without any token).
        tokens: how many tokens the texts had together.
    """

    vectors: "NDArray[np.float32]"
    tokens: int


class Embedder(Protocol):
    """One embedding model; loads on first use."""

    model_id: str

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors of `texts`, in their order.

        Raises:
            errors.BadRequest: a text is longer than the model takes.
            errors.Unavailable: the model cannot be loaded now; says why.
        """
        ...


class EmbeddingModels(Protocol):
    """Where a project's embedding models are looked up; the models manager provides it."""

    async def embedding_model(self, project_id: str, model: str) -> "ModelSpec | None":
        """How to serve the embedding model that the project knows as `model` (an id or an alias), or ``None``."""
        ...
