"""The pulls that are under way: fetch in the background, tell how far they are, survive a restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from perijove_platform.database import Database
from perijove_platform.engines.gguf_header import GgufError
from perijove_platform.models import default_model, store
from perijove_platform.models.download import Download, DownloadError
from perijove_platform.models.engine_states import EngineStates
from perijove_platform.models.hub import PullPlan, hub_client
from perijove_platform.models.inspect_path import Weights, weights_of
from perijove_platform.models.store import ModelRow, ModelStore
from perijove_platform.settings import Settings

_AT_ONCE = 2
_PROGRESS_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Pulls:
    """Fetches models in the state ``pulling`` until they are ``available`` or ``failed``."""

    def __init__(self, database: Database, states: EngineStates, settings: Settings) -> None:
        self._database = database
        self._states = states
        self._settings = settings
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Goes on with what was being pulled when the platform ended."""
        async with self._database.read() as session:
            rows = await store.unfinished_pulls(session)
        for row in rows:
            self.begin(row)

    async def stop(self) -> None:
        """Stops the pulls; they go on at the next start."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def begin(self, row: ModelRow) -> None:
        task = asyncio.create_task(self._run(row))
        self._tasks[row.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(row.id, None))

    async def cancel(self, row_id: str) -> None:
        """Stops a pull, if there is one; what it fetched stays until `remove_files`."""
        if task := self._tasks.get(row_id):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def folder(self, row_id: str) -> Path:
        """Where the platform keeps its own files of a model."""
        return self._settings.models_dir / row_id

    async def remove_files(self, row_id: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder(row_id), ignore_errors=True)

    async def _run(self, row: ModelRow) -> None:
        try:
            async with self._slots:
                path = await self._fetch(row)
            weights = await asyncio.to_thread(weights_of, path)
            await self._finish(row, weights)
        except (DownloadError, GgufError, OSError) as error:
            await self._fail(row, str(error), keep=isinstance(error, DownloadError) and error.keep)
        except Exception:
            _log.exception("the pull of model %s failed", row.id)
            await self._fail(row, "an unexpected error, which is in the platform's log: pull it again", keep=True)

    async def _fetch(self, row: ModelRow) -> Path:
        progress = _Progress(lambda count: self._tell(row, count))
        try:
            if row.plan is None:
                return await default_model.fetch(self._settings.cache_dir, progress.set)
            async with hub_client(self._settings) as client:
                plan = PullPlan.model_validate(row.plan)
                return await Download(client, plan, self.folder(row.id), progress.set).run()
        finally:
            await progress.close()

    async def _tell(self, row: ModelRow, count: int) -> None:
        async with self._database.write() as session:
            current = await ModelStore(session, row.project_id).get(row.id)
            if current is not None and current.state == "pulling":
                current.bytes_done = count
                await self._states.publish(session, "updated", current)

    async def _finish(self, row: ModelRow, weights: Weights) -> None:
        async with self._database.write() as session:
            current = await ModelStore(session, row.project_id).get(row.id)
            if current is None:
                return
            apply_weights(current, weights)
            current.state, current.state_reason, current.plan = "available", None, None
            await self._states.publish(session, "updated", current)

    async def _fail(self, row: ModelRow, reason: str, *, keep: bool) -> None:
        if not keep:
            await self.remove_files(row.id)
        async with self._database.write() as session:
            current = await ModelStore(session, row.project_id).get(row.id)
            if current is not None:
                current.state, current.state_reason = "failed", f"The model was not pulled: {reason.rstrip('.')}."
                current.bytes_done = current.bytes_done if keep else 0
                await self._states.publish(session, "updated", current)


def apply_weights(row: ModelRow, weights: Weights) -> None:
    """What the files say about the model, into its row."""
    row.path = str(weights.path)
    row.kind = weights.kind
    row.size_bytes = weights.size_bytes
    row.parameters = weights.parameters
    row.context_length = weights.context_length


class _Progress:
    """Tells the newest count, at most every `_PROGRESS_SECONDS`, without holding up the download.

    The last count before a standstill is told too.
    """

    def __init__(self, tell: Callable[[int], Awaitable[None]]) -> None:
        self._tell = tell
        self._count = 0
        self._closed = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None

    def set(self, count: int) -> None:
        self._count = count
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_changes())

    async def close(self) -> None:
        self._closed.set()
        if self._telling is not None:
            await asyncio.gather(self._telling, return_exceptions=True)

    async def _tell_changes(self) -> None:
        told = -1
        while told != self._count and not self._closed.is_set():
            told = self._count
            await self._tell(told)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PROGRESS_SECONDS):
                    await self._closed.wait()
