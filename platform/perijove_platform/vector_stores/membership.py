"""Rules of the files in a store, and of file batches."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database
from perijove_platform.errors import BadRequest, Conflict, NotFound
from perijove_platform.events import EventBus
from perijove_platform.ids import new_id
from perijove_platform.pagination import Page, page
from perijove_platform.rbac import Caller
from perijove_platform.schemas import Deleted
from perijove_platform.vector_stores.index import VectorIndex
from perijove_platform.vector_stores.indexing import Indexer
from perijove_platform.vector_stores.public import (
    FILE,
    batch_to_public,
    chunk_to_public,
    file_to_public,
    publish_file,
    publish_store,
)
from perijove_platform.vector_stores.schemas import (
    AUTO_CHUNKING,
    FileAttach,
    FileBatch,
    FileBatchCreate,
    FileContentPage,
    FileListParams,
    FileUpdate,
    StaticStrategy,
    VectorStoreFile,
)
from perijove_platform.vector_stores.sources import SourceFile, SourceFiles
from perijove_platform.vector_stores.store import VectorStoreStore, attachments
from perijove_platform.vector_stores.tables import FileBatchRow, StoreFileRow, VectorStoreRow

MAX_FILES = 10_000
_CONTENT_CHUNKS = 1000


async def found(store: VectorStoreStore, store_id: str) -> VectorStoreRow:
    """The store's row.

    Raises:
        NotFound: the project has no such store.
    """
    row = await store.get(store_id)
    if row is None:
        raise NotFound(f"No vector store found with id '{store_id}'. List them with GET /v1/vector_stores.")
    return row


async def usable(store: VectorStoreStore, store_id: str) -> VectorStoreRow:
    """The row of a store that has not expired."""
    row = await found(store, store_id)
    if row.expired:
        raise BadRequest(
            f"Vector store '{store_id}' has expired and its content is gone. Create a new one with the same files.",
            code="vector_store_expired",
        )
    return row


class StoreFiles:
    """Attaches files to stores and detaches them."""

    def __init__(
        self, database: Database, events: EventBus, files: SourceFiles, index: VectorIndex, indexer: Indexer
    ) -> None:
        self._database = database
        self._events = events
        self._files = files
        self._index = index
        self._indexer = indexer

    async def sources(self, project_id: str, file_ids: Sequence[str], *, param: str) -> dict[str, SourceFile]:
        """What the files manager knows of the files.

        Raises:
            NotFound: the project has no such file.
        """
        known: dict[str, SourceFile] = {}
        for file_id in file_ids:
            source = await self._files.find(project_id, file_id)
            if source is None:
                raise NotFound(f"No file found with id '{file_id}'. Upload it with POST /v1/files first.", param=param)
            known[file_id] = source
        return known

    async def attach(self, caller: Caller, store_id: str, body: FileAttach) -> VectorStoreFile:
        sources = await self.sources(caller.project_id, [body.file_id], param="file_id")
        async with self._database.write() as session:
            row = await usable(VectorStoreStore(session, caller.project_id), store_id)
            added = await self.add(session, caller, row, [body], sources)
            await publish_store(self._events, session, "updated", row)
        self._indexer.wake()
        return file_to_public(added[0])

    async def add(
        self,
        session: AsyncSession,
        caller: Caller,
        store_row: VectorStoreRow,
        items: Sequence[FileAttach],
        sources: dict[str, SourceFile],
        batch: FileBatchRow | None = None,
    ) -> list[StoreFileRow]:
        """Attach files in the session's transaction; one that is attached already is indexed again."""
        store = VectorStoreStore(session, caller.project_id)
        unique = {item.file_id: item for item in items}
        existing = await store.files(store_row.id, list(unique))
        totals = (await store.totals([store_row.id]))[store_row.id]
        if sum(totals.counts.values()) + len(unique) - len(existing) > MAX_FILES:
            raise BadRequest(f"A vector store holds at most {MAX_FILES} files. Use another store.", param="file_ids")
        rows = []
        for file_id, item in unique.items():
            strategy = item.chunking_strategy
            chunking = strategy.static if isinstance(strategy, StaticStrategy) else AUTO_CHUNKING
            row = existing.get(file_id)
            change = "created" if row is None else "updated"
            if row is None:
                row = StoreFileRow(
                    organization_id=caller.organization_id,
                    project_id=caller.project_id,
                    created_by=caller.user_id,
                    vector_store_id=store_row.id,
                    file_id=file_id,
                    attributes={},
                    attempt=0,
                )
            row.filename = sources[file_id].filename[:1024]
            row.status, row.error_code, row.error_message, row.usage_bytes = "in_progress", None, None, 0
            row.max_chunk_size_tokens = chunking.max_chunk_size_tokens
            row.chunk_overlap_tokens = chunking.chunk_overlap_tokens
            row.batch_id = batch.id if batch is not None else row.batch_id
            row.attempt += 1
            await store.add(row)
            await store.set_attributes(row, item.attributes or {})
            await publish_file(self._events, session, "created" if change == "created" else "updated", row)
            rows.append(row)
        return rows

    async def _get(self, store: VectorStoreStore, store_id: str, file_id: str) -> StoreFileRow:
        await found(store, store_id)
        row = await store.file(store_id, file_id)
        if row is None:
            raise NotFound(f"No file '{file_id}' found in vector store '{store_id}'.")
        return row

    async def list_files(self, caller: Caller, store_id: str, params: FileListParams) -> Page[VectorStoreFile]:
        async with self._database.read() as session:
            store = VectorStoreStore(session, caller.project_id)
            await found(store, store_id)
            rows, more = await store.list_files(store_id, params, status=params.filter)
        return page([file_to_public(row) for row in rows], more)

    async def retrieve(self, caller: Caller, store_id: str, file_id: str) -> VectorStoreFile:
        async with self._database.read() as session:
            return file_to_public(await self._get(VectorStoreStore(session, caller.project_id), store_id, file_id))

    async def update(self, caller: Caller, store_id: str, file_id: str, body: FileUpdate) -> VectorStoreFile:
        async with self._database.write() as session:
            store = VectorStoreStore(session, caller.project_id)
            row = await self._get(store, store_id, file_id)
            await store.set_attributes(row, body.attributes or {})
            await publish_file(self._events, session, "updated", row)
        return file_to_public(row)

    async def content(self, caller: Caller, store_id: str, file_id: str, after: int) -> FileContentPage:
        """The file's passages in order, from the one numbered `after`; at most 1000 at a time."""
        async with self._database.read() as session:
            store = VectorStoreStore(session, caller.project_id)
            row = await self._get(store, store_id, file_id)
            if row.status == "in_progress":
                raise Conflict(f"File '{file_id}' is still being indexed. Try again when its status is 'completed'.")
            chunks = await store.content(row, start=after, limit=_CONTENT_CHUNKS + 1)
        more = len(chunks) > _CONTENT_CHUNKS
        return FileContentPage(
            data=[chunk_to_public(chunk) for chunk in chunks[:_CONTENT_CHUNKS]],
            has_more=more,
            next_page=str(chunks[-1].position) if more else None,
        )

    async def detach(self, caller: Caller, store_id: str, file_id: str) -> Deleted:
        async with self._database.write() as session:
            row = await self._get(VectorStoreStore(session, caller.project_id), store_id, file_id)
            await self._remove(session, row)
        await self._index.delete_file(store_id, row.number)
        return Deleted(id=file_id, object=f"{FILE}.deleted")

    async def forget(self, project_id: str, file_id: str) -> None:
        """The files manager has deleted the file: it leaves every store of the project. Safe to repeat."""
        async with self._database.write() as session:
            rows = [row for row in await attachments(session, file_id) if row.project_id == project_id]
            for row in rows:
                await self._remove(session, row)
        for row in rows:
            await self._index.delete_file(row.vector_store_id, row.number)

    async def _remove(self, session: AsyncSession, row: StoreFileRow) -> None:
        store = VectorStoreStore(session, row.project_id)
        await publish_file(self._events, session, "deleted", row)
        await store.delete(row)
        store_row = await store.get(row.vector_store_id)
        if store_row is not None:
            await publish_store(self._events, session, "updated", store_row)

    async def create_batch(self, caller: Caller, store_id: str, body: FileBatchCreate) -> FileBatch:
        items = body.items()
        param = "files" if body.files is not None else "file_ids"
        sources = await self.sources(caller.project_id, [item.file_id for item in items], param=param)
        async with self._database.write() as session:
            store = VectorStoreStore(session, caller.project_id)
            row = await usable(store, store_id)
            batch = FileBatchRow(
                id=new_id("vsfb_"),
                organization_id=caller.organization_id,
                project_id=caller.project_id,
                created_by=caller.user_id,
                vector_store_id=store_id,
            )
            await store.add(batch)
            await self.add(session, caller, row, items, sources, batch)
            await publish_store(self._events, session, "updated", row)
            totals = await store.batch_totals(batch.id)
        self._indexer.wake()
        return batch_to_public(batch, totals)

    async def _batch(self, store: VectorStoreStore, store_id: str, batch_id: str) -> FileBatchRow:
        await found(store, store_id)
        row = await store.batch(store_id, batch_id)
        if row is None:
            raise NotFound(f"No file batch '{batch_id}' found in vector store '{store_id}'.")
        return row

    async def retrieve_batch(self, caller: Caller, store_id: str, batch_id: str) -> FileBatch:
        async with self._database.read() as session:
            store = VectorStoreStore(session, caller.project_id)
            row = await self._batch(store, store_id, batch_id)
            return batch_to_public(row, await store.batch_totals(batch_id))

    async def cancel_batch(self, caller: Caller, store_id: str, batch_id: str) -> FileBatch:
        """Cancel what still waits; one that has ended stays as it is."""
        async with self._database.write() as session:
            store = VectorStoreStore(session, caller.project_id)
            row = await self._batch(store, store_id, batch_id)
            waiting = await store.open_files_of_batch(batch_id)
            row.cancelled = row.cancelled or bool(waiting)
            for file in waiting:
                file.status = "cancelled"
                await session.flush()
                await publish_file(self._events, session, "updated", file)
            if waiting:
                await publish_store(self._events, session, "updated", await found(store, store_id))
            return batch_to_public(row, await store.batch_totals(batch_id))

    async def list_batch(
        self, caller: Caller, store_id: str, batch_id: str, params: FileListParams
    ) -> Page[VectorStoreFile]:
        async with self._database.read() as session:
            store = VectorStoreStore(session, caller.project_id)
            await self._batch(store, store_id, batch_id)
            rows, more = await store.list_files(store_id, params, status=params.filter, batch_id=batch_id)
        return page([file_to_public(row) for row in rows], more)
