"""Jobs as Kueue workloads of one cluster: the `Jobs` contract over `view`, `states`, `job_control` and `log_keeper`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from perijove_platform.runtimes.base import JobSpec, JobState, JobUpdate, Wish
from perijove_platform.runtimes.job_runs import JobRuns
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import KubernetesError, Unreachable
from perijove_platform.runtimes.kubernetes.job_control import ControlledJob, JobControl
from perijove_platform.runtimes.kubernetes.job_manifests import PodSettings
from perijove_platform.runtimes.kubernetes.job_objects import JobObjects
from perijove_platform.runtimes.kubernetes.log_keeper import LogKeeper
from perijove_platform.runtimes.kubernetes.logs import LOG
from perijove_platform.runtimes.kubernetes.objects import Object, get
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues
from perijove_platform.runtimes.kubernetes.states import Seen, Standing, standing
from perijove_platform.runtimes.kubernetes.view import JobsView
from perijove_platform.runtimes.local.job_log import read_log

logger = logging.getLogger(__name__)

WishOf = Callable[[str], Awaitable[Wish | None]]
"""What the owner of a job wants; ``None`` for a job that nobody knows, or whose final state has been recorded."""
_MAX_UPDATES = 1000
"""Updates that wait for the watcher; whoever has another waits, too."""
_LOG_SECONDS = 10.0
"""For which a final state waits for the rest of the log."""
_CANCEL_SECONDS = 4.0
"""After which a job counts as cancelled although its pods take their time: nothing can bring it back."""
_KEPT_SECONDS = 600.0
"""For which a Job that has ended stays in the cluster, to be looked at."""
_RETRY_SECONDS = 10.0


class KubernetesJobs:
    """See `base.Jobs`.

    The cluster's Jobs are the memory of what runs; the watches tell what changes. A restart of this process finds them
    again: those that somebody wants are gone on with, the others are deleted.

    Args:
        wish_of: asked about Jobs that are found in the cluster and have not been submitted to this process.
    """

    def __init__(
        self,
        client: KubernetesClient,
        cluster_id: str,
        queues: ClusterQueues,
        runs: JobRuns,
        wish_of: WishOf,
        pods: PodSettings,
        jobs_dir: Path,
    ) -> None:
        self._cluster_id = cluster_id
        self._runs = runs
        self._wish_of = wish_of
        self._jobs_dir = jobs_dir
        self._jobs: dict[str, ControlledJob] = {}
        self._errors: dict[str, str] = {}
        self._updates: asyncio.Queue[JobUpdate] = asyncio.Queue(_MAX_UPDATES)
        self._changed: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._adopting: set[str] = set()
        self.view = JobsView(client, cluster_id, queues, self._on_job)
        self._objects = JobObjects(client, cluster_id, queues, runs, pods)
        self._control = JobControl(client.transport, self._objects, self.view, runs, self._tell)
        self._logs = LogKeeper(client, self.view, jobs_dir)

    async def start(self) -> None:
        self._spawn(self._follow())
        self._spawn(self._pass_reports())

    async def stop(self) -> None:
        """The jobs go on in the cluster."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._control.stop()
        await self._logs.stop()

    async def submit(self, spec: JobSpec) -> None:
        job = self._jobs.get(spec.job_id)
        if job is None or job.ended:
            job = self._jobs[spec.job_id] = ControlledJob(spec.job_id, "run")
        # What is known is told again: to whoever submits it, the job has no state yet.
        job.spec, job.wish, job.restart, job.standing = spec, "run", True, None
        self._control.drive(job)
        self._on_job(spec.job_id)

    async def cancel(self, job_id: str) -> None:
        await self._want(job_id, "cancel")

    async def suspend(self, job_id: str) -> None:
        await self._want(job_id, "pause")

    async def watch(self) -> AsyncIterator[JobUpdate]:
        while True:
            yield await self._updates.get()

    async def work_folder(self, job_id: str) -> Path:
        return await self._runs.results(job_id)

    async def logs(
        self, job_id: str, *, follow: bool, tail_lines: int | None = None, tail_bytes: int | None = None
    ) -> AsyncIterator[bytes]:
        """See `base.Jobs.logs`."""
        chunks = read_log(
            self._jobs_dir / job_id / LOG,
            tail_lines=tail_lines,
            tail_bytes=tail_bytes,
            bell=self._logs.bell(job_id),
            follow=lambda: follow and job_id in self._jobs and not self._jobs[job_id].ended,
        )
        async for chunk in chunks:
            yield chunk

    async def _want(self, job_id: str, wish: Wish) -> None:
        job = self._jobs.get(job_id)
        if job is None and self.view.job(job_id) is not None:
            job = self._jobs[job_id] = ControlledJob(job_id, wish)
        if job is None or job.ended:
            return
        job.wish, job.restart = wish, False
        self._control.drive(job)
        if wish == "cancel":
            self._spawn(self._count_as_cancelled(job))

    # What the watches tell.

    def _on_job(self, job_id: str) -> None:
        self._changed[job_id] = None
        self._wake.set()

    async def _follow(self) -> None:
        """Changes in bursts: of what happens to a job at the same time, the newest is told."""
        await self.view.synced()
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, {}
            for job_id in changed:
                try:
                    await self._look(job_id)
                except Exception:
                    logger.exception("What happened to job %s cannot be told", job_id)

    async def _look(self, job_id: str) -> None:
        job, seen = self._jobs.get(job_id), self.view.seen(job_id)
        if job is None:
            if seen is not None and job_id not in self._adopting:
                self._adopting.add(job_id)
                self._spawn(self._adopt(job_id))
            return
        if seen is None:
            await self._missing(job)
            return
        job.made = job.shown = True
        self._logs.look(job_id, completions=get(seen.job, "spec", "completions", default=1))
        if job.ended:
            return
        if job.restart or (job.wish == "pause" and _is_active(seen)) or (job.wish == "cancel" and not job.deleting):
            self._control.drive(job)
        if job.wish == "cancel":
            return
        await self._tell(job, self._wanted(job, seen, standing(seen)))

    def _wanted(self, job: ControlledJob, seen: Seen, found: Standing) -> Standing:
        """Where it stands, between what is wanted and what the cluster has done of it."""
        if job.wish == "run" and found.state is JobState.PAUSED:
            return Standing(state=JobState.QUEUED, reason="waiting for Kueue to take it up again")
        if job.wish == "pause" and seen.workload is None and get(seen.job, "spec", "suspend", default=False):
            return Standing(state=JobState.PAUSED)
        if found.state is JobState.FAILED and found.code not in ("out_of_memory", "time_limit"):
            told = self._errors.get(job.job_id)
            return found if told is None else replace(found, reason=told)
        return found

    async def _missing(self, job: ControlledJob) -> None:
        """It has no Job: not yet, or not any more."""
        if job.deleting:
            await self._tell(job, Standing(state=JobState.CANCELLED, reason="cancelled"))
        elif job.wish == "cancel":
            self._control.drive(job)
        elif job.shown:
            await self._tell(job, Standing(state=JobState.CANCELLED, reason="its Job was deleted in the cluster"))

    async def _adopt(self, job_id: str) -> None:
        """A Job that was not submitted here: an earlier process made it."""
        try:
            while True:
                try:
                    wish = await self._wish_of(job_id)
                    found = self.view.job(job_id)
                    if found is None or job_id in self._jobs:
                        return
                    if wish is None:
                        await self._runs.end(job_id)
                        await self._objects.delete(found, at_once=True)
                        return
                    job = self._jobs[job_id] = ControlledJob(job_id, wish, made=True)
                    self._control.drive(job)
                    self._on_job(job_id)
                    return
                except (KubernetesError, Unreachable) as error:
                    logger.warning("Job %s, which nobody wants, cannot be deleted: %s", job_id, error)
                except Exception:
                    logger.exception("What is wanted of job %s cannot be found out", job_id)
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._adopting.discard(job_id)

    # What is told.

    async def _tell(self, job: ControlledJob, found: Standing) -> None:
        if job.ended or job.standing == found or self._jobs.get(job.job_id) is not job:
            return
        before, job.standing = job.standing, found
        if found.state.final:
            job.ended = True
            self._spawn(self._end(job, found, before))
        else:
            await self._put(job.job_id, found)

    async def _end(self, job: ControlledJob, found: Standing, before: Standing | None) -> None:
        """The program's own words come first, then the final state; whatever is left of the job goes later."""
        if found.state is not JobState.CANCELLED:
            if before is None or before.state is not JobState.RUNNING:
                seen = self.view.seen(job.job_id)
                if seen is not None and _has_run(seen):
                    await self._put(job.job_id, Standing(state=JobState.RUNNING))
            await self._logs.drained(job.job_id, _LOG_SECONDS)
            await self._runs.handed_over(job.job_id)
            told = self._errors.get(job.job_id)
            if (
                told is not None
                and found.code not in ("out_of_memory", "time_limit")
                and found.state is JobState.FAILED
            ):
                found = replace(found, reason=told)
        await self._put(job.job_id, found)
        self._logs.bell(job.job_id).ring()
        await self._clean(job, at_once=found.ends or found.state is JobState.CANCELLED)

    async def _put(self, job_id: str, found: Standing) -> None:
        await self._updates.put(
            JobUpdate(job_id=job_id, state=found.state, reason=found.reason, queue_position=found.queue_position)
        )

    async def _clean(self, job: ControlledJob, *, at_once: bool) -> None:
        """Once nobody needs them, remove the job's objects and what is remembered of it."""
        wait = 0.0 if at_once else _KEPT_SECONDS
        while True:
            await asyncio.sleep(wait)
            wait = _RETRY_SECONDS if at_once else _KEPT_SECONDS
            try:
                # A job whose end has not been recorded yet is submitted again after a restart: it must be found then.
                if not at_once and await self._wish_of(job.job_id) is not None:
                    continue
                if (found := self.view.job(job.job_id)) is not None and self._jobs.get(job.job_id) is job:
                    await self._objects.delete(found, at_once=at_once)
                await self._runs.end(job.job_id)
                break
            except (KubernetesError, Unreachable) as error:
                logger.warning("What is left of job %s cannot be deleted yet: %s", job.job_id, error)
            except Exception:
                logger.exception("What is left of job %s cannot be deleted yet", job.job_id)
        await self._logs.drained(job.job_id, _LOG_SECONDS)
        if self._jobs.get(job.job_id) is job:
            del self._jobs[job.job_id]
            self._errors.pop(job.job_id, None)
            self.view.expect_end(job.job_id, None)
            await self._logs.close(job.job_id)

    async def _count_as_cancelled(self, job: ControlledJob) -> None:
        await asyncio.sleep(_CANCEL_SECONDS)
        if job.wish == "cancel" and job.deleting:
            await self._tell(job, Standing(state=JobState.CANCELLED, reason="cancelled"))

    async def _pass_reports(self) -> None:
        """What the programs say, among what the cluster says of them."""
        while True:
            try:
                async for update in self._runs.watch(self._cluster_id):
                    self._note(update)
                    await self._updates.put(update)
            except Exception:
                logger.exception("The reports of cluster %s cannot be read", self._cluster_id)
            await asyncio.sleep(_RETRY_SECONDS)

    def _note(self, update: JobUpdate) -> None:
        """What reports say that the cluster does not know."""
        report = update.report or {}
        if report.get("type") == "error":
            self._errors[update.job_id] = str(report.get("message") or "the program failed")
        elif report.get("type") == "metrics" and update.job_id in self._jobs:
            left = report.get("eta_seconds")
            ends = asyncio.get_running_loop().time() + left if isinstance(left, int | float) else None
            self.view.expect_end(update.job_id, ends)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_active(seen: Seen) -> bool:
    return seen.workload is not None and get(seen.workload, "spec", "active", default=True) is not False


def _has_run(seen: Seen) -> bool:
    status: Object = get(seen.job, "status", default={})
    return bool(get(status, "succeeded") or get(status, "failed") or get(status, "startTime"))
