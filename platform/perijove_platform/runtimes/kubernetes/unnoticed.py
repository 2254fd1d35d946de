"""Jobs that Kueue has passed over are shown to it again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from perijove_platform.runtimes.kubernetes.failures import KubernetesError, Unreachable
from perijove_platform.runtimes.kubernetes.job_objects import JobObjects
from perijove_platform.runtimes.kubernetes.job_timers import JobTimers
from perijove_platform.runtimes.kubernetes.objects import Object, get
from perijove_platform.runtimes.kubernetes.view import JobsView

logger = logging.getLogger(__name__)

UNNOTICED_SECONDS = 20.0


class UnnoticedJobs:
    """Changes an annotation of a suspended Job that still has no Workload, again and again until it has one.

    Kueue leaves a Job alone whose namespace it does not know yet, as can be after an outage of the API server, when its
    watches come back one by one; it looks at the Job again only when that changes (the feature gate
    ``ManagedJobsNamespaceSelectorAlwaysRespected``, on since Kueue 0.15).

    Args:
        spawn: runs a task as long as the platform does.
    """

    def __init__(self, objects: JobObjects, view: JobsView, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._objects = objects
        self._view = view
        self._timers = JobTimers(UNNOTICED_SECONDS, lambda job_id: spawn(self._show(job_id)))

    def look(self, job_id: str, wanted: bool) -> None:
        """What is so now, after each change of the job."""
        self._timers.look(job_id, wanted and self._unnoticed(job_id) is not None)

    def stop(self) -> None:
        self._timers.stop()

    def _unnoticed(self, job_id: str) -> Object | None:
        """Its Job, if Kueue has made no Workload of that."""
        seen = self._view.seen(job_id)
        if seen is None or not seen.kueue or seen.workload is not None:
            return None
        return seen.job if get(seen.job, "spec", "suspend", default=False) else None

    async def _show(self, job_id: str) -> None:
        if (job := self._unnoticed(job_id)) is None:
            return
        try:
            await self._objects.show(job)
        except (KubernetesError, Unreachable) as error:
            logger.warning("Job %s, which Kueue has not taken up, cannot be shown to it again: %s", job_id, error)
        self._timers.look(job_id, True)
