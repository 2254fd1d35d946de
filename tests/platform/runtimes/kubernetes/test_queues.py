"""Queues that follow nodes and pods; the API server is a fake, the real one and Kueue are in `test_jobs`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from perijove_platform.clusters.quotas import ProjectQuota
from perijove_platform.runtimes.kubernetes import queues
from perijove_platform.runtimes.kubernetes.objects import CLUSTER_QUEUES, NODES, PODS
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues

from .api_server import FakeApiServer
from .place import eventually

POOL = "perijove-org-1-pool"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    """With a node of 2 CPUs, of which a daemon has 500m, and the queues of an organization."""
    monkeypatch.setattr(queues, "PODS_SECONDS", 0.2)
    found = FakeApiServer()
    found.put(NODES, {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}})
    found.put(PODS, pod("proxy", "DaemonSet", "500m"))

    async def quota_of(project_id: str) -> ProjectQuota | None:
        return None

    followed = ClusterQueues(found, "org-1", quota_of)
    tasks = [asyncio.create_task(work) for work in (followed.run(), *(one.run() for one in followed.reflectors()))]
    yield found
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def pod(name: str, owner: str, cpu: str) -> dict[str, Any]:
    owners = [{"kind": owner, "name": "o", "uid": "o", "controller": True}]
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return {
        "metadata": {"name": name, "namespace": "n", "ownerReferences": owners},
        "spec": {"nodeName": "n", "containers": [container]},
    }


def pooled(server: FakeApiServer) -> list[str]:
    """The CPUs that the pool has been given, one after the other."""
    applied = [written for kind, name, written in server.writes if (kind, name) == (CLUSTER_QUEUES.kind, POOL)]
    return [queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"] for queue in applied]


async def test_a_daemon_that_stays_is_followed(server: FakeApiServer) -> None:
    await eventually(lambda: pooled(server) == ["1500m"])

    server.put(PODS, pod("logs", "DaemonSet", "100m"))
    server.put(PODS, pod("dns", "ReplicaSet", "300m"))

    await eventually(lambda: pooled(server)[1:] == ["1100m"])


async def test_what_comes_and_goes_moves_no_queue(server: FakeApiServer) -> None:
    await eventually(lambda: pooled(server) == ["1500m"])

    server.put(PODS, pod("somebody-s-job", "Job", "1"))
    server.put(PODS, pod("new", "DaemonSet", "500m"))
    server.remove(PODS, "proxy", "n")
    server.put(NODES, {"metadata": {"name": "m"}, "status": {"allocatable": {"cpu": "1", "memory": "1Gi"}}})

    await eventually(lambda: len(pooled(server)) > 1)
    assert pooled(server) == ["1500m", "2500m"]
