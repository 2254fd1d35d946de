"""SQL of vector stores: what one project sees, and what the background work of all projects needs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.errors import BadRequest
from perijove_platform.pagination import ListParams, paginate
from perijove_platform.vector_stores.chunking import Chunk
from perijove_platform.vector_stores.filters import ComparisonFilter, CompoundFilter, attribute_rows, condition
from perijove_platform.vector_stores.tables import AttributeRow, ChunkRow, FileBatchRow, StoreFileRow, VectorStoreRow

_IDS_PER_STATEMENT = 500


@dataclass(frozen=True)
class Totals:
    """Of a store or a batch: files by status, and bytes used."""

    counts: Mapping[str, int]
    usage_bytes: int


class VectorStoreStore:
    """The vector stores of one project."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self._session = session
        self._project_id = project_id

    async def get(self, store_id: str) -> VectorStoreRow | None:
        query = sa.select(VectorStoreRow).where(
            VectorStoreRow.project_id == self._project_id, VectorStoreRow.id == store_id
        )
        return (await self._session.scalars(query)).one_or_none()

    async def list_stores(self, params: ListParams) -> tuple[list[VectorStoreRow], bool]:
        query = sa.select(VectorStoreRow).where(VectorStoreRow.project_id == self._project_id)
        return await paginate(self._session, query, VectorStoreRow.id, params)

    async def add(self, row: VectorStoreRow | FileBatchRow | StoreFileRow) -> None:
        self._session.add(row)
        await self._session.flush()

    async def delete(self, row: VectorStoreRow | StoreFileRow) -> None:
        await self._session.delete(row)
        await self._session.flush()

    async def totals(self, store_ids: Collection[str]) -> dict[str, Totals]:
        return await _totals(self._session, StoreFileRow.vector_store_id, store_ids)

    async def batch_totals(self, batch_id: str) -> Totals:
        return (await _totals(self._session, StoreFileRow.batch_id, [batch_id]))[batch_id]

    async def batch(self, store_id: str, batch_id: str) -> FileBatchRow | None:
        query = sa.select(FileBatchRow).where(
            FileBatchRow.project_id == self._project_id,
            FileBatchRow.vector_store_id == store_id,
            FileBatchRow.id == batch_id,
        )
        return (await self._session.scalars(query)).one_or_none()

    def _files(self, store_id: str) -> sa.Select[StoreFileRow]:
        return sa.select(StoreFileRow).where(
            StoreFileRow.project_id == self._project_id, StoreFileRow.vector_store_id == store_id
        )

    async def file(self, store_id: str, file_id: str) -> StoreFileRow | None:
        return (await self._session.scalars(self._files(store_id).where(StoreFileRow.file_id == file_id))).one_or_none()

    async def files(self, store_id: str, file_ids: Sequence[str]) -> dict[str, StoreFileRow]:
        """Those of `file_ids` that are in the store, by id."""
        found: dict[str, StoreFileRow] = {}
        for start in range(0, len(file_ids), _IDS_PER_STATEMENT):
            some = file_ids[start : start + _IDS_PER_STATEMENT]
            rows = await self._session.scalars(self._files(store_id).where(StoreFileRow.file_id.in_(some)))
            found.update({row.file_id: row for row in rows})
        return found

    async def list_files(
        self, store_id: str, params: ListParams, *, status: str | None = None, batch_id: str | None = None
    ) -> tuple[list[StoreFileRow], bool]:
        query = self._files(store_id)
        if status is not None:
            query = query.where(StoreFileRow.status == status)
        if batch_id is not None:
            query = query.where(StoreFileRow.batch_id == batch_id)
        # A client's cursor is a file's id; the order is that of attaching.
        places = {
            "after": await self._place(store_id, params.after, "after"),
            "before": await self._place(store_id, params.before, "before"),
        }
        return await paginate(self._session, query, StoreFileRow.sequence, params.model_copy(update=places))

    async def _place(self, store_id: str, file_id: str | None, param: str) -> str | None:
        if file_id is None:
            return None
        row = await self.file(store_id, file_id)
        if row is None:
            raise BadRequest(f"'{file_id}' is not a file of this vector store; list again from the start.", param=param)
        return row.sequence

    async def open_files_of_batch(self, batch_id: str) -> Sequence[StoreFileRow]:
        query = sa.select(StoreFileRow).where(
            StoreFileRow.project_id == self._project_id,
            StoreFileRow.batch_id == batch_id,
            StoreFileRow.status == "in_progress",
        )
        return (await self._session.scalars(query)).all()

    async def set_attributes(self, row: StoreFileRow, attributes: dict[str, bool | int | float | str]) -> None:
        row.attributes = dict(attributes)
        await self._session.execute(sa.delete(AttributeRow).where(AttributeRow.file_number == row.number))
        self._session.add_all(attribute_rows(row.number, attributes))
        await self._session.flush()

    async def split(self, store_id: str, filter: ComparisonFilter | CompoundFilter) -> tuple[set[int], set[int]]:
        """The numbers of the store's searchable files that `filter` matches, and of those that it does not."""
        query = sa.select(StoreFileRow.number, condition(filter).label("matches")).where(
            StoreFileRow.project_id == self._project_id,
            StoreFileRow.vector_store_id == store_id,
            StoreFileRow.status == "completed",
        )
        rows = (await self._session.execute(query)).all()
        matching = {number for number, matches in rows if matches}
        return matching, {number for number, _ in rows} - matching

    async def passages(self, store_id: str, numbers: Sequence[int]) -> dict[int, tuple[ChunkRow, StoreFileRow]]:
        """The chunks with these numbers, of files that are indexed completely, with their files."""
        query = (
            sa.select(ChunkRow, StoreFileRow)
            .join(StoreFileRow, StoreFileRow.number == ChunkRow.file_number)
            .where(
                StoreFileRow.project_id == self._project_id,
                StoreFileRow.vector_store_id == store_id,
                StoreFileRow.status == "completed",
                ChunkRow.number.in_(numbers),
            )
        )
        return {chunk.number: (chunk, file) for chunk, file in (await self._session.execute(query)).all()}

    async def content(self, row: StoreFileRow, *, start: int, limit: int) -> Sequence[ChunkRow]:
        query = sa.select(ChunkRow).where(ChunkRow.file_number == row.number, ChunkRow.position >= start)
        return (await self._session.scalars(query.order_by(ChunkRow.position).limit(limit))).all()


async def _totals(
    session: AsyncSession, column: sa.ColumnElement[str | None] | object, ids: Collection[str]
) -> dict[str, Totals]:
    key: sa.ColumnElement[str] = column  # type: ignore[assignment]
    query = (
        sa.select(key, StoreFileRow.status, sa.func.count(), sa.func.sum(StoreFileRow.usage_bytes))
        .where(key.in_(ids))
        .group_by(key, StoreFileRow.status)
    )
    counts: dict[str, dict[str, int]] = {id: {} for id in ids}
    used = dict.fromkeys(ids, 0)
    for id, status, number, usage in (await session.execute(query)).all():
        counts[id][status] = number
        used[id] += int(usage or 0)
    return {id: Totals(counts[id], used[id]) for id in ids}


# What follows serves the background work of every project, so it is not filtered by one.


async def next_to_index(session: AsyncSession, claimed: Collection[int]) -> StoreFileRow | None:
    """The oldest file that waits and is not `claimed`."""
    query = (
        sa.select(StoreFileRow)
        .where(StoreFileRow.status == "in_progress", StoreFileRow.number.not_in(claimed))
        .order_by(StoreFileRow.sequence)
        .limit(1)
    )
    return (await session.scalars(query)).one_or_none()


async def waiting_in_store(session: AsyncSession, store_id: str, *, besides: int) -> bool:
    """Whether files of the store wait, other than `besides`."""
    query = sa.select(StoreFileRow.number).where(
        StoreFileRow.vector_store_id == store_id,
        StoreFileRow.status == "in_progress",
        StoreFileRow.number != besides,
    )
    return (await session.scalar(query.limit(1))) is not None


async def current(session: AsyncSession, number: int, attempt: int) -> StoreFileRow | None:
    """The file, if it still waits for just this attempt: not detached, cancelled or attached anew meanwhile."""
    row = await session.get(StoreFileRow, number)
    return row if row is not None and row.status == "in_progress" and row.attempt == attempt else None


async def store_of(session: AsyncSession, store_id: str) -> VectorStoreRow | None:
    return await session.get(VectorStoreRow, store_id)


async def has_chunks(session: AsyncSession, file_number: int) -> bool:
    query = sa.select(ChunkRow.number).where(ChunkRow.file_number == file_number).limit(1)
    return (await session.scalar(query)) is not None


async def replace_chunks(session: AsyncSession, file_number: int, chunks: Iterable[Chunk]) -> list[int]:
    """Write the file's chunks in place of those that it had; their numbers, in order."""
    await session.execute(sa.delete(ChunkRow).where(ChunkRow.file_number == file_number))
    rows = [
        ChunkRow(
            file_number=file_number,
            position=position,
            text=chunk.text,
            unit=chunk.unit,
            start=chunk.start,
            end=chunk.end,
        )
        for position, chunk in enumerate(chunks)
    ]
    session.add_all(rows)
    await session.flush()
    return [row.number for row in rows]


async def due_to_expire(session: AsyncSession, at: int) -> Sequence[VectorStoreRow]:
    query = sa.select(VectorStoreRow).where(VectorStoreRow.expired.is_(False), VectorStoreRow.expires_at <= at)
    return (await session.scalars(query.order_by(VectorStoreRow.expires_at).limit(100))).all()


async def next_expiry(session: AsyncSession) -> int | None:
    query = sa.select(sa.func.min(VectorStoreRow.expires_at)).where(VectorStoreRow.expired.is_(False))
    return await session.scalar(query)


async def drop_content(session: AsyncSession, store_id: str) -> None:
    """Remove the chunks of a store's files; the files stay listed."""
    numbers = sa.select(StoreFileRow.number).where(StoreFileRow.vector_store_id == store_id)
    await session.execute(sa.delete(ChunkRow).where(ChunkRow.file_number.in_(numbers)))
    await session.execute(sa.update(StoreFileRow).where(StoreFileRow.vector_store_id == store_id).values(usage_bytes=0))
    await session.execute(
        sa.update(StoreFileRow)
        .where(StoreFileRow.vector_store_id == store_id, StoreFileRow.status == "in_progress")
        .values(status="cancelled")
    )


async def all_store_ids(session: AsyncSession) -> set[str]:
    return set((await session.scalars(sa.select(VectorStoreRow.id))).all())


async def attachments(session: AsyncSession, file_id: str) -> Sequence[StoreFileRow]:
    """Everywhere that a file of the files manager is attached."""
    return (await session.scalars(sa.select(StoreFileRow).where(StoreFileRow.file_id == file_id))).all()


async def attached_files(session: AsyncSession, after: str, limit: int) -> Sequence[tuple[str, str]]:
    """Ids of attached files with their projects, in the order of the ids."""
    query = (
        sa.select(StoreFileRow.file_id, StoreFileRow.project_id)
        .where(StoreFileRow.file_id > after)
        .distinct()
        .order_by(StoreFileRow.file_id)
        .limit(limit)
    )
    return [(file_id, project_id) for file_id, project_id in (await session.execute(query)).all()]
