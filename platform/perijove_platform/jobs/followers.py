"""Follows one cluster: what it pushes is recorded in order, metrics in groups."""

from __future__ import annotations

import asyncio
import logging

from perijove_platform.jobs.leadership import Leadership
from perijove_platform.jobs.recorder import JobRecorder
from perijove_platform.runtimes.base import Cluster, JobUpdate

logger = logging.getLogger(__name__)

METRICS_SECONDS = 0.2
"""Metrics of a job are written, and the newest pushed, at most this often."""
_MAX_WAITING_UPDATES = 100
_ATTEMPTS = 3
_RETRY_SECONDS = 1.0


class ClusterFollower:
    """What a replica hears that does not lead is another's to record, and is dropped; the leading one hears it, too."""

    def __init__(self, cluster: Cluster, recorder: JobRecorder, leadership: Leadership) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._leadership = leadership

    async def run(self) -> None:
        """Does not end."""
        while True:
            updates: asyncio.Queue[JobUpdate] = asyncio.Queue(_MAX_WAITING_UPDATES)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(self._cluster, updates))
                    group.create_task(self._record(updates))
            except Exception:
                logger.exception("Cluster %s cannot be followed; going on in %s s", self._cluster.name, _RETRY_SECONDS)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _record(self, updates: asyncio.Queue[JobUpdate]) -> None:
        clock = asyncio.get_running_loop().time
        metrics: dict[str, list[JobUpdate]] = {}
        due = 0.0
        while True:
            try:
                async with asyncio.timeout(max(0.0, due - clock()) if metrics else None):
                    update = await updates.get()
            except TimeoutError:
                await self._flush(metrics)
                continue
            if not await self._leadership.decided():
                metrics.clear()
                continue
            if update.report is not None and update.report.get("type") == "metrics":
                if not metrics:
                    due = clock() + METRICS_SECONDS
                metrics.setdefault(update.job_id, []).append(update)
                if clock() >= due:
                    await self._flush(metrics)
                continue
            await self._flush(metrics)
            await self._attempt(update)

    async def _flush(self, metrics: dict[str, list[JobUpdate]]) -> None:
        for job_id, updates in metrics.items():
            try:
                await self._recorder.record_metrics(job_id, updates)
            except Exception:
                logger.exception("Metrics of job %s cannot be recorded", job_id)
        metrics.clear()

    async def _attempt(self, update: JobUpdate) -> None:
        """A full disk or a database that restarts must not end the following; a state is worth a second try."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._recorder.record(self._cluster, update)
                return
            except Exception:
                logger.exception("An update of job %s cannot be recorded (attempt %d)", update.job_id, attempt)
                if update.state is None:
                    return
                await asyncio.sleep(attempt)


async def _pump(cluster: Cluster, updates: asyncio.Queue[JobUpdate]) -> None:
    async for update in cluster.jobs.watch():
        await updates.put(update)
