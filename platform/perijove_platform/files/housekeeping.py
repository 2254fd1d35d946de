"""What nobody asks for: files and uploads that expire, and objects that a crash left without a row."""

import asyncio
import contextlib
import logging
import time

from perijove_platform.database import Database, now
from perijove_platform.errors import ApiError
from perijove_platform.files.service import FilesService
from perijove_platform.files.store import FileRow, FileStore, Housekeeping
from perijove_platform.files.uploads import UploadsService
from perijove_platform.objects import Found, ObjectStore

logger = logging.getLogger(__name__)

PREFIXES = ("files/", "uploads/")
_ROWS = 100
_SWEEP_ROWS = 500
_LONGEST_WAIT = 3600.0
_RETRY_SECONDS = 60.0


class FilesHousekeeper:
    """Sweeps once at start, then sleeps until the next expiry."""

    def __init__(self, database: Database, objects: ObjectStore, files: FilesService, uploads: UploadsService) -> None:
        self._database = database
        self._objects = objects
        self._files = files
        self._uploads = uploads
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Sweep, before the first request is taken, then go on in the background."""
        await self.sweep()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._files.expiry_changed.clear()
            try:
                await self.expire()
                wait = await self._seconds_to_next()
            except Exception:
                logger.exception("Expired files could not be removed; trying again in %.0f s", _RETRY_SECONDS)
                wait = _RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._files.expiry_changed.wait(), wait)

    async def _seconds_to_next(self) -> float:
        async with self._database.read() as session:
            at = await Housekeeping(session).next_expiry()
        return _LONGEST_WAIT if at is None else min(_LONGEST_WAIT, max(1.0, at - time.time()))

    async def expire(self) -> None:
        """Remove the files and end the uploads whose time has come."""
        while True:
            async with self._database.read() as session:
                files = await Housekeeping(session).expired_files(_ROWS)
                uploads = await Housekeeping(session).expired_uploads(_ROWS)
            for file in files:
                await self._expire_file(file)
            for upload in uploads:
                # Cancelled or completed by another replica meanwhile.
                with contextlib.suppress(ApiError):
                    await self._uploads.end(upload, "expired")
            if len(files) < _ROWS and len(uploads) < _ROWS:
                return

    async def _expire_file(self, file: FileRow) -> None:
        async with self._database.write() as session:
            row = await session.get(FileRow, file.id)
            if row is None or row.expires_at is None or row.expires_at > now():
                return
            await self._files.remove_row(FileStore(session, row.project_id), row)
        await self._objects.delete(file.object_key)

    async def sweep(self) -> int:
        """Remove the objects that no row names, and give their number."""
        removed = 0
        for prefix in PREFIXES:
            batch: list[Found] = []
            async for found in self._objects.list(prefix):
                batch.append(found)
                if len(batch) == _SWEEP_ROWS:
                    removed += await self._sweep(batch)
                    batch = []
            removed += await self._sweep(batch)
        if removed:
            logger.info("Removed %d objects of requests that were cut off", removed)
        return removed

    async def _sweep(self, batch: list[Found]) -> int:
        settled = time.time() - self._objects.settle_seconds
        keys = [found.key for found in batch if not self._objects.settle_seconds or found.modified < settled]
        async with self._database.read() as session:
            named = await Housekeeping(session).named(keys)
        orphans = [key for key in keys if key not in named]
        for key in orphans:
            await self._objects.delete(key)
        return len(orphans)
