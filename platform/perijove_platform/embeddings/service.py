"""Which embedding models there are, and one way to use any of them."""

from collections.abc import Sequence

from perijove_platform.embeddings.base import Embedder, EmbeddingModels, Embeddings
from perijove_platform.embeddings.engine import EngineEmbedder
from perijove_platform.embeddings.wordllama import WORDLLAMA, WordLlamaEmbedder
from perijove_platform.errors import BadRequest
from perijove_platform.runtimes.base import Serving


class EmbeddingService:
    """Finds embedders by the model's name.

    Args:
        models: the project's own embedding models; without it, wordllama is the only one.
        serving: where those are served.
        wordllama: the embedder that others use too, so that its weights are loaded once.
    """

    default_model = WORDLLAMA

    def __init__(
        self,
        models: EmbeddingModels | None = None,
        serving: Serving | None = None,
        wordllama: WordLlamaEmbedder | None = None,
    ) -> None:
        self._models = models
        self._serving = serving
        self._wordllama = wordllama or WordLlamaEmbedder()

    async def embedder(self, project_id: str, model: str, *, param: str = "model") -> Embedder:
        """The embedder that the project knows as `model`.

        Raises:
            BadRequest: no embedding model has that name.
        """
        if model == WORDLLAMA:
            return self._wordllama
        if self._models is not None and self._serving is not None:
            spec = await self._models.embedding_model(project_id, model)
            if spec is not None:
                return EngineEmbedder(model, spec, self._serving)
        raise BadRequest(
            f"There is no embedding model '{model}'. Use '{WORDLLAMA}', or register an embedding GGUF as a model.",
            param=param,
            code="model_not_found",
        )

    async def embed(self, texts: Sequence[str], model: str = WORDLLAMA, *, project_id: str) -> Embeddings:
        """The vectors of `texts` by `model`."""
        return await (await self.embedder(project_id, model)).embed(texts)
