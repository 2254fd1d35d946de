"""Rows as the API shows them, and the events that tell of their changes."""

from collections.abc import Mapping
from typing import Literal, cast

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.events import EventBus
from perijove_platform.vector_stores.documents.base import ErrorCode, Unit
from perijove_platform.vector_stores.schemas import (
    ExpiresAfter,
    FileBatch,
    FileCounts,
    FileStatus,
    LastError,
    Source,
    StaticChunking,
    StaticStrategy,
    TextContent,
    VectorStore,
    VectorStoreFile,
)
from perijove_platform.vector_stores.store import Totals, VectorStoreStore
from perijove_platform.vector_stores.tables import ChunkRow, FileBatchRow, StoreFileRow, VectorStoreRow

STORE = "vector_store"
FILE = "vector_store.file"
Change = Literal["created", "updated", "deleted"]


def store_to_public(row: VectorStoreRow, totals: Totals) -> VectorStore:
    days = row.expires_after_days
    working = totals.counts.get("in_progress", 0) > 0
    return VectorStore(
        id=row.id,
        created_at=row.created_at,
        name=row.name,
        description=row.description,
        usage_bytes=totals.usage_bytes,
        file_counts=counts(totals.counts),
        status="expired" if row.expired else "in_progress" if working else "completed",
        expires_after=None if days is None else ExpiresAfter(anchor="last_active_at", days=days),
        expires_at=row.expires_at,
        last_active_at=row.last_active_at,
        metadata=row.pairs,
        embedding_model=row.embedding_model,
    )


def counts(by_status: Mapping[str, int]) -> FileCounts:
    return FileCounts(**by_status, total=sum(by_status.values()))


def file_to_public(row: StoreFileRow) -> VectorStoreFile:
    error = None
    if row.error_code is not None:
        error = LastError(code=cast(ErrorCode, row.error_code), message=row.error_message or "")
    chunking = StaticChunking(
        max_chunk_size_tokens=row.max_chunk_size_tokens, chunk_overlap_tokens=row.chunk_overlap_tokens
    )
    return VectorStoreFile(
        id=row.file_id,
        created_at=row.created_at,
        vector_store_id=row.vector_store_id,
        filename=row.filename,
        status=cast(FileStatus, row.status),
        last_error=error,
        usage_bytes=row.usage_bytes,
        attributes=row.attributes,
        chunking_strategy=StaticStrategy(static=chunking),
    )


def batch_to_public(row: FileBatchRow, totals: Totals) -> FileBatch:
    status: Literal["in_progress", "completed", "cancelled", "failed"] = "completed"
    if totals.counts.get("in_progress"):
        status = "in_progress"
    elif row.cancelled:
        status = "cancelled"
    elif totals.counts and set(totals.counts) == {"failed"}:
        status = "failed"
    return FileBatch(
        id=row.id,
        created_at=row.created_at,
        vector_store_id=row.vector_store_id,
        status=status,
        file_counts=counts(totals.counts),
    )


def chunk_to_public(row: ChunkRow) -> TextContent:
    return TextContent(text=row.text, source=Source(unit=cast(Unit, row.unit), start=row.start, end=row.end))


async def publish_store(events: EventBus, session: AsyncSession, change: Change, row: VectorStoreRow) -> VectorStore:
    """The store's public form, which subscribers get with the commit."""
    totals = await VectorStoreStore(session, row.project_id).totals([row.id])
    public = store_to_public(row, totals[row.id])
    await events.publish(session, f"{STORE}.{change}", row, row.id, public)
    return public


async def publish_file(events: EventBus, session: AsyncSession, change: Change, row: StoreFileRow) -> None:
    await events.publish(session, f"{FILE}.{change}", row, row.file_id, file_to_public(row))
