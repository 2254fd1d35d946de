"""How a job ends: its last words, its final state until that is recorded, and what is left of it in the cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from perijove_platform.runtimes.base import JobState, JobUpdate, Wish
from perijove_platform.runtimes.job_runs import JobRuns
from perijove_platform.runtimes.kubernetes.failures import KubernetesError, Unreachable
from perijove_platform.runtimes.kubernetes.job_control import ControlledJob
from perijove_platform.runtimes.kubernetes.job_objects import JobObjects
from perijove_platform.runtimes.kubernetes.log_keeper import LogKeeper
from perijove_platform.runtimes.kubernetes.objects import Object, get, true_condition
from perijove_platform.runtimes.kubernetes.states import Seen, Standing, standing
from perijove_platform.runtimes.kubernetes.view import JobsView

logger = logging.getLogger(__name__)

WishOf = Callable[[str], Awaitable[Wish | None]]
"""What the owner of a job wants; ``None`` for a job that nobody knows, or whose final state has been recorded."""
LOG_SECONDS = 10.0
"""For which a final state waits for the rest of the log."""
_KEPT_SECONDS = 600.0
"""For which a Job that has ended stays in the cluster, to be looked at."""
_RECORDED_SECONDS = 5.0
"""After which a final state is told again as long as it has not been recorded; then more and more slowly."""
_RETRY_SECONDS = 2.0
_OWN_WORDS = ("out_of_memory", "time_limit", "not_started")
"""Failures of which the cluster knows more than the program."""
T = TypeVar("T")


class JobEndings:
    """Ends one job after another's last words.

    Args:
        put: passes an update on.
        told: what a job's program said of its failure.
        current: whether a job is still the one of its id: it may have been submitted anew.
    """

    def __init__(
        self,
        runs: JobRuns,
        objects: JobObjects,
        view: JobsView,
        logs: LogKeeper,
        *,
        wish_of: WishOf,
        put: Callable[[JobUpdate], Awaitable[None]],
        told: Callable[[str], str | None],
        current: Callable[[ControlledJob], bool],
    ) -> None:
        self._runs = runs
        self._objects = objects
        self._view = view
        self._logs = logs
        self._wish_of = wish_of
        self._put = put
        self._told = told
        self._current = current

    async def end(self, job: ControlledJob, found: Standing, before: Standing | None) -> None:
        """Returns when nothing is left of the job, which may be long after its final state.

        Args:
            before: what was told last.
        """
        if found.state is not JobState.CANCELLED:
            await self._last_words(job, before)
        if found.state is JobState.FAILED:
            found = await self._explained(job, await self._by_its_pods(job, found))
        await self._put(found.update(job.job_id))
        self._logs.bell(job.job_id).ring()
        if found.ends or found.state is JobState.CANCELLED:
            await self._remove(job, at_once=True)
            await self._recorded(job, found)
        else:
            await self._recorded(job, found)
            await asyncio.sleep(_KEPT_SECONDS)
            await self._remove(job, at_once=False)

    async def _last_words(self, job: ControlledJob, before: Standing | None) -> None:
        """The program's own words come before the final state, and a running that was never seen."""
        if before is None or before.state is not JobState.RUNNING:
            seen = self._view.seen(job.job_id)
            if seen is not None and _has_run(seen):
                await self._put(JobUpdate(job_id=job.job_id, state=JobState.RUNNING))
        await self._logs.drained(job.job_id, LOG_SECONDS)
        await insist(lambda: self._runs.handed_over(job.job_id), f"The reports of job {job.job_id}")

    async def _by_its_pods(self, job: ControlledJob, found: Standing) -> Standing:
        """Of a Job that failed while no pod was seen to say why: the watch of pods may be behind that of Jobs."""
        seen = self._view.seen(job.job_id)
        if found.code != "job_failed" or seen is None or true_condition(seen.job, "Failed") is None:
            return found
        try:
            pods = await self._objects.pods(seen.job)
        except (KubernetesError, Unreachable) as error:
            logger.warning("The pods of job %s, which has failed, cannot be read: %s", job.job_id, error)
            return found
        return standing(replace(seen, pods=pods))

    async def _explained(self, job: ControlledJob, found: Standing) -> Standing:
        """With the program's reason where there is one, unless the cluster knows better: then that is reported last."""
        told = self._told(job.job_id)
        if told is None:
            return found
        if found.code not in _OWN_WORDS:
            return replace(found, reason=told, code=None)
        report = {"type": "error", "code": found.code, "message": found.reason, "param": None}
        await self._put(JobUpdate(job_id=job.job_id, report=report))
        return found

    async def _recorded(self, job: ControlledJob, found: Standing) -> None:
        """Until its end has been recorded. It is told again: whoever records it may have had no database or no
        object store for a while, and what has ended in the cluster must not run for ever on the platform."""
        wait = _RECORDED_SECONDS
        while True:
            await asyncio.sleep(wait)
            wish = await insist(lambda: self._wish_of(job.job_id), f"Whether job {job.job_id} has ended")
            if wish is None or not self._current(job):
                return
            await self._put(found.update(job.job_id))
            wait = min(2 * wait, _KEPT_SECONDS)

    async def _remove(self, job: ControlledJob, *, at_once: bool) -> None:
        """The job's objects, and what the platform keeps for its pods."""

        async def remove() -> None:
            if self._current(job):
                if (found := self._view.job(job.job_id)) is not None:
                    await self._objects.delete(found, at_once=at_once)
                elif job.spec is not None:
                    await self._objects.delete_secret(job.spec)
            await self._runs.end(job.job_id)

        await insist(remove, f"What is left of job {job.job_id}")


async def insist(work: Callable[[], Awaitable[T]], what: str) -> T:
    """Try until it works: the database or the cluster may be away for a while.

    Args:
        what: is being seen to, for the log.
    """
    told = False
    while True:
        try:
            return await work()
        except Exception as error:
            if not told:
                logger.warning("%s cannot be seen to now, and will be: %s", what, error)
                told = True
        await asyncio.sleep(_RETRY_SECONDS)


def _has_run(seen: Seen) -> bool:
    status: Object = get(seen.job, "status", default={})
    return bool(get(status, "succeeded") or get(status, "failed") or get(status, "startTime"))
