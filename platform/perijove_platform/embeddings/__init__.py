"""Turning texts into vectors: the built-in wordllama model, or any embedding model that an engine serves."""

from perijove_platform.embeddings.base import Embedder, EmbeddingModels, Embeddings
from perijove_platform.embeddings.service import EmbeddingService

__all__ = ["Embedder", "EmbeddingModels", "EmbeddingService", "Embeddings"]
