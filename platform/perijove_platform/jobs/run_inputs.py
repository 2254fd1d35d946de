"""The inputs of runs in the object store: base models put there once, and what they weigh."""

import asyncio
import hashlib
import io
import logging
import weakref
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

from perijove_platform.database import Database
from perijove_platform.errors import Conflict
from perijove_platform.jobs.run_store import JobRunRow, JobRunStore, ModelObjectRow
from perijove_platform.objects import Chunk, ObjectMissing, ObjectStore
from perijove_platform.runner.contract import BASE_MODEL

logger = logging.getLogger(__name__)
_READ_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Checksum:
    """An object to fetch, and what it has to be."""

    key: str
    size: int
    sha256: str


class RunInputs:
    """Prepares the inputs of each run in a task of its own, which whoever needs them waits for."""

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects
        self._preparing: dict[str, asyncio.Task[dict[str, Checksum]]] = {}
        self._models: weakref.WeakValueDictionary[Path, asyncio.Lock] = weakref.WeakValueDictionary()

    async def stop(self) -> None:
        tasks = list(self._preparing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def prepare(self, run: JobRunRow) -> asyncio.Task[dict[str, Checksum]]:
        """The inputs by their place in the working folder; begun once, however many ask meanwhile.

        Awaited, it raises `Conflict` when an input is not there (any more), and what the object store raises.
        """
        task = self._preparing.get(run.job_id)
        if task is None:
            task = self._preparing[run.job_id] = asyncio.create_task(self._prepare(run))
            task.add_done_callback(lambda done: self._done(run.job_id, done))
        return task

    def forget(self, job_id: str) -> None:
        """Stop preparing: nobody will ask any more."""
        if (task := self._preparing.get(job_id)) is not None:
            task.cancel()

    def _done(self, job_id: str, task: asyncio.Task[dict[str, Checksum]]) -> None:
        if self._preparing.get(job_id) is task:
            del self._preparing[job_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("The inputs of job %s cannot be prepared: %s", job_id, error)

    async def _prepare(self, run: JobRunRow) -> dict[str, Checksum]:
        before = {path: Checksum(**found) for path, found in run.checksums.items()}
        known: dict[str, Checksum] = {}
        for path, key in run.inputs.items():
            known[path] = before.get(path) or await self._weigh(path, key)
        if run.base_model is not None:
            model = before.get(BASE_MODEL)
            # An operator may have cleared the models; the file on this machine may have gone, too.
            stored = model is not None and await self._is_stored(model)
            known[BASE_MODEL] = model if model is not None and stored else await self._model(Path(run.base_model))
        if known == before:
            return known
        async with self._database.write() as session:
            row = await JobRunStore(session).get(run.job_id, lock=True)
            if row is not None:
                row.checksums = {path: asdict(checksum) for path, checksum in known.items()}
        return known

    async def _weigh(self, path: str, key: str) -> Checksum:
        digest, size = hashlib.sha256(), 0
        try:
            async for chunk in self._objects.get(key):
                size += len(chunk)
                await asyncio.to_thread(digest.update, chunk)
        except ObjectMissing:
            message = f"The job's {path} is not there any more. Upload the file again and create the job anew."
            raise Conflict(message, code="input_missing") from None
        return Checksum(key, size, digest.hexdigest())

    async def _model(self, path: Path) -> Checksum:
        """The object ``models/<sha256>.gguf`` with the content of the file, put there if it is not."""
        lock = self._models.setdefault(path, asyncio.Lock())
        async with lock:
            try:
                status = await asyncio.to_thread(path.stat)
                found = await self._digest(path, status.st_size, status.st_mtime_ns)
                content = await asyncio.to_thread(path.open, "rb", buffering=0)
            except OSError as error:
                message = f"The base model's file cannot be read ({error.strerror}). Pull or register the model again."
                raise Conflict(message, code="input_missing") from error
            with content:
                await self._store(found, path.name, content)
            return found

    async def _store(self, found: Checksum, name: str, content: io.RawIOBase) -> None:
        if await self._is_stored(found):
            return
        logger.info("Storing the base model %s for the clusters", name)
        stored = await self._objects.put(found.key, _chunks(content))
        if stored.sha256 != found.sha256:
            await self._objects.delete(found.key)
            raise Conflict("The base model's file changes. Create the job again.", code="input_missing")

    async def _digest(self, path: Path, size: int, modified_ns: int) -> Checksum:
        async with self._database.read() as session:
            row = await JobRunStore(session).model_object(str(path))
        if row is None or (row.size, row.modified_ns) != (size, modified_ns):
            sha256 = await asyncio.to_thread(_sha256, path)
            row = ModelObjectRow(path=str(path), size=size, modified_ns=modified_ns, sha256=sha256)
            async with self._database.write() as session:
                await JobRunStore(session).put_model_object(row)
        return Checksum(f"models/{row.sha256}.gguf", size, row.sha256)

    async def _is_stored(self, found: Checksum) -> bool:
        try:
            return await self._objects.size(found.key) == found.size
        except ObjectMissing:
            return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _chunks(content: io.RawIOBase) -> AsyncIterator[Chunk]:
    while chunk := await asyncio.to_thread(content.read, _READ_BYTES):
        yield chunk
