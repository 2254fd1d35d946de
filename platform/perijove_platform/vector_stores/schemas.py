"""Vector stores on the wire, as in OpenAI's API reference; extras of ours are optional."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictStr, model_validator

from perijove_platform.pagination import ListParams
from perijove_platform.schemas import Metadata, Request, Response
from perijove_platform.vector_stores.chunking import AUTO_OVERLAP, AUTO_SIZE
from perijove_platform.vector_stores.documents.base import ErrorCode, Unit
from perijove_platform.vector_stores.filters import AttributeKey, AttributeValue, Filter

MAX_BATCH = 2000
FileId = Annotated[str, Field(min_length=1, max_length=64)]
FileStatus = Literal["in_progress", "completed", "cancelled", "failed"]


def _check_attributes(attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    if len(attributes) > 16:
        raise ValueError(f"attributes take at most 16 pairs, this has {len(attributes)}")
    return attributes


Attributes = Annotated[dict[AttributeKey, AttributeValue], AfterValidator(_check_attributes)]


class ExpiresAfter(Request):
    """When a store expires: `days` after it was last used."""

    anchor: Literal["last_active_at"]
    days: int = Field(ge=1, le=365)


class StaticChunking(Request):
    max_chunk_size_tokens: int = Field(ge=100, le=4096)
    chunk_overlap_tokens: int = Field(ge=0)

    @model_validator(mode="after")
    def _overlap_fits(self) -> "StaticChunking":
        if self.chunk_overlap_tokens * 2 > self.max_chunk_size_tokens:
            raise ValueError("chunk_overlap_tokens must be at most half of max_chunk_size_tokens")
        return self


class AutoStrategy(Request):
    """Pieces of 800 tokens that share 400."""

    type: Literal["auto"]


class StaticStrategy(Request):
    type: Literal["static"] = "static"
    static: StaticChunking


ChunkingStrategy = Annotated[AutoStrategy | StaticStrategy, Field(discriminator="type")]
AUTO_CHUNKING = StaticChunking(max_chunk_size_tokens=AUTO_SIZE, chunk_overlap_tokens=AUTO_OVERLAP)


class VectorStoreCreate(Request):
    name: str | None = Field(default=None, max_length=256)
    description: str | None = Field(default=None, max_length=2048)
    file_ids: list[FileId] = Field(default_factory=list, max_length=MAX_BATCH)
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None
    chunking_strategy: ChunkingStrategy | None = None
    embedding_model: str | None = Field(default=None, min_length=1, max_length=256)
    """Ours: the model that embeds; 'wordllama' by default. It cannot be changed later."""


class VectorStoreUpdate(Request):
    name: str | None = Field(default=None, max_length=256)
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None
    embedding_model: str | None = Field(default=None, max_length=256)


class FileCounts(Response):
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class VectorStore(Response):
    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str
    description: str | None
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["expired", "in_progress", "completed"]
    expires_after: ExpiresAfter | None
    expires_at: int | None
    last_active_at: int
    metadata: dict[str, str]
    embedding_model: str


class FileAttach(Request):
    file_id: FileId
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class FileUpdate(Request):
    attributes: Attributes | None


class LastError(Response):
    code: ErrorCode
    message: str


class VectorStoreFile(Response):
    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: int
    vector_store_id: str
    filename: str
    """Ours: the file's name, so that a list need not ask for each."""
    status: FileStatus
    last_error: LastError | None
    usage_bytes: int
    attributes: dict[str, AttributeValue]
    chunking_strategy: StaticStrategy


class FileBatchCreate(Request):
    """Either `file_ids` (with `attributes` and `chunking_strategy` for all) or `files` (with their own)."""

    file_ids: list[FileId] | None = Field(default=None, min_length=1, max_length=MAX_BATCH)
    files: list[FileAttach] | None = Field(default=None, min_length=1, max_length=MAX_BATCH)
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "FileBatchCreate":
        if (self.file_ids is None) == (self.files is None):
            raise ValueError("give either file_ids or files, not both")
        if self.files is not None and (self.attributes is not None or self.chunking_strategy is not None):
            raise ValueError("with 'files', attributes and chunking_strategy belong into each of its items")
        return self

    def items(self) -> list[FileAttach]:
        if self.files is not None:
            return self.files
        return [
            FileAttach(file_id=file_id, attributes=self.attributes, chunking_strategy=self.chunking_strategy)
            for file_id in self.file_ids or ()
        ]


class FileBatch(Response):
    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: Literal["in_progress", "completed", "cancelled", "failed"]
    file_counts: FileCounts


class FileListParams(ListParams):
    filter: FileStatus | None = None


class HybridSearch(Request):
    """How much the meaning and the words count; only their ratio matters."""

    embedding_weight: float = Field(ge=0, le=1)
    text_weight: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _not_nothing(self) -> "HybridSearch":
        if self.embedding_weight + self.text_weight == 0:
            raise ValueError("at least one of embedding_weight and text_weight must be above 0")
        return self


class RankingOptions(Request):
    ranker: Literal["none", "auto", "default-2024-11-15"] = "auto"
    score_threshold: float = Field(default=0.0, ge=0.0, le=1.0)
    hybrid_search: HybridSearch | None = None


class SearchRequest(Request):
    query: (
        Annotated[StrictStr, Field(min_length=1, max_length=32_768)]
        | Annotated[list[Annotated[str, Field(min_length=1, max_length=32_768)]], Field(min_length=1, max_length=16)]
    )
    filters: Filter | None = None
    max_num_results: int = Field(default=10, ge=1, le=50)
    ranking_options: RankingOptions | None = None
    rewrite_query: bool = False

    @property
    def queries(self) -> list[str]:
        return [self.query] if isinstance(self.query, str) else self.query


class Source(Response):
    """Ours: where in its file a passage is, from 1, both ends included."""

    unit: Unit
    start: int
    end: int


class TextContent(Response):
    type: Literal["text"] = "text"
    text: str
    source: Source | None = None


class SearchResult(Response):
    file_id: str
    filename: str
    score: float
    attributes: dict[str, AttributeValue]
    content: list[TextContent]


class SearchPage(Response):
    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool = False
    next_page: str | None = None


class FileContentPage(Response):
    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[TextContent]
    has_more: bool = False
    next_page: str | None = None
