"""What is told of jobs whose pods really run, or really cannot: waiting for devices, preempted, no image, no memory.

The devices are counted by Kubernetes and Kueue as any, and are only not there: an administrator has told the node so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from perijove_platform.clusters.quotas import ProjectQuota
from perijove_platform.clusters.registry import RegisteredCluster
from perijove_platform.clusters.status import StatusReport
from perijove_platform.database import Database
from perijove_platform.ids import new_id
from perijove_platform.jobs.run_service import JobRunsService
from perijove_platform.objects.folder import FolderStore
from perijove_platform.runtimes.base import JobSpec, JobState, JobUpdate, Resources, Wish
from perijove_platform.runtimes.kubernetes.cluster import ClusterServices, KubernetesCluster
from perijove_platform.runtimes.kubernetes.job_manifests import PodSettings
from perijove_platform.runtimes.kubernetes.kubeconfig import connect
from perijove_platform.runtimes.kubernetes.manifests import namespace_name
from perijove_platform.tables import ALL_TABLES
from real_cluster import Cluster

DEVICES = {"nvidia.com/gpu": 3, "google.com/tpu": 1}
START_SECONDS = 4.0
UPDATE_SECONDS = 90
RUNS = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
EATS_MEMORY = "x=0123456789abcdef; while :; do x=$x$x; done"

assert ALL_TABLES


class Place:
    """A platform's runtime of the cluster, with a project of its own, and what it tells."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.project, self.organization, self.id = new_id("proj_"), new_id("org-"), new_id("cluster_")
        self.image = cluster.image
        self.reports: list[StatusReport] = []
        self.told: dict[str, list[JobUpdate]] = {}
        self._wishes: dict[str, Wish] = {}
        self._news = asyncio.Event()
        self._database = Database(f"sqlite+aiosqlite:///{folder / 'platform.db'}")
        self._runs = JobRunsService(
            self._database, FolderStore(folder / "objects"), public_url="http://platform.invalid", jobs_dir=folder
        )
        services = ClusterServices(runs=self._runs, wish_of=self._wish_of, quota_of=self._quota_of, record=self._record)
        registered = RegisteredCluster(id=self.id, name="lab", organization_id=self.organization)
        transport = connect(cluster.kubeconfig)
        self._cluster = KubernetesCluster(
            registered, transport, services, PodSettings(images={}), folder, start_seconds=START_SECONDS
        )
        self._watching: asyncio.Task[None]

    async def start(self) -> None:
        await self._database.migrate()
        await self._runs.start()
        await self._cluster.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        self._watching.cancel()
        await self._cluster.stop()
        await self._runs.stop()
        await self._database.close()

    async def _wish_of(self, job_id: str) -> Wish | None:
        ended = any(update.state is not None and update.state.final for update in self.told.get(job_id, []))
        return None if ended else self._wishes.get(job_id)

    async def _quota_of(self, project_id: str) -> ProjectQuota | None:
        return None

    async def _record(self, report: StatusReport) -> None:
        self.reports.append(report)
        self._ring()

    async def _watch(self) -> None:
        async for update in self._cluster.jobs.watch():
            self.told.setdefault(update.job_id, []).append(update)
            self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def submit(
        self, script: str, *, image: str = "", gpus: int = 0, cpus: float = 0.02, priority: int = 0, memory: int = 32
    ) -> str:
        """A job with `memory` MiB whose pod runs a shell's `script`."""
        job_id = new_id("batchjob-")
        self._wishes[job_id] = "run"
        spec = JobSpec(
            job_id=job_id,
            project_id=self.project,
            program="batch",
            config={"image": image or self.image, "command": ["sh", "-c", script]},
            resources=Resources(cpus=cpus, memory_bytes=memory << 20, gpus=gpus),
            priority=priority,
        )
        await self._cluster.jobs.submit(spec)
        return job_id

    async def cancel(self, job_id: str) -> None:
        self._wishes[job_id] = "cancel"
        await self._cluster.jobs.cancel(job_id)

    async def until(self, job_id: str, state: JobState, *reasons: str, since: int = 0) -> JobUpdate:
        """The first update, after the first `since` ones, with this state and a reason that contains all of these."""

        def found() -> JobUpdate | None:
            updates = self.told.get(job_id, [])[since:]
            fits = (one for one in updates if all(reason in (one.reason or "") for reason in reasons))
            return next((one for one in fits if one.state is state), None)

        try:
            async with asyncio.timeout(UPDATE_SECONDS):
                while (update := found()) is None:
                    await self._news.wait()
        except TimeoutError:
            told = [(one.state, one.reason) for one in self.told.get(job_id, [])]
            raise AssertionError(f"{state} {reasons} was not told of {job_id}, but {told}") from None
        return update

    async def until_reported(self, accelerators: dict[str, tuple[int, int]]) -> None:
        """Until a report has these devices by resource: how many there are, and how many pods hold."""

        def newest() -> dict[str, tuple[int, int]]:
            kinds = self.reports[-1].accelerators if self.reports else ()
            return {kind.resource: (kind.total, kind.used) for kind in kinds}

        try:
            async with asyncio.timeout(UPDATE_SECONDS):
                while newest() != accelerators:
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"the last report has {newest()}") from None


@pytest.fixture
async def place(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Place]:
    found = Place(cluster, tmp_path)
    await found.start()
    yield found
    await found.stop()
    cluster.kubectl("delete", "namespace", namespace_name(found.project), "--ignore-not-found", "--wait=false")
    label = f"perijove.dev/organization={found.organization}"
    cluster.kubectl("delete", "clusterqueues.kueue.x-k8s.io", "-l", label, "--wait=false")


@pytest.fixture
def devices(cluster: Cluster) -> Iterator[None]:
    """A node that has what `DEVICES` says."""
    node = cluster.get("nodes")["items"][0]["metadata"]["name"]

    def patch(op: str) -> None:
        changes = [
            {"op": op, "path": f"/status/{field}/{name.replace('/', '~1')}", "value": str(count)}
            for name, count in DEVICES.items()
            for field in ("capacity", "allocatable")
        ]
        cluster.must("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(changes))

    patch("add")
    yield
    patch("remove")


async def test_who_waits_for_devices_and_for_whom(place: Place, devices: None) -> None:
    await place.until_reported({"google.com/tpu": (1, 0), "nvidia.com/gpu": (3, 0)})
    first = await place.submit(RUNS, gpus=2)
    await place.until(first, JobState.RUNNING)
    await place.until_reported({"google.com/tpu": (1, 0), "nvidia.com/gpu": (3, 2)})

    second = await place.submit(RUNS, gpus=2)
    reason = f"waiting for 2 × nvidia.com/gpu: 1 is free, next release by job {first}"
    waits = await place.until(second, JobState.QUEUED, reason)
    assert waits.queue_position == 1

    # Long enough for Kueue to look at the first again meanwhile.
    third = await place.submit("sleep 5", gpus=3, priority=1)
    stopped = f"preempted by job {third} of higher priority; begins again; waiting for 2 × nvidia.com/gpu"
    since = place.told[first].index(await place.until(first, JobState.QUEUED, stopped))
    await place.until(third, JobState.SUCCEEDED)
    await place.until(first, JobState.RUNNING, since=since)
    for job_id in (first, second):
        await place.cancel(job_id)
        await place.until(job_id, JobState.CANCELLED)
    await place.until_reported({"google.com/tpu": (1, 0), "nvidia.com/gpu": (3, 0)})


async def test_more_devices_than_there_are(place: Place, devices: None) -> None:
    await place.until_reported({"google.com/tpu": (1, 0), "nvidia.com/gpu": (3, 0)})

    asks = await place.submit(RUNS, gpus=4)

    await place.until(asks, JobState.QUEUED, "asks for 4 × nvidia.com/gpu, and the project may use 3 × nvidia.com/gpu")


def _cpus(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


async def test_no_image_no_place_no_name(place: Place, cluster: Cluster) -> None:
    """The quota is free again each time: jobs that wait for ever would keep others from running."""
    cpus = sum(_cpus(node["status"]["allocatable"]["cpu"]) for node in cluster.get("nodes")["items"])
    pulls = await place.submit("true", image="registry.invalid/trainer:1")
    named = await place.submit("true", image="Not/A/Name:1")

    told = await place.until(named, JobState.FAILED, "'Not/A/Name:1' is not the name of an image")
    assert told.code == "invalid_image"
    why = "image cannot be pulled: registry.invalid/trainer:1: the registry cannot be found"
    await place.until(pulls, JobState.ADMITTED, why)
    told = await place.until(pulls, JobState.FAILED, why, "given up after 4 s")
    assert told.code == "not_started"

    # The pods of the cluster's own have some of the processors: there is no quota for these.
    all_of_them = await place.submit("true", cpus=cpus)
    await place.until(all_of_them, JobState.QUEUED, "and the project may use")
    await place.cancel(all_of_them)
    await place.until(all_of_them, JobState.CANCELLED)


@pytest.mark.disturbs
async def test_a_job_for_which_there_is_no_room_now(place: Place, cluster: Cluster) -> None:
    nodes = [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]
    cluster.must("cordon", *nodes)
    try:
        job_id = await place.submit("true")
        await place.until(job_id, JobState.ADMITTED, "were unschedulable")
        await place.until(job_id, JobState.QUEUED, "were unschedulable", "; back in the queue after 4 s")
    finally:
        cluster.must("uncordon", *nodes)

    await place.until(job_id, JobState.SUCCEEDED)
    assert JobState.FAILED not in [update.state for update in place.told[job_id]]


async def test_out_of_memory(place: Place) -> None:
    job_id = await place.submit(EATS_MEMORY, memory=48)

    failed = await place.until(job_id, JobState.FAILED, "out of memory (limit 48 MiB")

    assert failed.code == "out_of_memory"
    states = [update.state for update in place.told[job_id] if update.state is not None]
    assert JobState.RUNNING in states and states[-1] is JobState.FAILED


async def test_a_job_that_is_deleted_by_kubectl_is_made_again(place: Place, cluster: Cluster) -> None:
    job_id = await place.submit(RUNS)
    await place.until(job_id, JobState.RUNNING)
    since = len(place.told[job_id])
    namespace = namespace_name(place.project)
    before = cluster.get("job", job_id, "-n", namespace)["metadata"]["uid"]

    cluster.must("delete", "job", job_id, "-n", namespace, "--wait=false")

    await place.until(job_id, JobState.QUEUED, "its Job was deleted in the cluster and is made again", since=since)
    await place.until(job_id, JobState.RUNNING, since=since)
    assert cluster.get("job", job_id, "-n", namespace)["metadata"]["uid"] != before
    assert JobState.CANCELLED not in [update.state for update in place.told[job_id]]
    await place.cancel(job_id)
    await place.until(job_id, JobState.CANCELLED)
