"""A cluster with a project of its own in the control plane, and what is told of its jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from perijove_platform.clusters.quotas import ProjectQuota
from perijove_platform.clusters.registry import RegisteredCluster
from perijove_platform.clusters.status import StatusReport
from perijove_platform.ids import new_id
from perijove_platform.runtimes.base import JobSpec, JobState, JobUpdate, Resources, Wish
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.cluster import ClusterServices, KubernetesCluster, tunnelled
from perijove_platform.runtimes.kubernetes.failures import NotFound
from perijove_platform.runtimes.kubernetes.job_manifests import PodSettings
from perijove_platform.runtimes.kubernetes.manifests import namespace_name
from perijove_platform.runtimes.kubernetes.objects import (
    JOBS,
    SECRETS,
    Object,
    ResourceType,
    get,
    name_of,
    namespace_of,
    uid_of,
)

from .control_plane import LoopbackTunnels

PODS_OF_TESTS = PodSettings(images={"trainer": "trainer:1"}, runner_image="runner:1", cpus=1.0, memory_bytes=1 << 28)
UPDATE_SECONDS = 120
"""Kubernetes' own controllers wait up to a minute before they look again for an API server that was away."""


class Runs:
    """What `jobs.run_service` does, in memory: a fake, so that these tests are about the cluster."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.reports: asyncio.Queue[JobUpdate] = asyncio.Queue()

    async def begin(self, cluster: str, spec: JobSpec) -> Mapping[str, str]:
        self.begun.append(spec.job_id)
        return {"token": f"pjrun-{spec.job_id}", "run.json": json.dumps({"job_id": spec.job_id})}

    async def end(self, job_id: str) -> None:
        self.ended.append(job_id)

    async def watch(self, cluster: str) -> AsyncIterator[JobUpdate]:
        while True:
            yield await self.reports.get()

    async def handed_over(self, job_id: str) -> None:
        return

    async def results(self, job_id: str) -> Path:
        return Path("/results") / job_id


class Place:
    """A cluster with a project of its own in the control plane, and what has been told of its jobs."""

    def __init__(self, tunnels: LoopbackTunnels, jobs_dir: Path) -> None:
        self.tunnels = tunnels
        self.jobs_dir = jobs_dir
        self.project = new_id("proj_")
        self.organization = new_id("org-")
        self.id = new_id("cluster_")
        self.runs = Runs()
        self.wishes: dict[str, Wish] = {}
        self.wish_seconds = 0.0
        self.quota: ProjectQuota | None = ProjectQuota(resources={"cpu": "2", "memory": "4Gi"}, cohort=None)
        self.start_seconds = 900.0
        self.reports: list[StatusReport] = []
        self.told: dict[str, list[JobUpdate]] = {}
        self._news = asyncio.Event()
        self.cluster: KubernetesCluster
        self._watching: asyncio.Task[None]

    async def start(self) -> None:
        async def wish_of(job_id: str) -> Wish | None:
            await asyncio.sleep(self.wish_seconds)
            return self.wishes.get(job_id)

        async def quota_of(project_id: str) -> ProjectQuota | None:
            return self.quota if project_id == self.project else None

        async def record(report: StatusReport) -> None:
            self.reports.append(report)

        services = ClusterServices(runs=self.runs, wish_of=wish_of, quota_of=quota_of, record=record)
        registered = RegisteredCluster(id=self.id, name="lab", organization_id=self.organization)
        self.cluster = tunnelled(
            registered, self.tunnels, services, PODS_OF_TESTS, self.jobs_dir, start_seconds=self.start_seconds
        )
        await self.cluster.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        self._watching.cancel()
        await self.cluster.stop()

    async def _watch(self) -> None:
        async for update in self.cluster.jobs.watch():
            self.told.setdefault(update.job_id, []).append(update)
            self._news.set()
            self._news = asyncio.Event()

    def spec(
        self, *, cpus: float = 1.0, priority: int = 0, max_run_seconds: int | None = None, **config: object
    ) -> JobSpec:
        job_id = new_id("ftjob-")
        self.wishes[job_id] = "run"
        return JobSpec(
            job_id=job_id,
            project_id=self.project,
            program="trainer",
            config=config,
            resources=Resources(cpus=cpus),
            priority=priority,
            max_run_seconds=max_run_seconds,
        )

    async def submit(self, spec: JobSpec | None = None) -> str:
        spec = spec or self.spec()
        self.wishes[spec.job_id] = "run"
        await self.cluster.jobs.submit(spec)
        return spec.job_id

    async def pause(self, job_id: str) -> None:
        """The wish is recorded first, since the cluster asks for it where it does not do yet what was wanted."""
        self.wishes[job_id] = "pause"
        await self.cluster.jobs.suspend(job_id)

    async def until(self, job_id: str, state: JobState, reason: str = "", *, since: int = 0) -> JobUpdate:
        """The first update, after the first `since` ones, with this state and a reason that contains `reason`."""
        async with asyncio.timeout(UPDATE_SECONDS):
            while True:
                news = self._news
                for update in self.told.get(job_id, [])[since:]:
                    if update.state is state and reason in (update.reason or ""):
                        return update
                try:
                    await news.wait()
                except asyncio.CancelledError:
                    print([(update.state, update.reason) for update in self.told.get(job_id, [])])
                    raise

    def states(self, job_id: str) -> list[JobState]:
        """As they followed each other."""
        found = [update.state for update in self.told.get(job_id, []) if update.state is not None]
        return [state for number, state in enumerate(found) if number == 0 or found[number - 1] is not state]

    @property
    def namespace(self) -> str:
        return namespace_name(self.project)


async def eventually(found: Callable[[], object]) -> None:
    async with asyncio.timeout(UPDATE_SECONDS):
        while not found():
            await asyncio.sleep(0.05)


async def once(
    fits: Callable[[Object], bool],
    client: KubernetesClient,
    type: ResourceType,
    name: str,
    namespace: str | None = None,
) -> Object:
    """The object, once it fits."""
    async with asyncio.timeout(UPDATE_SECONDS):
        while not fits(found := await client.get(type, name, namespace)):
            await asyncio.sleep(0.1)
    return found


async def owned_secret(client: KubernetesClient, job: Object) -> Object:
    """The Secret of a job, once it goes with its Job: which may run before that is so."""

    def owned(secret: Object) -> bool:
        return bool(get(secret, "metadata", "ownerReferences", 0, "uid") == uid_of(job))

    return await once(owned, client, SECRETS, name_of(job), namespace_of(job))


async def gone(client: KubernetesClient, namespace: str, name: str, type: ResourceType = JOBS) -> None:
    async with asyncio.timeout(UPDATE_SECONDS):
        with contextlib.suppress(NotFound):
            while await client.get(type, name, namespace):
                await asyncio.sleep(0.1)
