"""Follows the logs of the pods of all jobs of a cluster."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.logs import JobLog, PodLog, follow
from perijove_platform.runtimes.kubernetes.objects import Object, get, name_of, namespace_of, uid_of
from perijove_platform.runtimes.kubernetes.pod_ends import CONTAINER
from perijove_platform.runtimes.kubernetes.view import JobsView, container_begun, container_ended
from perijove_platform.runtimes.local.job_log import Bell

logger = logging.getLogger(__name__)

_INDEX = "batch.kubernetes.io/job-completion-index"
_STREAMS = 512
"""Followed at the same time in one cluster; further pods' logs are read when others have ended."""


class LogKeeper:
    """One log for each job that has, or had, a pod since this process began; open while one of its pods is followed."""

    def __init__(self, client: KubernetesClient, view: JobsView, jobs_dir: Path) -> None:
        self._client = client
        self._view = view
        self._jobs_dir = jobs_dir
        self._logs: dict[str, JobLog] = {}
        self._bells: dict[str, Bell] = {}
        self._followed: dict[str, dict[str, asyncio.Task[None]]] = {}
        self._streams = asyncio.Semaphore(_STREAMS)

    async def stop(self) -> None:
        for job_id in list(self._followed):
            await self.close(job_id)

    def bell(self, job_id: str) -> Bell:
        """Rung when the job's log has grown."""
        return self._bells.setdefault(job_id, Bell())

    def look(self, job_id: str, *, completions: int) -> None:
        """Follow those of the job's pods whose log has begun."""
        tasks = self._followed.setdefault(job_id, {})
        for pod in self._view.pods(job_id):
            uid = uid_of(pod)
            if uid not in tasks and container_begun(pod, CONTAINER):
                index = get(pod, "metadata", "annotations", _INDEX) if completions > 1 else None
                tasks[uid] = asyncio.create_task(self._follow(job_id, pod, index, list(tasks.values())))

    async def drained(self, job_id: str, seconds: float) -> None:
        """Until everything that the job's pods wrote has been kept, or so long."""
        if tasks := list(self._followed.get(job_id, {}).values()):
            await asyncio.wait(tasks, timeout=seconds)

    async def close(self, job_id: str) -> None:
        """The job has ended: nothing more comes."""
        tasks = list(self._followed.pop(job_id, {}).values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if (log := self._logs.pop(job_id, None)) is not None:
            await log.close()
        if (bell := self._bells.pop(job_id, None)) is not None:
            bell.ring()

    async def _follow(self, job_id: str, pod: Object, index: str | None, before: list[asyncio.Task[None]]) -> None:
        if index is None and before:
            await asyncio.wait(before)  # one attempt after the other
        uid, name, namespace = uid_of(pod), name_of(pod), namespace_of(pod) or ""

        def current() -> Object | None:
            return next((found for found in self._view.pods(job_id) if uid_of(found) == uid), None)

        def ended() -> bool:
            found = current()
            return found is None or container_ended(found, CONTAINER)

        log = self._log(job_id)
        described = PodLog(
            name=name, namespace=namespace, uid=uid, index=index, ended=ended, gone=lambda: current() is None
        )
        try:
            async with self._streams:
                await log.open()
                await follow(self._client, described, log)
        except OSError:
            logger.exception("The log of job %s cannot be kept", job_id)
        # A job that has ended is remembered for minutes: no file stays open for it.
        others = set(self._followed.get(job_id, {}).values()) - {asyncio.current_task()}
        if all(task.done() for task in others):
            await log.close()

    def _log(self, job_id: str) -> JobLog:
        log = self._logs.get(job_id)
        if log is None:
            log = self._logs[job_id] = JobLog(self._jobs_dir / job_id, self.bell(job_id))
        return log
