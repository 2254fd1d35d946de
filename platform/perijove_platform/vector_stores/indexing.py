"""The workers that read, cut, embed and index files.

The queue is the table: a file whose status is `in_progress` waits for a worker, so that nothing is lost by kill -9.
Indexing is repeatable: what an earlier attempt left is removed first, and a file is shown as completed last.
"""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database, now
from perijove_platform.embeddings import EmbeddingService
from perijove_platform.errors import ApiError, NotFound, Unavailable
from perijove_platform.events import EventBus
from perijove_platform.vector_stores import store as sql
from perijove_platform.vector_stores.chunking import Chunk, chunked
from perijove_platform.vector_stores.documents import DocumentError, extract
from perijove_platform.vector_stores.documents.base import MAX_DOCUMENT_BYTES, MIB
from perijove_platform.vector_stores.index import VectorIndex
from perijove_platform.vector_stores.public import publish_file, publish_store
from perijove_platform.vector_stores.sources import SourceFiles
from perijove_platform.vector_stores.tables import StoreFileRow

_log = logging.getLogger(__name__)
_EMBED_CHUNKS = 256
_TRIES = 3
_RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class _Work:
    """A file to index, as it stood when a worker took it."""

    number: int
    attempt: int
    store_id: str
    project_id: str
    file_id: str
    filename: str
    model: str
    size: int
    overlap: int
    indexed_before: bool


class Indexer:
    """A fixed number of workers over the files that wait.

    Args:
        folder: for the copy of the document that is being read.
    """

    def __init__(
        self,
        database: Database,
        events: EventBus,
        files: SourceFiles,
        embeddings: EmbeddingService,
        index: VectorIndex,
        *,
        folder: Path,
        workers: int,
    ) -> None:
        self._database = database
        self._events = events
        self._files = files
        self._embeddings = embeddings
        self._index = index
        self._folder = folder
        self._workers = workers
        self._claimed: set[int] = set()
        self._wake = asyncio.Event()
        self._taking = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._tasks = [asyncio.create_task(self._work(), name=f"indexing-{n}") for n in range(self._workers)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """There is something to index."""
        self._wake.set()
        self._wake = asyncio.Event()

    async def _work(self) -> None:
        while True:
            wake = self._wake
            try:
                work = await self._take()
                if work is None:
                    await wake.wait()
                    continue
                try:
                    await self._index_file(work)
                finally:
                    self._claimed.discard(work.number)
            except Exception:
                # The database itself failed, or a file vanished in between: the file still waits and is taken again.
                _log.exception("indexing failed, trying again")
                await asyncio.sleep(_RETRY_SECONDS)

    async def _take(self) -> _Work | None:
        async with self._taking, self._database.read() as session:
            row = await sql.next_to_index(session, self._claimed)
            store = None if row is None else await sql.store_of(session, row.vector_store_id)
            if row is None or store is None:
                return None
            self._claimed.add(row.number)
            return _Work(
                number=row.number,
                attempt=row.attempt,
                store_id=row.vector_store_id,
                project_id=row.project_id,
                file_id=row.file_id,
                filename=row.filename,
                model=store.embedding_model,
                size=row.max_chunk_size_tokens,
                overlap=row.chunk_overlap_tokens,
                indexed_before=await sql.has_chunks(session, row.number),
            )

    async def _index_file(self, work: _Work) -> None:
        try:
            used = await self._attempt(work)
        except DocumentError as error:
            await self._finish(work, status="failed", code=error.code, message=error.message)
        except NotFound:
            await self._finish(work, status="failed", code="invalid_file", message="The file has been deleted.")
        except ApiError as error:
            await self._finish(work, status="failed", code="server_error", message=error.message)
        except OSError as error:
            message = f"Reading the file failed: {error.strerror or error}. Attach it again once that is mended."
            await self._finish(work, status="failed", code="server_error", message=message)
        except Exception:
            _log.exception("indexing %s in %s failed", work.file_id, work.store_id)
            message = "Indexing failed for a reason that the platform's log holds. Attach the file again."
            await self._finish(work, status="failed", code="server_error", message=message)
        else:
            await self._finish(work, status="completed", used=used)

    async def _attempt(self, work: _Work) -> int:
        """Index one file; the bytes that it uses in the store."""
        for attempt in range(1, _TRIES + 1):
            try:
                return await self._once(work)
            except Unavailable:
                if attempt == _TRIES:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
        raise AssertionError("unreachable")

    async def _once(self, work: _Work) -> int:
        async with self._copy(work) as path:
            document = await extract(path, work.filename)
        chunks = await asyncio.to_thread(chunked, document, size=work.size, overlap=work.overlap)
        if work.indexed_before:
            await self._index.delete_file(work.store_id, work.number)
        async with self._database.write() as session:
            if await sql.current(session, work.number, work.attempt) is None:
                return 0
            numbers = await sql.replace_chunks(session, work.number, chunks)
        return await self._embed(work, chunks, numbers)

    async def _embed(self, work: _Work, chunks: list[Chunk], numbers: list[int]) -> int:
        embedder = await self._embeddings.embedder(work.project_id, work.model)
        used = 0
        for start in range(0, len(chunks), _EMBED_CHUNKS):
            part = slice(start, start + _EMBED_CHUNKS)
            vectors = (await embedder.embed([chunk.text for chunk in chunks[part]])).vectors
            await self._index.insert(work.store_id, work.number, numbers[part], vectors)
            used += vectors.nbytes + sum(len(chunk.text.encode()) for chunk in chunks[part])
        async with self._database.read() as session:
            row = await sql.current(session, work.number, work.attempt)
            more = row is not None and await sql.waiting_in_store(session, work.store_id, besides=work.number)
        await self._index.settle(work.store_id, more_to_come=more)
        return used

    @asynccontextmanager
    async def _copy(self, work: _Work) -> AsyncIterator[Path]:
        """The file's content at a path of its own while the block runs."""
        folder = Path(await asyncio.to_thread(self._temporary_folder))
        try:
            path = folder / "document"
            size = 0
            with await asyncio.to_thread(path.open, "wb") as target:
                async for piece in self._files.read(work.project_id, work.file_id):
                    size += len(piece)
                    if size > MAX_DOCUMENT_BYTES:
                        raise DocumentError(
                            "unsupported_file",
                            f"The file has over {MAX_DOCUMENT_BYTES // MIB} MiB, the most that is indexed. Split it.",
                        )
                    await asyncio.to_thread(target.write, piece)
            yield path
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _temporary_folder(self) -> str:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return tempfile.mkdtemp(dir=self._folder)

    async def _finish(
        self, work: _Work, *, status: str, used: int = 0, code: str | None = None, message: str | None = None
    ) -> None:
        async with self._database.write() as session:
            row = await sql.current(session, work.number, work.attempt)
            if row is not None:
                row.status, row.usage_bytes, row.error_code, row.error_message = status, used, code, message
                await session.flush()
                await self._publish(session, row)
                return
            gone = await session.get(StoreFileRow, work.number)
        if gone is None or gone.status == "cancelled":
            # Detached or cancelled while it was being indexed: what was inserted must go.
            await self._index.delete_file(work.store_id, work.number)

    async def _publish(self, session: AsyncSession, row: StoreFileRow) -> None:
        await publish_file(self._events, session, "updated", row)
        store = await sql.store_of(session, row.vector_store_id)
        if store is not None:
            store.last_active_at = now()
            if store.expires_after_days is not None:
                store.expires_at = store.last_active_at + store.expires_after_days * 86_400
            await publish_store(self._events, session, "updated", store)
