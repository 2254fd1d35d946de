"""Follows the clusters: takes up unfinished jobs at the start, then records what is pushed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from perijove_platform.database import Database
from perijove_platform.errors import ApiError
from perijove_platform.jobs.inputs import checked_inputs
from perijove_platform.jobs.recorder import JobRecorder
from perijove_platform.jobs.sources import TrainableModels, TrainingFiles
from perijove_platform.jobs.store import JobRow, find_job, unfinished_jobs
from perijove_platform.jobs.submission import job_spec, owner_of
from perijove_platform.runtimes.base import Cluster, ClusterChange, Clusters, JobState, JobUpdate

logger = logging.getLogger(__name__)

METRICS_SECONDS = 0.2
"""Metrics of a job are written, and the newest pushed, at most this often."""
_MAX_WAITING_UPDATES = 100
_ATTEMPTS = 3
_RETRY_SECONDS = 1.0


class JobTracker:
    """The background half of the jobs manager."""

    def __init__(
        self,
        database: Database,
        clusters: Clusters,
        recorder: JobRecorder,
        models: TrainableModels,
        files: TrainingFiles,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._recorder = recorder
        self._models = models
        self._files = files
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._followers: dict[Cluster, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        changes = self._clusters.watch()
        for cluster in self._clusters.all():
            self._begin(cluster)
        self._looking = asyncio.create_task(self._look(changes))
        async with self._database.read() as session:
            rows = await unfinished_jobs(session)
        for row in rows:
            await self._take_up(row)

    async def stop(self) -> None:
        tasks = [*self._followers.values(), *self._checks.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def submit(self, row: JobRow) -> None:
        """Hand a job to its cluster, once its files have been checked; one that cannot be handed over has failed."""
        if not row.inputs:
            self.end_check(row.id)
            self._checks[row.id] = task = asyncio.create_task(self._check(row))
            task.add_done_callback(lambda done: self._forget_check(row.id, done))
            return
        cluster = await self._clusters.get(row.cluster, row.organization_id)
        if cluster is None:
            await self._recorder.fail(row.id, "cluster_gone", f"The cluster '{row.cluster}' is no longer there.")
            return
        try:
            spec = await job_spec(row, self._models)
        except ApiError as error:
            await self._recorder.fail(row.id, error.code or "model_not_found", error.message, "model")
            return
        self._begin(cluster)  # it may have come so lately that nobody has told yet
        await cluster.jobs.submit(spec)
        # A wish that was written meanwhile found a cluster that did not know the job yet.
        async with self._database.read() as session:
            current = await find_job(session, row.id)
        if current is not None and current.desired == "cancel":
            await cluster.jobs.cancel(row.id)
        elif current is not None and current.desired == "pause":
            await cluster.jobs.suspend(row.id)

    def end_check(self, job_id: str) -> None:
        """Stop checking the files of a job, if that is what it is waiting for."""
        if (task := self._checks.pop(job_id, None)) is not None:
            task.cancel()

    def _forget_check(self, job_id: str, task: asyncio.Task[None]) -> None:
        if self._checks.get(job_id) is task:
            del self._checks[job_id]

    async def _check(self, row: JobRow) -> None:
        try:
            inputs = await checked_inputs(self._files, owner_of(row), row.training_file, row.validation_file)
        except ApiError as error:
            await self._recorder.fail(row.id, error.code or "invalid_training_file", error.message, error.param)
            return
        except Exception:
            logger.exception("The files of job %s cannot be checked", row.id)
            message = "The files could not be checked; the platform's log says why. Create the job again."
            await self._recorder.fail(row.id, "input", message)
            return
        checked = await self._recorder.files_checked(row.id, inputs)
        if checked is not None:
            await self.submit(checked)

    async def _take_up(self, row: JobRow) -> None:
        state = {"cancel": JobState.CANCELLED, "pause": JobState.PAUSED}.get(row.desired, JobState.QUEUED)
        if row.state == state == JobState.PAUSED:
            return
        async with self._database.write() as session:
            current = await find_job(session, row.id)
            if current is None:
                return
            reason = "taken up again after a restart of the platform" if state is JobState.QUEUED else None
            if current.state == JobState.RUNNING and state is JobState.QUEUED:
                message = "The platform was restarted; the job goes on from its last checkpoint, if it had one"
                await self._recorder.add_message(session, current, "warn", message)
            await self._recorder.set_state(session, current, state, reason)
        if state is JobState.QUEUED:
            await self.submit(row)

    def _begin(self, cluster: Cluster) -> None:
        if cluster not in self._followers:
            self._followers[cluster] = asyncio.create_task(self._follow(cluster))

    async def _look(self, changes: AsyncIterator[ClusterChange]) -> None:
        """Follow the clusters that come; the jobs of one that has gone for good have failed."""
        async for change in changes:
            if change.present:
                self._begin(change.cluster)
                continue
            follower = self._followers.pop(change.cluster, None)
            if follower is not None:
                follower.cancel()
                await asyncio.gather(follower, return_exceptions=True)
            try:
                await self._fail_all(change)
            except Exception:
                logger.exception("The jobs of cluster %s cannot be ended", change.cluster.name)

    async def _fail_all(self, gone: ClusterChange) -> None:
        name = gone.cluster.name
        async with self._database.read() as session:
            rows = await unfinished_jobs(session, organization_id=gone.organization_id, cluster=name)
        for row in rows:
            self.end_check(row.id)
            await self._recorder.fail(row.id, "cluster_gone", f"The cluster '{name}' was deleted.")

    async def _follow(self, cluster: Cluster) -> None:
        while True:
            updates: asyncio.Queue[JobUpdate] = asyncio.Queue(_MAX_WAITING_UPDATES)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(cluster, updates))
                    group.create_task(self._record(cluster, updates))
            except Exception:
                logger.exception("Cluster %s cannot be followed; going on in %s s", cluster.name, _RETRY_SECONDS)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _record(self, cluster: Cluster, updates: asyncio.Queue[JobUpdate]) -> None:
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
            if update.report is not None and update.report.get("type") == "metrics":
                if not metrics:
                    due = clock() + METRICS_SECONDS
                metrics.setdefault(update.job_id, []).append(update)
                if clock() >= due:
                    await self._flush(metrics)
                continue
            await self._flush(metrics)
            await self._attempt(cluster, update)

    async def _flush(self, metrics: dict[str, list[JobUpdate]]) -> None:
        for job_id, updates in metrics.items():
            try:
                await self._recorder.record_metrics(job_id, updates)
            except Exception:
                logger.exception("Metrics of job %s cannot be recorded", job_id)
        metrics.clear()

    async def _attempt(self, cluster: Cluster, update: JobUpdate) -> None:
        """A full disk or a database that restarts must not end the following; a state is worth a second try."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._recorder.record(cluster, update)
                return
            except Exception:
                logger.exception("An update of job %s cannot be recorded (attempt %d)", update.job_id, attempt)
                if update.state is None:
                    return
                await asyncio.sleep(attempt)


async def _pump(cluster: Cluster, updates: asyncio.Queue[JobUpdate]) -> None:
    async for update in cluster.jobs.watch():
        await updates.put(update)
