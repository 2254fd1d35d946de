"""What the inference plane is told about the rest of the platform.

The data path imports no manager. Managers implement these protocols and the composition root hands them over:
models → `CatalogSource`, vector stores → `FileSearch`, the embedding model of this process → `Embedder`,
usage → `UsageSink`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ModelKind(StrEnum):
    CHAT = "chat"
    EMBEDDING = "embedding"


class ModelState(StrEnum):
    """As on the wire of `/v1/models`."""

    PULLING = "pulling"
    AVAILABLE = "available"
    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One model as the inference plane sees it.

    Attributes:
        key: internal id, unique over all projects and never reused; what `ModelSpec.model_id` and
            `AdapterSpec.model_id` are set to.
        project_id: the project that may use it; ``None`` for a model that every project may use.
        model_id: the public id, unique within a project.
        aliases: further names that resolve to it within the project.
        kind: which routes serve it.
        state: `PULLING` and `FAILED` are refused with `state_reason`; the other states are served.
        path: the GGUF file (of the adapter, for an adapter); ``None`` while pulling and for an in-process model.
        base_key: for a LoRA adapter the `key` of its base model, else ``None``.
        context_length: tokens to serve with; ``None`` takes the model's own.
        in_process: served by the `Embedder`, not by an engine.
        created: Unix seconds.
    """

    key: str
    project_id: str | None
    model_id: str
    kind: ModelKind
    state: ModelState
    aliases: tuple[str, ...] = ()
    state_reason: str | None = None
    path: Path | None = None
    base_key: str | None = None
    context_length: int | None = None
    in_process: bool = False
    created: int = 0


class CatalogSource(Protocol):
    """Where models come from: the models manager."""

    async def snapshot(self) -> Sequence[ModelEntry]:
        """Every model of every project. Publish a `model.*` event in each transaction that alters the result."""
        ...


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A chunk found by `FileSearch`; `score` is in 0..1, higher is nearer."""

    file_id: str
    filename: str
    score: float
    text: str
    attributes: Mapping[str, str | float | bool] = field(default_factory=dict)


class FileSearch(Protocol):
    """Where `file_search` looks: the vector stores manager."""

    async def search_passages(
        self,
        project_id: str,
        vector_store_ids: Sequence[str],
        query: str,
        *,
        max_num_results: int,
        filters: Mapping[str, Any] | None = None,
        ranking_options: Mapping[str, Any] | None = None,
    ) -> Sequence[Passage]:
        """The best passages over all the stores, best first.

        Raises:
            errors.NotFound: a store does not exist in the project.
            errors.BadRequest: a filter or a ranking option is invalid.
        """
        ...


class EmbeddedTexts(Protocol):
    """The vectors of some texts."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Shape (texts, dimension), each row of length 1."""
        ...

    @property
    def tokens(self) -> int:
        """Of all the texts together."""
        ...


class Embedder(Protocol):
    """The embedding model that runs inside the platform's process (its work is done in a thread).

    It is trained as a Matryoshka (https://arxiv.org/abs/2205.13147): the first 64, 128, … numbers of a vector are a
    shorter embedding, once scaled to length 1.
    """

    @property
    def dimension(self) -> int:
        """The length of its vectors."""
        ...

    async def embed(self, texts: Sequence[str]) -> EmbeddedTexts:
        """Vectors of the texts, in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class UsageRecord:
    """What one request used.

    Attributes:
        operation: ``"completions"`` (chat, completions, responses) or ``"embeddings"``, as in OpenAI's usage API.
        at: Unix seconds.
        completion_tokens: generated, over all choices.
        cached_tokens: the part of `prompt_tokens` that the engine had in its cache.
    """

    organization_id: str
    project_id: str
    user_id: str
    api_key_id: str | None
    model: str
    operation: str
    at: int
    prompt_tokens: int
    completion_tokens: int = 0
    cached_tokens: int = 0


class UsageSink(Protocol):
    """Where usage is accounted: the usage manager."""

    def record(self, record: UsageRecord) -> None:
        """Takes the record without waiting; safe on the data path."""
        ...
