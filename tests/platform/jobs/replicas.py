"""Replicas of a platform as far as batch jobs need them, each with its own view of one stand-in cluster."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from perijove_platform.batch_jobs.schemas import BatchJob, BatchJobCreate
from perijove_platform.batch_jobs.service import BatchJobsService
from perijove_platform.clusters.registry import ClusterRegistry
from perijove_platform.database import Database
from perijove_platform.events import EventBus
from perijove_platform.jobs.lifecycle import JobLifecycle
from perijove_platform.jobs.schemas import EventListParams
from perijove_platform.rbac import SCOPES, Caller
from perijove_platform.runtimes.base import JobState, JobUpdate
from perijove_platform.settings import Settings
from standin_cluster import StandinCluster

LIMIT_SECONDS = 30
CALLER = Caller(user_id="user", user_name="U", organization_id="org", project_id="proj", scopes=SCOPES, key_id="key")


@dataclass
class Replica:
    cluster: StandinCluster
    service: BatchJobsService
    lifecycle: JobLifecycle

    async def create(self) -> str:
        return (await self.service.create(CALLER, BatchJobCreate(command=["true"], image="busybox", cluster="moon"))).id

    def tell(self, job_id: str, state: JobState, reason: str | None = None, **more: Any) -> None:
        self.cluster.jobs.told.put_nowait(JobUpdate(job_id=job_id, state=state, reason=reason, **more))

    async def until(self, job_id: str, wanted: Callable[[BatchJob], bool]) -> BatchJob:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not wanted(job := await self.service.get(CALLER, job_id)):
                await asyncio.sleep(0.01)
        return job

    async def reach(self, job_id: str, state: JobState, reason: str | None = None) -> BatchJob:
        return await self.until(job_id, lambda job: (job.state, job.state_reason) == (state, reason))

    async def asked(self, *wanted: tuple[str, str], times: int = 1) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not all(self.cluster.jobs.asked.count(one) >= times for one in wanted):
                await asyncio.sleep(0.01)

    async def said(self, job_id: str) -> list[str]:
        page = await self.service.events(CALLER, job_id, EventListParams(order="asc", limit=100))
        return [event.message for event in page.data]


class NoFiles:
    async def key_of(self, caller: Caller, file_id: str) -> str:
        raise NotImplementedError


@asynccontextmanager
async def replica(settings: Settings) -> AsyncIterator[Replica]:
    async with AsyncExitStack() as stack:
        database = Database(settings.sql_url)
        stack.push_async_callback(database.close)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        await database.migrate()
        events = EventBus(database, keep=10_000)
        await events.start()
        stack.push_async_callback(events.stop)
        cluster = StandinCluster()
        registry = ClusterRegistry(database, events, [cluster])
        await registry.start()
        stack.push_async_callback(registry.stop)
        lifecycle = JobLifecycle(database, events, registry, max_queued=100)
        service = BatchJobsService(lifecycle, NoFiles())
        await lifecycle.start()
        stack.push_async_callback(lifecycle.stop)
        yield Replica(cluster, service, lifecycle)
