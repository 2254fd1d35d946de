"""Clusters that come and go. Their runtimes are real ones, of this machine for want of another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from perijove_platform.clusters.registry import ClusterRegistry, RegisteredCluster, RegisteredRuntime
from perijove_platform.events import EventBus
from perijove_platform.runtimes.base import ClusterChange
from perijove_platform.runtimes.local.cluster import LocalCluster, local_supervisor
from perijove_platform.runtimes.local.jobs import LocalJobs
from perijove_platform.settings import Settings


class Elsewhere(LocalCluster):
    """A registered cluster whose machine is this one."""

    def __init__(self, settings: Settings, objects: Any, registered: RegisteredCluster) -> None:
        supervisor = local_supervisor(settings)
        super().__init__(settings, supervisor, LocalJobs(settings, objects, supervisor))
        self.name = registered.name
        self.running = False
        self.quotas = asyncio.Event()

    def quotas_changed(self) -> None:
        self.quotas.set()

    async def start(self) -> None:
        await super().start()
        self.running = True

    async def stop(self) -> None:
        self.running = False
        await super().stop()


class Runtimes:
    """Makes them, and keeps those that were made by their cluster's id."""

    def __init__(self, folder: Path, objects: Any) -> None:
        self._folder = folder
        self._objects = objects
        self.made: dict[str, Elsewhere] = {}

    def __call__(self, registered: RegisteredCluster) -> RegisteredRuntime:
        settings = Settings(data_dir=self._folder / registered.id, max_running_jobs=0)
        self.made[registered.id] = Elsewhere(settings, self._objects, registered)
        return self.made[registered.id]


@pytest.fixture
def runtimes(tmp_path: Path, app: FastAPI) -> Runtimes:
    return Runtimes(tmp_path / "elsewhere", app.state.files._objects)


@pytest.fixture
async def registry(app: FastAPI, runtimes: Runtimes) -> AsyncIterator[ClusterRegistry]:
    state = app.state
    registry = ClusterRegistry(state.database, state.events, [state.cluster], runtimes)
    await registry.start()
    yield registry
    await registry.stop()


async def seconds(waiting: Any) -> Any:
    async with asyncio.timeout(60):
        return await waiting


async def test_clusters_come_and_go(
    client: httpx.AsyncClient, create: Any, registry: ClusterRegistry, runtimes: Runtimes
) -> None:
    changes = registry.watch()
    assert [cluster.name for cluster in registry.all()] == ["local"]
    made = await create(client)
    came: ClusterChange = await seconds(anext(changes))
    assert (came.cluster.name, came.organization_id, came.present) == ("gpu", "org-local", True)
    assert runtimes.made[made["id"]].running
    assert [cluster.name for cluster in registry.all()] == ["local", "gpu"]
    assert await registry.get("gpu", "org-local") is came.cluster
    assert await registry.get(made["id"], "org-local") is came.cluster
    assert await registry.get("gpu", "org-b") is None
    assert await registry.names("org-local") == ["local", "gpu"]
    assert await registry.names("org-b") == ["local"]

    await client.delete("/v1/clusters/gpu")
    went: ClusterChange = await seconds(anext(changes))
    assert (went.cluster, went.present) == (came.cluster, False)
    assert await registry.get("gpu", "org-local") is None
    async with asyncio.timeout(60):
        while runtimes.made[made["id"]].running:
            await asyncio.sleep(0.01)


async def test_a_cluster_is_found_before_its_event_has_come(
    app: FastAPI, client: httpx.AsyncClient, create: Any, runtimes: Runtimes
) -> None:
    deaf = EventBus(app.state.database, keep=1000)  # as another replica's, whose news is still on the way
    registry = ClusterRegistry(app.state.database, deaf, [app.state.cluster], runtimes)
    await registry.start()
    await create(client)
    first, second = await asyncio.gather(*(registry.get("gpu", "org-local") for _ in range(2)))
    assert first is not None
    assert first is second
    assert len(runtimes.made) == 1
    await registry.stop()
    assert not any(runtime.running for runtime in runtimes.made.values())


async def test_what_is_there_at_the_start(
    app: FastAPI, client: httpx.AsyncClient, create: Any, runtimes: Runtimes
) -> None:
    for name in ("a", "b"):
        await create(client, name)
    registry = ClusterRegistry(app.state.database, app.state.events, [app.state.cluster], runtimes)
    await registry.start()
    assert [cluster.name for cluster in registry.all()] == ["local", "a", "b"]
    await registry.stop()


async def test_a_slow_watcher_is_told_the_difference(
    client: httpx.AsyncClient, create: Any, registry: ClusterRegistry
) -> None:
    changes, slow = registry.watch(), registry.watch()
    for name in ("a", "b"):
        await create(client, name)
        await seconds(anext(changes))
    await client.delete("/v1/clusters/a")
    await seconds(anext(changes))
    change: ClusterChange = await seconds(anext(slow))
    assert (change.cluster.name, change.present) == ("b", True)


async def test_a_runtime_hears_of_quotas(
    client: httpx.AsyncClient, create: Any, registry: ClusterRegistry, runtimes: Runtimes
) -> None:
    changes = registry.watch()
    runtime = {}
    for name in ("a", "b"):
        made = await create(client, name)
        await seconds(anext(changes))
        runtime[name] = runtimes.made[made["id"]]
    await client.put("/v1/clusters/b/quotas/proj-local", json={"resources": {"cpu": "1"}})
    await seconds(runtime["b"].quotas.wait())
    runtime["b"].quotas.clear()
    await client.delete("/v1/clusters/b/quotas/proj-local")
    await seconds(runtime["b"].quotas.wait())
    assert not runtime["a"].quotas.is_set()
