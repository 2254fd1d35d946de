"""Jobs as Kueue workloads of one cluster: the `Jobs` contract over `view`, `states`, `job_control` and `log_keeper`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from perijove_platform.runtimes.base import JobSpec, JobState, JobUpdate, Wish
from perijove_platform.runtimes.job_runs import JobRuns
from perijove_platform.runtimes.kubernetes import words
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.job_control import ControlledJob, JobControl
from perijove_platform.runtimes.kubernetes.job_endings import LOG_SECONDS, JobEndings, WishOf, insist
from perijove_platform.runtimes.kubernetes.job_manifests import PodSettings
from perijove_platform.runtimes.kubernetes.job_objects import JobObjects
from perijove_platform.runtimes.kubernetes.job_timers import ASIDE_SECONDS, START_SECONDS, JobTimers
from perijove_platform.runtimes.kubernetes.log_keeper import LogKeeper
from perijove_platform.runtimes.kubernetes.logs import LOG
from perijove_platform.runtimes.kubernetes.objects import get
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues
from perijove_platform.runtimes.kubernetes.states import Seen, Standing, goes_on, standing
from perijove_platform.runtimes.kubernetes.unnoticed import UnnoticedJobs
from perijove_platform.runtimes.kubernetes.view import JobsView
from perijove_platform.runtimes.local.job_log import Bell, read_log

logger = logging.getLogger(__name__)

_MAX_UPDATES = 1000
"""Updates that wait for the watcher; whoever has another waits, too."""
_CANCEL_SECONDS = 4.0
"""After which a job counts as cancelled although its pods take their time: nothing can bring it back."""
_RETRY_SECONDS = 2.0
_LOST = "its Job was deleted in the cluster and is made again"
_MOST_LOSSES = 3
"""After which a Job that somebody deletes again and again is not made anew."""


class KubernetesJobs:
    """See `base.Jobs`.

    The cluster's Jobs are the memory of what runs; the watches tell what changes. A restart of this process finds them
    again: those that somebody wants are gone on with, the others are deleted.

    Args:
        wish_of: asked about Jobs that are found in the cluster and have not been submitted to this process.
        start_seconds: see `START_SECONDS`.
    """

    lasting = True
    takes_images = True

    def __init__(
        self,
        client: KubernetesClient,
        cluster_id: str,
        queues: ClusterQueues,
        runs: JobRuns,
        wish_of: WishOf,
        pods: PodSettings,
        jobs_dir: Path,
        *,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._cluster_id = cluster_id
        self._reachable = client.transport.reachable
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
        self._endings = JobEndings(
            runs,
            self._objects,
            self.view,
            self._logs,
            wish_of=wish_of,
            put=self._updates.put,
            told=self._errors.get,
            current=lambda job: self._jobs.get(job.job_id) is job,
        )
        self._starting = JobTimers(start_seconds, lambda job_id: self._spawn(self._not_started(job_id)))
        self._aside = JobTimers(ASIDE_SECONDS, self._stand_in_queue)
        self._unnoticed = UnnoticedJobs(self._objects, self.view, self._spawn)

    async def start(self) -> None:
        self._spawn(self._follow())
        self._spawn(self._pass_reports())

    async def stop(self) -> None:
        """The jobs go on in the cluster."""
        self._starting.stop()
        self._aside.stop()
        self._unnoticed.stop()
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
        follow = follow and job_id in self._jobs
        chunks = read_log(
            self._jobs_dir / job_id / LOG,
            tail_lines=tail_lines,
            tail_bytes=tail_bytes,
            # Nobody would take away that of a job that has gone.
            bell=self._logs.bell(job_id) if follow else Bell(),
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
        job.made, job.shown = True, seen.job
        self._logs.look(job_id, completions=get(seen.job, "spec", "completions", default=1))
        if job.ended:
            return
        found = standing(seen)
        if self._asks(job, seen, found):
            return
        stops = (job.wish == "pause" or job.aside) and _is_active(seen)
        if job.restart or stops or (job.wish == "cancel" and not job.deleting):
            self._control.drive(job)
        self._starting.look(job_id, found.blocked and job.wish == "run")
        self._unnoticed.look(job_id, job.wish == "run")
        self._aside.look(job_id, job.aside and job.wish == "run" and found.state is JobState.PAUSED)
        if job.wish != "cancel":
            await self._tell(job, self._wanted(job, seen, found))

    def _asks(self, job: ControlledJob, seen: Seen, found: Standing) -> bool:
        """Whether the cluster does the opposite of what is wanted, and the owner, whom another replica serves, is
        asked first."""
        paused_by_others = job.wish == "run" and not job.restart and not job.aside and found.state is JobState.PAUSED
        if not paused_by_others and not (job.wish == "pause" and _is_active(seen)):
            job.asked = False
            return False
        if job.asking:
            return True
        if job.asked or job.driving is not None:
            return False
        job.asked = job.asking = True
        self._spawn(self._ask(job))
        return True

    async def _ask(self, job: ControlledJob) -> None:
        before = job.wish
        wish = await insist(lambda: self._wish_of(job.job_id), f"What is wanted of job {job.job_id}")
        job.asking = False
        if wish is not None and job.wish == before:
            job.wish = wish
        self._on_job(job.job_id)

    def _wanted(self, job: ControlledJob, seen: Seen, found: Standing) -> Standing:
        """Where it stands, between what is wanted and what the cluster has done of it."""
        if job.wish == "run" and found.state is JobState.PAUSED:
            return Standing(state=JobState.QUEUED, reason=job.crowded or "waiting for Kueue to take it up again")
        if job.wish == "pause" and seen.workload is None and get(seen.job, "spec", "suspend", default=False):
            return Standing(state=JobState.PAUSED)
        if found.state is JobState.RUNNING:
            job.made_again = False
        if job.crowded is not None and not job.aside:
            if found.state is JobState.QUEUED:
                return replace(found, reason=f"{job.crowded}; {found.reason}")
            job.crowded = None
        if job.made_again and not found.state.final:
            return replace(found, reason=f"{_LOST}; {goes_on(seen.job)}; {found.reason}", interruption=_LOST)
        return found

    async def _missing(self, job: ControlledJob) -> None:
        """It has no Job: not yet, or not any more."""
        self._starting.forget(job.job_id)
        if job.deleting:
            await self._tell(job, Standing(state=JobState.CANCELLED, reason="cancelled"))
        elif job.wish == "cancel":
            job.made = job.made and job.shown is None
            self._control.drive(job)
        elif job.shown is not None and not job.ended:
            job.lost, job.shown, job.made, job.owned, job.aside = job.shown, None, False, False, False
            self._spawn(self._lose(job))

    async def _lose(self, job: ControlledJob) -> None:
        """Its Job was deleted, by another replica that was asked to or by somebody in the cluster: then it is made
        again, as often as seems to make sense."""
        wish = await insist(lambda: self._wish_of(job.job_id), f"What is wanted of job {job.job_id}")
        if self._jobs.get(job.job_id) is not job or job.ended or job.made:
            return
        if wish is None:  # another replica has ended and recorded it
            job.ended = True
            await self._forget(job)
            return
        if wish == "run" and job.wish == "run":
            if job.spec is None:  # the replica to which it was submitted makes it
                return
            job.losses, job.made_again = job.losses + 1, True
            if job.losses > _MOST_LOSSES:
                reason = f"its Job was deleted in the cluster, for the {job.losses}th time"
                await self._tell(job, Standing(state=JobState.FAILED, reason=reason, code="job_deleted"))
                return
            said = f"{_LOST}; {goes_on(job.lost or {})}"
            await self._tell(job, Standing(state=JobState.QUEUED, reason=said, interruption=_LOST))
        job.wish = wish
        self._control.drive(job)

    async def _not_started(self, job_id: str) -> None:
        """It has held quota for long enough."""
        job, seen = self._jobs.get(job_id), self.view.seen(job_id)
        if job is None or seen is None or job.wish != "run" or not (found := standing(seen)).blocked:
            return
        if not self._reachable():  # what was seen last may not be so any more
            self._starting.look(job_id, True)
            return
        waited = words.duration(round(self._starting.seconds))
        if found.crowded:
            job.aside, job.crowded = True, f"{found.reason}; back in the queue after {waited}, so that others can run"
            self._control.drive(job)
            return
        reason = f"{found.reason}; given up after {waited}"
        await self._tell(job, Standing(state=JobState.FAILED, reason=reason, code="not_started", ends=True))

    def _stand_in_queue(self, job_id: str) -> None:
        """Others have had the time to get the quota that it has given back."""
        job = self._jobs.get(job_id)
        if job is not None and job.aside and job.wish == "run" and not job.ended:
            job.restart = True
            self._control.drive(job)

    async def _adopt(self, job_id: str) -> None:
        """A Job that was not submitted here: an earlier process made it."""
        try:
            wish = await insist(lambda: self._wish_of(job_id), f"What is wanted of job {job_id}")
            if self.view.job(job_id) is None or job_id in self._jobs:
                return
            if wish is None:
                await self._remove_unwanted(job_id)
                return
            job = self._jobs[job_id] = ControlledJob(job_id, wish, made=True)
            self._control.drive(job)
            self._on_job(job_id)
        finally:
            self._adopting.discard(job_id)

    async def _remove_unwanted(self, job_id: str) -> None:
        async def remove() -> None:
            await self._runs.end(job_id)
            if (found := self.view.job(job_id)) is not None and job_id not in self._jobs:
                await self._objects.delete(found, at_once=True)

        await insist(remove, f"Job {job_id}, which nobody wants,")

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
        self._starting.forget(job.job_id)
        await self._endings.end(job, found, before)
        await self._forget(job)

    async def _forget(self, job: ControlledJob) -> None:
        await self._logs.drained(job.job_id, LOG_SECONDS)
        if self._jobs.get(job.job_id) is job:
            del self._jobs[job.job_id]
            self._errors.pop(job.job_id, None)
            self._starting.forget(job.job_id)
            self.view.expect_end(job.job_id, None)
            await self._logs.close(job.job_id)

    async def _put(self, job_id: str, found: Standing) -> None:
        await self._updates.put(found.update(job_id))

    async def _count_as_cancelled(self, job: ControlledJob) -> None:
        while job.wish == "cancel" and not job.ended:
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
