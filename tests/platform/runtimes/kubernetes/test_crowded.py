"""Jobs that have quota while others are where they could run. The API server is a fake, and the test plays Kueue, the
Job's controller, the scheduler and the kubelet; with the real ones: `tests/cluster/test_states.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from perijove_platform.runtimes.base import JobSpec, JobState, JobUpdate, Resources, Wish
from perijove_platform.runtimes.kubernetes import jobs
from perijove_platform.runtimes.kubernetes.jobs import KubernetesJobs
from perijove_platform.runtimes.kubernetes.objects import JOBS, NODES, PODS, WORKLOADS, Object, get, uid_of
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues

from . import shown
from .api_server import FakeApiServer
from .place import PODS_OF_TESTS, Runs, eventually

ID, NAMESPACE = "ftjob-1", "perijove-proj-1"
NO_ROOM = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available."
CORDONED = "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available."


class Cluster:
    """A node of 2 CPUs, a job, and what is told of it."""

    def __init__(self, folder: Path) -> None:
        self.server = FakeApiServer()
        self.server.put(NODES, {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}})
        self.told: list[JobUpdate] = []
        self.wish: Wish = "run"

        async def quota_of(project_id: str) -> None:
            return None

        async def wish_of(job_id: str) -> Wish:
            return self.wish

        queues = ClusterQueues(self.server, "org-1", quota_of)
        self.jobs = KubernetesJobs(
            self.server, "cluster-1", queues, Runs(), wish_of, PODS_OF_TESTS, folder, start_seconds=1
        )
        reflectors = [*queues.reflectors(), *self.jobs.view.reflectors()]
        works = [queues.run(), self._listen(), *(reflector.run() for reflector in reflectors)]
        self._tasks = [asyncio.create_task(work) for work in works]

    async def _listen(self) -> None:
        async for update in self.jobs.watch():
            self.told.append(update)

    async def stop(self) -> None:
        await self.jobs.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def submit(self, cpus: float) -> None:
        resources = Resources(cpus=cpus)
        await self.jobs.submit(
            JobSpec(job_id=ID, project_id="proj_1", program="trainer", config={}, resources=resources)
        )
        await eventually(lambda: self.server.find(JOBS, ID, NAMESPACE))

    def admit(self, **pod: Any) -> None:
        """Kueue gives quota, and there is a pod with this status."""
        job = self.server.put(JOBS, self._job(suspend=False))
        owners = [{"kind": "Job", "controller": True, "name": ID, "uid": uid_of(job)}]
        workload = shown.workload(*shown.ADMITTED)
        self.server.put(WORKLOADS, {**workload, "metadata": {**workload["metadata"], "ownerReferences": owners}})
        labels = get(job, "spec", "template", "metadata", "labels")
        metadata = {"name": f"{ID}-x", "namespace": NAMESPACE, "labels": labels, "ownerReferences": owners}
        self.server.put(PODS, {"metadata": metadata, "spec": get(job, "spec", "template", "spec"), "status": pod})

    def give_back(self) -> None:
        """What Kueue and the Job's controller do with a workload that is not active."""
        workload = self.workload()
        self.server.put(JOBS, self._job(suspend=True))
        self.server.remove(PODS, f"{ID}-x", NAMESPACE)
        conditions = [shown.pending("was evicted"), shown.condition("Evicted", "True", "Deactivated")]
        self.server.put(WORKLOADS, {**workload, "status": {"conditions": conditions}})

    def workload(self) -> Object:
        return self.server.find(WORKLOADS, "job-ftjob-1-0a1b2", NAMESPACE) or {}

    def _job(self, *, suspend: bool) -> Object:
        job = self.server.find(JOBS, ID, NAMESPACE) or {}
        return {**job, "spec": {**job["spec"], "suspend": suspend}}

    async def until(self, state: JobState, reason: str = "") -> JobUpdate:
        def found() -> list[JobUpdate]:
            return [update for update in self.told if update.state is state and reason in (update.reason or "")]

        await eventually(found)
        return found()[0]


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr(jobs, "ASIDE_SECONDS", 0.2)
    found = Cluster(tmp_path)
    await found.jobs.start()
    yield found
    await found.stop()


def unschedulable(message: str) -> dict[str, Any]:
    return {"phase": "Pending", "conditions": [shown.condition("PodScheduled", "False", "Unschedulable", message)]}


@pytest.mark.parametrize("message", [NO_ROOM, CORDONED])
async def test_it_lets_others_go_first_and_does_not_fail(cluster: Cluster, message: str) -> None:
    await cluster.submit(cpus=1)
    cluster.admit(**unschedulable(message))
    why = f"unschedulable: {message.partition('. ')[0]}"
    await cluster.until(JobState.ADMITTED, why)

    await eventually(lambda: get(cluster.workload(), "spec", "active") is False)
    cluster.give_back()
    why += "; back in the queue after 1 s, so that others can run"
    await cluster.until(JobState.QUEUED, why)
    await eventually(lambda: get(cluster.workload(), "spec", "active") is True)
    await cluster.until(JobState.QUEUED, f"{why}; goes on from its last checkpoint; was evicted")
    cluster.admit(phase="Running")

    await cluster.until(JobState.RUNNING)
    assert not {JobState.FAILED, JobState.PAUSED} & {update.state for update in cluster.told}


async def test_who_pauses_it_meanwhile_is_heard(cluster: Cluster) -> None:
    await cluster.submit(cpus=1)
    cluster.admit(**unschedulable(NO_ROOM))
    await eventually(lambda: get(cluster.workload(), "spec", "active") is False)

    cluster.wish = "pause"
    await cluster.jobs.suspend(ID)
    cluster.give_back()

    await cluster.until(JobState.PAUSED)
    await cluster.jobs.cancel(ID)
    await cluster.until(JobState.CANCELLED)
    assert get(cluster.workload(), "spec", "active") is False


@pytest.mark.parametrize(
    ("cpus", "message"), [(3, NO_ROOM), (1, 'persistentvolumeclaim "stack" not found. preemption: not helpful')]
)
async def test_what_no_node_can_ever_give_fails(cluster: Cluster, cpus: float, message: str) -> None:
    await cluster.submit(cpus)

    cluster.admit(**unschedulable(message))

    failed = await cluster.until(JobState.FAILED, "given up after 1 s")
    assert failed.code == "not_started"
    assert get(cluster.workload(), "spec", "active") is True
