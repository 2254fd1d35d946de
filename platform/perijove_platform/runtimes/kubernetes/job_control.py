"""Makes the cluster do what is wanted of a job, however long that takes, and says what it waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from perijove_platform.errors import ApiError
from perijove_platform.runtimes.base import JobSpec, JobState, Wish
from perijove_platform.runtimes.job_runs import JobRuns
from perijove_platform.runtimes.kubernetes import words
from perijove_platform.runtimes.kubernetes.failures import (
    Conflict,
    Denied,
    Invalid,
    KubernetesError,
    NotFound,
    Unreachable,
)
from perijove_platform.runtimes.kubernetes.job_objects import JobObjects
from perijove_platform.runtimes.kubernetes.objects import Object
from perijove_platform.runtimes.kubernetes.queues import NotOurs
from perijove_platform.runtimes.kubernetes.states import Standing
from perijove_platform.runtimes.kubernetes.transport import Transport
from perijove_platform.runtimes.kubernetes.view import JobsView
from perijove_platform.runtimes.kubernetes.watch import synced

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 4.0
_TOLD_AFTER = 3
"""Failures in a row, after which a job says that the API server does not answer."""
_AWAY_SECONDS = 2.0
"""Without an answer of the cluster, after which the job's owner is told what is waited for."""


@dataclass
class ControlledJob:
    """A job that this platform has in the cluster, or wants there.

    Attributes:
        spec: ``None`` for one that was found in the cluster and has not been submitted to this process.
        files: of its Secret, while its Job is being made.
        restart: a submission wants a job that is paused to go on.
        made, deleting: its Job has been made by this process or found, is being deleted.
        aside: others have its room, so that it is to give its quota back and stand in the queue again.
        crowded: why that was, until it is admitted again.
        owned: its Secret is known to go with it.
        shown: its Job as last seen.
        lost: its former Job, which somebody else deleted, until what is left of it has been removed.
        losses: how often that has happened.
        made_again: it has happened, and the new Job has not run yet.
        asked: its owner's wish has been looked up since the cluster has done the opposite of `wish`.
        asking: it is being looked up, until when nothing is done about that.
        standing: as it was last told.
        ended: its final state has been, or is being, told.
        driving: makes the cluster do what is wanted; `nudge` makes it look again.
    """

    job_id: str
    wish: Wish
    spec: JobSpec | None = None
    files: Mapping[str, str] | None = field(default=None, repr=False)
    restart: bool = False
    aside: bool = False
    crowded: str | None = None
    made: bool = False
    owned: bool = False
    deleting: bool = False
    shown: Object | None = field(default=None, repr=False)
    lost: Object | None = field(default=None, repr=False)
    losses: int = 0
    made_again: bool = False
    asked: bool = False
    asking: bool = False
    standing: Standing | None = None
    ended: bool = False
    driving: asyncio.Task[None] | None = None
    nudge: asyncio.Event = field(default_factory=asyncio.Event)


Tell = Callable[[ControlledJob, Standing], Awaitable[None]]


class JobControl:
    """One task for each job that the cluster does not do what is wanted of yet.

    Args:
        tell: passes on where a job stands that the cluster knows nothing of.
    """

    def __init__(self, transport: Transport, objects: JobObjects, view: JobsView, runs: JobRuns, tell: Tell) -> None:
        self._transport = transport
        self._objects = objects
        self._view = view
        self._runs = runs
        self._tell = tell
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drive(self, job: ControlledJob) -> None:
        """Look at the job now, or once more when it is being looked at."""
        job.nudge.set()
        if job.driving is not None:
            return
        job.driving = task = asyncio.create_task(self._drive(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drive(self, job: ControlledJob) -> None:
        failures = 0
        try:
            while True:
                job.nudge.clear()
                try:
                    async with self._turns:
                        await self._attempt(job)
                    failures = 0
                    if not job.nudge.is_set():
                        return
                except Unreachable as error:
                    failures += 1
                    await self._wait_reachable(job)
                    if failures >= _TOLD_AFTER:
                        await self._say(job, f"waiting for the cluster's API server: {words.short(str(error))}")
                    await _sleep(job, _back_off(failures))
                except (ApiError, Invalid, NotOurs) as error:
                    await self._give_up(job, error)
                    return
                except KubernetesError as error:
                    failures += 1
                    await self._say(job, self._problem(error))
                    await _sleep(job, max(_back_off(failures), error.retry_after or 0.0))
                except Exception:
                    # Such as a database that restarts: what is wanted of the job must not be forgotten for that.
                    failures += 1
                    if failures == 1:
                        logger.exception("Job %s cannot be driven; trying again", job.job_id)
                    await _sleep(job, _back_off(failures))
        finally:
            job.driving = None

    async def _attempt(self, job: ControlledJob) -> None:
        if job.ended:
            return
        if job.wish != "run" and not job.made and self._view.is_synced and self._view.job(job.job_id) is None:
            # Nothing of it is there: no agent is needed to do nothing.
            if job.wish == "cancel":
                await self._runs.end(job.job_id)
            state = JobState.PAUSED if job.wish == "pause" else JobState.CANCELLED
            await self._tell(job, Standing(state=state, reason=str(state)))
            return
        if not self._transport.reachable():
            raise Unreachable("the cluster's agent is not connected")
        await synced(self._view.essential)
        found = self._view.job(job.job_id)
        if found is not None and not job.owned and job.wish != "cancel":
            await self._objects.own_secret(found)
            job.owned = True
        match job.wish:
            case "run":
                await self._run(job)
            case "pause":
                await self._pause(job)
            case "cancel":
                await self._cancel(job)

    async def _run(self, job: ControlledJob) -> None:
        found = self._view.job(job.job_id)
        if found is None:
            if job.spec is not None and not job.made:
                await self._remove_lost(job)
                job.files = job.files or await self._objects.begin(job.spec)
                job.made = True  # before the answer is here, it may have been seen and even deleted again
                try:
                    await self._objects.make(job.spec, job.files)
                except BaseException:
                    job.made = False
                    raise
                job.owned, job.files = True, None
            return
        job.made = True
        workload = self._view.workload(job.job_id)
        if workload is not None and (job.restart or job.aside):
            active = job.restart
            await self._objects.set_active(workload, active)
            if active:
                job.restart = job.aside = False

    async def _remove_lost(self, job: ControlledJob) -> None:
        """The Secret of a Job that was deleted goes some time after it, and would be taken for the next one's."""
        if job.lost is not None:
            # Refused where another replica has made the next one already, whose Secret is not to go.
            with contextlib.suppress(Conflict):
                await self._objects.delete(job.lost, at_once=True)
            job.lost = None

    async def _pause(self, job: ControlledJob) -> None:
        # Without a workload Kueue has not seen the job yet, which is suspended; it comes by here again then.
        workload = self._view.workload(job.job_id)
        if workload is not None:
            await self._objects.set_active(workload, False)

    async def _cancel(self, job: ControlledJob) -> None:
        await self._runs.end(job.job_id)
        # A Job that was made a moment ago and is not seen yet comes by here again.
        if (found := self._view.job(job.job_id)) is not None:
            await self._objects.delete(found, at_once=True)
            job.deleting = True

    async def _give_up(self, job: ControlledJob, error: Exception) -> None:
        logger.warning("Job %s cannot run on the cluster: %s", job.job_id, error)
        code = (error.code if isinstance(error, ApiError) else None) or "cluster_refused"
        message = error.message if isinstance(error, ApiError) else f"the cluster refuses the job: {error}"
        await self._tell(job, Standing(state=JobState.FAILED, reason=words.short(message), code=code))

    async def _wait_reachable(self, job: ControlledJob) -> None:
        if self._transport.reachable():
            return
        away = asyncio.create_task(self._transport.wait_reachable())
        nudged = asyncio.create_task(job.nudge.wait())
        try:
            await asyncio.wait([away], timeout=_AWAY_SECONDS)
            if not away.done():
                await self._say(job, "the cluster's agent is not connected")
                await asyncio.wait([away, nudged], return_when=asyncio.FIRST_COMPLETED)
        finally:
            away.cancel()
            nudged.cancel()

    async def _say(self, job: ControlledJob, reason: str) -> None:
        """Where it stands is as it was; what is wanted of it waits."""
        standing = job.standing or Standing(state=JobState.QUEUED)
        waits = {"run": "", "pause": "to be paused; ", "cancel": "to be cancelled; "}[job.wish]
        if job.wish != "run" or standing.state is JobState.QUEUED:
            await self._tell(job, Standing(state=standing.state, reason=f"{waits}{reason}"))

    def _problem(self, error: KubernetesError) -> str:
        if isinstance(error, Denied):
            return f"the cluster does not let its agent do this: {words.short(error.message)}"
        if isinstance(error, NotFound) and self._view.workloads.absent:
            return "the cluster has no Kueue; an administrator has to install it"
        return f"the cluster does not answer as it should: {words.short(error.message)}"


async def _sleep(job: ControlledJob, seconds: float) -> None:
    """So long, or until something else is wanted."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await job.nudge.wait()


def _back_off(failures: int) -> float:
    """Seconds, never the same for two that failed together."""
    spread = random.uniform(0.5, 1.0)  # noqa: S311
    return min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(failures - 1, 8)) * spread
