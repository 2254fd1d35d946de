"""Follows one cluster: what it pushes is recorded in order, metrics in groups."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from perijove_platform.errors import ApiError
from perijove_platform.jobs.leadership import Leadership
from perijove_platform.jobs.recorder import JobRecorder, database_is_away, is_metrics
from perijove_platform.runtimes.base import Cluster, JobState, JobUpdate

logger = logging.getLogger(__name__)

METRICS_SECONDS = 0.2
"""Metrics of a job are written, and the newest pushed, at most this often."""
_MAX_WAITING_UPDATES = 100
_ATTEMPTS = 3
"""For what cannot be recorded although the database is there."""
_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 4.0
_SUCCESSES_AT_ONCE = 8


class ClusterFollower:
    """What a replica hears that does not lead is another's to record, and is dropped; the leading one hears it, too.

    Of what that one could not record before it went, the next one catches up with the reports (`JobRecorder.catch_up`)
    and is told the states again when it submits the jobs.
    """

    def __init__(self, cluster: Cluster, recorder: JobRecorder, leadership: Leadership) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._leadership = leadership
        self._successes: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_SUCCESSES_AT_ONCE)

    async def run(self) -> None:
        """Does not end."""
        try:
            while True:
                try:
                    await self._follow()
                except Exception:
                    again = f"going on in {_RETRY_SECONDS:g} s"
                    logger.exception("Cluster %s cannot be followed; %s", self._cluster.name, again)
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            for task in self._successes.values():
                task.cancel()
            await asyncio.gather(*self._successes.values(), return_exceptions=True)

    async def _follow(self) -> None:
        updates: asyncio.Queue[JobUpdate] = asyncio.Queue(_MAX_WAITING_UPDATES)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(self._cluster, updates))
            group.create_task(self._record(updates))

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
            if is_metrics(update):
                if not metrics:
                    due = clock() + METRICS_SECONDS
                metrics.setdefault(update.job_id, []).append(update)
                if clock() >= due:
                    await self._flush(metrics)
                continue
            await self._flush(metrics)
            if update.state is JobState.SUCCEEDED:
                self._begin_success(update)
            else:
                await self._insist(update.job_id, partial(self._recorder.record, self._cluster, update))

    def _begin_success(self, update: JobUpdate) -> None:
        """Beside the other jobs' updates: results are taken over for as long as that takes."""
        if update.job_id not in self._successes:
            self._successes[update.job_id] = task = asyncio.create_task(self._succeed(update))
            task.add_done_callback(lambda _: self._successes.pop(update.job_id, None))

    async def _succeed(self, update: JobUpdate) -> None:
        """What a job has made is not lost because the object store or the database is away."""
        wait = _RETRY_SECONDS
        told: str | None = None
        while await self._leadership.decided():
            try:
                async with self._turns:
                    await self._recorder.record(self._cluster, update)
                return
            except Exception as error:
                why = error.message if isinstance(error, ApiError) else "the platform's log says why"
                if why != told:
                    logger.exception("The results of job %s cannot be taken over yet", update.job_id)
                    told = why
                    await self._delay(update.job_id, why)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_RETRY_SECONDS)

    async def _delay(self, job_id: str, why: str) -> None:
        try:
            await self._recorder.delay(job_id, f"the results cannot be taken over yet, trying again: {why}")
        except Exception:
            logger.warning("That the results of job %s have to wait cannot be recorded", job_id, exc_info=True)

    async def _flush(self, metrics: dict[str, list[JobUpdate]]) -> None:
        for job_id, updates in metrics.items():
            await self._insist(job_id, partial(self._recorder.record_metrics, job_id, updates))
        metrics.clear()

    async def _insist(self, job_id: str, record: Callable[[], Awaitable[None]]) -> None:
        """Until it is recorded, for as long as this replica leads: nobody tells it again. While the database is away
        the other jobs' updates wait, which could not be recorded, either."""
        wait, failures = _RETRY_SECONDS, 0
        while await self._leadership.decided():
            try:
                await record()
                return
            except Exception as error:
                failures += 1
                if failures == 1:
                    logger.exception("An update of job %s cannot be recorded now, and will be", job_id)
                if failures >= _ATTEMPTS and not database_is_away(error):
                    logger.exception("An update of job %s is left out", job_id)
                    return
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_RETRY_SECONDS)


async def _pump(cluster: Cluster, updates: asyncio.Queue[JobUpdate]) -> None:
    async for update in cluster.jobs.watch():
        await updates.put(update)
