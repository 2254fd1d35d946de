"""Makes the cluster do what is wanted of a job, however long that takes, and says what it waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from perijove_platform.errors import ApiError
from perijove_platform.runtimes.base import JobSpec, JobState, Wish
from perijove_platform.runtimes.job_runs import JobRuns
from perijove_platform.runtimes.kubernetes import words
from perijove_platform.runtimes.kubernetes.failures import (
    Denied,
    Invalid,
    KubernetesError,
    NotFound,
    Unreachable,
)
from perijove_platform.runtimes.kubernetes.job_objects import JobObjects
from perijove_platform.runtimes.kubernetes.queues import NotOurs
from perijove_platform.runtimes.kubernetes.states import Standing
from perijove_platform.runtimes.kubernetes.transport import Transport
from perijove_platform.runtimes.kubernetes.view import JobsView

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
_AWAY_SECONDS = 2.0
"""Without an answer of the cluster, after which the job's owner is told what is waited for."""


@dataclass
class ControlledJob:
    """A job that this platform has in the cluster, or wants there.

    Attributes:
        spec: ``None`` for one that was found in the cluster and has not been submitted to this process.
        files: of its Secret, while its Job is being made.
        restart: a submission wants a job that is paused to go on.
        made, shown, deleting: its Job has been made by this process or found, has been seen, is being deleted.
        standing: as it was last told.
        ended: its final state has been, or is being, told.
        driving: makes the cluster do what is wanted; `nudge` makes it look again.
    """

    job_id: str
    wish: Wish
    spec: JobSpec | None = None
    files: Mapping[str, str] | None = field(default=None, repr=False)
    restart: bool = False
    made: bool = False
    shown: bool = False
    deleting: bool = False
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
                except Unreachable:
                    failures += 1
                    await self._wait_reachable(job)
                    await _sleep(job, _back_off(failures))
                except (ApiError, Invalid, NotOurs) as error:
                    await self._give_up(job, error)
                    return
                except KubernetesError as error:
                    failures += 1
                    await self._say(job, self._problem(error))
                    await _sleep(job, max(_back_off(failures), error.retry_after or 0.0))
        except Exception:
            logger.exception("Job %s cannot be driven", job.job_id)
        finally:
            job.driving = None

    async def _attempt(self, job: ControlledJob) -> None:
        if job.ended:
            return
        if job.wish != "run" and not job.made and self._view.is_synced and self._view.job(job.job_id) is None:
            # Nothing of it is there: no agent is needed to do nothing.
            state = JobState.PAUSED if job.wish == "pause" else JobState.CANCELLED
            await self._runs.end(job.job_id)
            await self._tell(job, Standing(state=state, reason=str(state)))
            return
        if not self._transport.reachable():
            raise Unreachable("the cluster's agent is not connected")
        await self._view.synced()
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
                job.files = job.files or await self._objects.begin(job.spec)
                await self._objects.make(job.spec, job.files)
                job.made, job.files = True, None
            return
        job.made = True
        workload = self._view.workload(job.job_id)
        if job.restart and workload is not None:
            await self._objects.set_active(workload, True)
            job.restart = False

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
    return min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(failures - 1, 8))
