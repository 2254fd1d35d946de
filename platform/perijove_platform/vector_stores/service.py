"""Rules of vector stores: their life, their expiry, and search."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from perijove_platform.database import Database, now
from perijove_platform.embeddings import EmbeddingService
from perijove_platform.errors import BadRequest
from perijove_platform.events import EventBus
from perijove_platform.ids import new_id
from perijove_platform.pagination import ListParams, Page, page
from perijove_platform.rbac import Caller
from perijove_platform.schemas import Deleted
from perijove_platform.vector_stores import store as sql
from perijove_platform.vector_stores.index import VectorIndex
from perijove_platform.vector_stores.indexing import Indexer
from perijove_platform.vector_stores.membership import StoreFiles, found
from perijove_platform.vector_stores.public import STORE, publish_store, store_to_public
from perijove_platform.vector_stores.schemas import (
    ExpiresAfter,
    FileAttach,
    SearchPage,
    SearchRequest,
    SearchResult,
    VectorStore,
    VectorStoreCreate,
    VectorStoreUpdate,
)
from perijove_platform.vector_stores.search import Searcher
from perijove_platform.vector_stores.sources import SourceFile, SourceFiles
from perijove_platform.vector_stores.store import VectorStoreStore
from perijove_platform.vector_stores.tables import VectorStoreRow

__all__ = ["SourceFile", "SourceFiles", "VectorStoresService"]

_log = logging.getLogger(__name__)
_DAY = 86_400
_LONGEST_SLEEP = 3600.0
_RETRY_SECONDS = 5.0
_PAGE = 500


class VectorStoresService:
    """The vector stores of every project.

    Args:
        folder: the data directory's place for vectors (`Settings.vectors_dir`).
        milvus_url: address of a Milvus server, instead of Milvus Lite in `folder`.
        workers: how many files are indexed at a time.
    """

    def __init__(
        self,
        database: Database,
        events: EventBus,
        files: SourceFiles,
        embeddings: EmbeddingService,
        *,
        folder: Path,
        milvus_url: str | None = None,
        milvus_token: str | None = None,
        workers: int = 1,
    ) -> None:
        self._database = database
        self._events = events
        self._embeddings = embeddings
        self._sources = files
        self._index = VectorIndex(folder, url=milvus_url, token=milvus_token)
        self._indexer = Indexer(
            database, events, files, embeddings, self._index, folder=folder / "incoming", workers=workers
        )
        self.files = StoreFiles(database, events, files, self._index, self._indexer)
        self._searcher = Searcher(database, embeddings, self._index)
        self._expiry_changed = asyncio.Event()
        self._swept = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take up the files that wait, and watch for stores that expire and files that are deleted."""
        await self._indexer.start()
        self._tasks = [
            asyncio.create_task(self._expire(), name="vector-store-expiry"),
            asyncio.create_task(self._follow_files(), name="vector-store-files"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._indexer.stop()
        await self._index.close()

    async def create(self, caller: Caller, body: VectorStoreCreate) -> VectorStore:
        model = body.embedding_model or self._embeddings.default_model
        await self._embeddings.embedder(caller.project_id, model, param="embedding_model")
        sources = await self.files.sources(caller.project_id, body.file_ids, param="file_ids")
        row = VectorStoreRow(
            id=new_id("vs_"),
            organization_id=caller.organization_id,
            project_id=caller.project_id,
            created_by=caller.user_id,
            name=body.name or "",
            description=body.description,
            pairs=body.metadata or {},
            embedding_model=model,
            last_active_at=now(),
            expired=False,
        )
        _set_expiry(row, body.expires_after)
        items = [FileAttach(file_id=file_id, chunking_strategy=body.chunking_strategy) for file_id in body.file_ids]
        async with self._database.write() as session:
            await VectorStoreStore(session, caller.project_id).add(row)
            await self.files.add(session, caller, row, items, sources)
            public = await publish_store(self._events, session, "created", row)
        self._indexer.wake()
        self._expiry_changed.set()
        return public

    async def list_stores(self, caller: Caller, params: ListParams) -> Page[VectorStore]:
        async with self._database.read() as session:
            store = VectorStoreStore(session, caller.project_id)
            rows, more = await store.list_stores(params)
            totals = await store.totals([row.id for row in rows])
        return page([store_to_public(row, totals[row.id]) for row in rows], more)

    async def retrieve(self, caller: Caller, store_id: str) -> VectorStore:
        async with self._database.read() as session:
            store = VectorStoreStore(session, caller.project_id)
            row = await found(store, store_id)
            return store_to_public(row, (await store.totals([store_id]))[store_id])

    async def update(self, caller: Caller, store_id: str, body: VectorStoreUpdate) -> VectorStore:
        """Change what the body names; `null` clears."""
        if "embedding_model" in body.model_fields_set:
            raise BadRequest(
                "The embedding model of a vector store cannot be changed, since its vectors were made by it. "
                "Create another store with the same files.",
                param="embedding_model",
            )
        async with self._database.write() as session:
            row = await found(VectorStoreStore(session, caller.project_id), store_id)
            if "name" in body.model_fields_set:
                row.name = body.name or ""
            if "metadata" in body.model_fields_set:
                row.pairs = body.metadata or {}
            if "expires_after" in body.model_fields_set and not row.expired:
                row.last_active_at = now()
                _set_expiry(row, body.expires_after)
            await session.flush()
            public = await publish_store(self._events, session, "updated", row)
        self._expiry_changed.set()
        return public

    async def delete(self, caller: Caller, store_id: str) -> Deleted:
        async with self._database.write() as session:
            store = VectorStoreStore(session, caller.project_id)
            row = await found(store, store_id)
            await publish_store(self._events, session, "deleted", row)
            await store.delete(row)
        await self._index.drop(store_id)
        return Deleted(id=store_id, object=f"{STORE}.deleted")

    async def search(self, caller: Caller, store_id: str, body: SearchRequest) -> SearchPage:
        return SearchPage(search_query=body.queries, data=await self._searcher.search(caller, [store_id], body))

    async def search_many(self, caller: Caller, store_ids: Sequence[str], body: SearchRequest) -> list[SearchResult]:
        """The best passages of several stores together, for the file_search tool.

        Raises:
            NotFound: one of the stores does not exist.
        """
        return await self._searcher.search(caller, store_ids, body)

    async def on_file_deleted(self, project_id: str, file_id: str) -> None:
        """The files manager has deleted a file. Safe to repeat; also heard of by the event `file.deleted`."""
        await self.files.forget(project_id, file_id)

    async def expire_due(self) -> int:
        """Expire the stores whose time has come and drop their content; how many."""
        expired: list[str] = []
        while True:
            async with self._database.write() as session:
                rows = await sql.due_to_expire(session, now())
                for row in rows:
                    row.expired = True
                    await sql.drop_content(session, row.id)
                    await publish_store(self._events, session, "updated", row)
            for row in rows:
                await self._index.drop(row.id)
                expired.append(row.id)
            if not rows:
                return len(expired)

    async def _expire(self) -> None:
        while True:
            self._expiry_changed.clear()
            try:
                await self.expire_due()
                await self._sweep()
                async with self._database.read() as session:
                    due = await sql.next_expiry(session)
            except Exception:
                _log.exception("expiring vector stores failed, trying again")
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            seconds = _LONGEST_SLEEP if due is None else min(_LONGEST_SLEEP, max(1.0, due - now()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._expiry_changed.wait()

    async def _sweep(self) -> None:
        """Once the index is open, drop what a crash between SQL and the index has left in it."""
        if self._swept or not self._index.opened:
            return
        # In this order: a collection is made after its store's row, so a new one is never mistaken for a leftover.
        stored = await self._index.stores()
        async with self._database.read() as session:
            known = await sql.all_store_ids(session)
        for store_id in stored - known:
            await self._index.drop(store_id)
        self._swept = True

    async def _follow_files(self) -> None:
        """Follow the outbox from its oldest event, so that no deletion is missed by a restart."""
        while True:
            try:
                async for event in self._events.subscribe(project_id=None, last_id=0):
                    if event.type == "reset":
                        await self._forget_missing()
                    elif event.type == "file.deleted":
                        await self.on_file_deleted(event.project_id, event.object_id)
            except Exception:
                _log.exception("following deleted files failed, trying again")
                await asyncio.sleep(_RETRY_SECONDS)

    async def _forget_missing(self) -> None:
        """Older events are gone: ask for each attached file whether it still is there."""
        after = ""
        while True:
            async with self._database.read() as session:
                pairs = await sql.attached_files(session, after, _PAGE)
            for file_id, project_id in pairs:
                if await self._sources.find(project_id, file_id) is None:
                    await self.on_file_deleted(project_id, file_id)
                after = file_id
            if len(pairs) < _PAGE:
                return


def _set_expiry(row: VectorStoreRow, expires_after: ExpiresAfter | None) -> None:
    row.expires_after_days = None if expires_after is None else expires_after.days
    row.expires_at = None if expires_after is None else row.last_active_at + expires_after.days * _DAY
