"""Jobs as child processes: a queue, N running at once, each with a folder and a log."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from perijove_platform.runtimes.base import JobSpec, JobState, JobUpdate
from perijove_platform.runtimes.local.batch_run import BatchRun
from perijove_platform.runtimes.local.job_log import Bell, read_log
from perijove_platform.runtimes.local.job_run import LOG, Inputs, Outcome, RunSettings, remove_scratch
from perijove_platform.runtimes.local.processes import ProcessSupervisor
from perijove_platform.runtimes.local.trainer_run import TrainerRun
from perijove_platform.settings import Settings

logger = logging.getLogger(__name__)
_MAX_UPDATES = 1000
"""Updates that wait for the watcher; a program that reports faster waits, too."""


@dataclass
class _Job:
    """A job that is queued or running.

    Attributes:
        begun: whether `task` has taken its first step; a task that is cancelled before never takes any.
        ends_as: set by `cancel` and `suspend`: the state when the run has been stopped.
        told: the queue position that was last pushed.
    """

    spec: JobSpec
    order: tuple[int, int]
    task: asyncio.Task[None] | None = None
    begun: bool = False
    ends_as: JobState | None = None
    told: tuple[int, str] | None = None
    state: JobState = JobState.QUEUED
    bell: Bell = field(default_factory=Bell)


class LocalJobs:
    """See `base.Jobs`.

    What survives the platform is the folder ``<jobs_dir>/<job id>``: configuration, inputs, checkpoints, log and
    results. Children die with the platform; whoever keeps the list of jobs submits the unfinished ones again, and they
    go on from their last checkpoint.
    """

    lasting = False
    takes_images = False

    def __init__(self, settings: Settings, inputs: Inputs, processes: ProcessSupervisor) -> None:
        self._inputs = inputs
        self._processes = processes
        self._max_running = settings.max_running_jobs
        self._run_settings = RunSettings(
            jobs_dir=settings.jobs_dir,
            cache_dir=settings.cache_dir,
            memory_bytes=settings.job_memory_bytes or psutil.virtual_memory().total * 3 // 4,
        )
        self._jobs: dict[str, _Job] = {}
        self._updates: asyncio.Queue[JobUpdate] = asyncio.Queue(_MAX_UPDATES)
        self._numbers = itertools.count()
        self._schedule_wanted = asyncio.Event()
        self._scheduler: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._run_settings.jobs_dir.mkdir, parents=True, exist_ok=True)
        self._scheduler = asyncio.create_task(self._schedule_forever())

    async def stop(self) -> None:
        """End every child. No update is sent: to whoever keeps the list, the jobs are still under way."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        if self._scheduler is not None:
            tasks.append(self._scheduler)
        self._jobs.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def submit(self, spec: JobSpec) -> None:
        job = self._jobs.get(spec.job_id)
        if job is not None and job.ends_as is not None and job.task is not None:
            await asyncio.wait([job.task])  # it is being suspended: let that end, then begin anew
            job = None
        if job is not None:
            await self._updates.put(JobUpdate(job_id=spec.job_id, state=job.state))
            return
        self._jobs[spec.job_id] = _Job(spec, (-spec.priority, next(self._numbers)))
        self._schedule_wanted.set()

    async def cancel(self, job_id: str) -> None:
        await self._end(job_id, JobState.CANCELLED, "cancelled")

    async def suspend(self, job_id: str) -> None:
        await self._end(job_id, JobState.PAUSED, "paused")

    async def watch(self) -> AsyncIterator[JobUpdate]:
        while True:
            yield await self._updates.get()

    async def work_folder(self, job_id: str) -> Path:
        return self._run_settings.jobs_dir / job_id

    async def logs(
        self, job_id: str, *, follow: bool, tail_lines: int | None = None, tail_bytes: int | None = None
    ) -> AsyncIterator[bytes]:
        """See `base.Jobs.logs`."""
        job = self._jobs.get(job_id)
        bell = job.bell if job is not None else Bell()
        path = self._run_settings.jobs_dir / job_id / LOG
        chunks = read_log(
            path,
            tail_lines=tail_lines,
            tail_bytes=tail_bytes,
            bell=bell,
            follow=lambda: follow and self._jobs.get(job_id) is not None,
        )
        async for chunk in chunks:
            yield chunk

    async def _end(self, job_id: str, state: JobState, reason: str) -> None:
        job = self._jobs.get(job_id)
        if job is None:
            return
        stopping, job.ends_as = job.ends_as is not None, state
        if job.task is not None:
            # `_run` sends the update. Cancelled once more, it would not wait for the end of its children.
            if job.begun and not stopping:
                job.task.cancel()
            return
        del self._jobs[job_id]
        await self._ended(job, Outcome(state, reason))

    async def _schedule_forever(self) -> None:
        while True:
            await self._schedule_wanted.wait()
            self._schedule_wanted.clear()
            running = sum(job.task is not None for job in self._jobs.values())
            queue = sorted((job for job in self._jobs.values() if job.task is None), key=lambda job: job.order)
            starting = queue[: max(0, self._max_running - running)]
            for job in starting:
                job.task = asyncio.create_task(self._run(job))
            running += len(starting)
            for position, job in enumerate(queue[len(starting) :], start=1):
                await self._tell_position(job, position, running)

    async def _tell_position(self, job: _Job, position: int, running: int) -> None:
        jobs = "1 running job" if running == 1 else f"{running} running jobs"
        told = (position, f"waiting for {jobs}" + (f" and {position - 1} before it" if position > 1 else ""))
        if told != job.told and job.ends_as is None:
            job.told = told
            await self._updates.put(
                JobUpdate(job_id=job.spec.job_id, state=JobState.QUEUED, reason=told[1], queue_position=told[0])
            )

    async def _run(self, job: _Job) -> None:
        async def emit(
            state: JobState | None = None,
            reason: str | None = None,
            *,
            report: Mapping[str, Any] | None = None,
            completed: int | None = None,
        ) -> None:
            job.state = state or job.state
            job_id = job.spec.job_id
            update = JobUpdate(job_id=job_id, state=state, reason=reason, report=report, completed=completed)
            await self._updates.put(update)

        program = BatchRun if job.spec.program == "batch" else TrainerRun
        run = program(job.spec, self._run_settings, self._inputs, self._processes, emit, job.bell.ring)
        job.begun = True
        try:
            outcome = await run.run() if job.ends_as is None else Outcome(job.ends_as, str(job.ends_as))
        except asyncio.CancelledError:
            if job.ends_as is None:
                raise
            outcome = Outcome(job.ends_as, str(job.ends_as))
        except Exception as error:
            logger.exception("Job %s failed", job.spec.job_id)
            outcome = Outcome(JobState.FAILED, f"The job could not be run: {error}")
        self._jobs.pop(job.spec.job_id, None)
        self._schedule_wanted.set()
        await self._ended(job, outcome)

    async def _ended(self, job: _Job, outcome: Outcome) -> None:
        if outcome.state.final:
            await asyncio.to_thread(remove_scratch, self._run_settings.jobs_dir / job.spec.job_id)
        job.bell.ring()
        self._schedule_wanted.set()
        await self._updates.put(JobUpdate(job_id=job.spec.job_id, state=outcome.state, reason=outcome.reason))
