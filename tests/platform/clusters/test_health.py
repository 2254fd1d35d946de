"""States, status reports and the lease on a connection, on both databases."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from perijove_platform.app import create_app
from perijove_platform.clusters import health, public
from perijove_platform.clusters.service import ClustersService
from perijove_platform.clusters.status import AcceleratorStatus, NodeCondition, NodeStatus, QueueStatus, StatusReport
from perijove_platform.clusters.store import ClusterRow
from perijove_platform.database import Database, now
from perijove_platform.settings import Settings

NODES = (
    NodeStatus(
        name="b",
        ready=True,
        kubelet_version="v1.34.4",
        accelerator="NVIDIA-H100",
        conditions=(NodeCondition(type="Ready", status="True"),),
        allocatable={"cpu": "15920m", "memory": "64Gi", "nvidia.com/gpu": "8"},
        used={"cpu": "1500m", "memory": "1Gi", "nvidia.com/gpu": "3"},
    ),
    NodeStatus(name="a", ready=True, allocatable={"cpu": "4", "memory": "16Gi"}, used={"cpu": "250m"}),
)
REPORT = StatusReport(
    kubernetes_version="v1.34.4",
    nodes=NODES,
    accelerators=(AcceleratorStatus(type="NVIDIA-H100", resource="nvidia.com/gpu", total=8, used=3),),
    queues=(QueueStatus(name="perijove-proj-local", project_id="proj-local", pending=2, admitted=1),),
    components={"kueue": "v0.18.2"},
)


async def until(look: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(60):
        while not wanted(found := await look()):
            await asyncio.sleep(0.02)
    return found


async def test_states_follow_the_connection(
    client: httpx.AsyncClient, joined: tuple[str, str], service: ClustersService, events: Any
) -> None:
    cluster_id, _ = joined

    async def state() -> str:
        found: str = (await client.get(f"/v1/clusters/{cluster_id}")).json()["state"]
        return found

    for connected, expected in [
        (False, "registering"),
        (True, "connected"),
        (True, "connected"),
        (False, "lost"),
        (False, "lost"),
        (True, "connected"),
    ]:
        await service.connection_changed(cluster_id, connected)
        assert await state() == expected
    told = [event.data["state"] for event in await events() if event.type == "cluster.updated"]
    assert told == ["registering", "connected", "lost", "connected"]
    found = (await client.get("/v1/clusters/gpu")).json()
    assert found["last_contact_at"] == pytest.approx(time.time(), abs=60)
    assert found["state_reason"] is None
    await client.delete("/v1/clusters/gpu/credential")
    for connected in (True, False):
        await service.connection_changed(cluster_id, connected)
        assert await state() == "revoked"


async def test_a_lost_cluster_says_why(
    client: httpx.AsyncClient, joined: tuple[str, str], service: ClustersService
) -> None:
    await service.connection_changed(joined[0], True)
    await service.connection_changed(joined[0], False)
    reason = (await client.get("/v1/clusters/gpu")).json()["state_reason"]
    assert "connection to its agent was lost" in reason


async def test_agents_come_and_go(
    client: httpx.AsyncClient, joined: tuple[str, str], service: ClustersService, events: Any
) -> None:
    async def agents() -> tuple[int, list[str]]:
        found = (await client.get("/v1/clusters/gpu")).json()
        return found["agents"], found["agent_versions"]

    assert await agents() == (0, [])
    for connected, told, expected in [
        (True, {}, (1, [])),
        (True, {"agents": 2, "versions": ["0.1.0"]}, (2, ["0.1.0"])),
        (True, {"agents": 2, "versions": ["0.1.0"]}, (2, ["0.1.0"])),
        (True, {}, (2, ["0.1.0"])),
        (True, {"agents": 1, "versions": ["0.2.0"]}, (1, ["0.2.0"])),
        (False, {}, (0, ["0.2.0"])),
    ]:
        await service.connection_changed(joined[0], connected, **told)  # type: ignore[arg-type]
        assert await agents() == expected
    updates = [event.data for event in await events() if event.type == "cluster.updated"]
    assert [update["agents"] for update in updates] == [0, 1, 2, 1, 0]
    await service.connection_changed(joined[0], True)
    await client.delete("/v1/clusters/gpu/credential")
    assert (await agents())[0] == 0


async def test_nobody_knows_the_cluster(service: ClustersService) -> None:
    await service.connection_changed("cluster_none", True)
    await service.record_status("cluster_none", REPORT)


@pytest.fixture
def unrenewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the last contact stays what it is."""
    monkeypatch.setattr(health, "CONTACT_SECONDS", 3600.0)


@pytest.mark.usefixtures("unrenewed")
async def test_a_status_report(
    client: httpx.AsyncClient, joined: tuple[str, str], service: ClustersService, events: Any
) -> None:
    await service.connection_changed(joined[0], True, agents=2, versions=["0.2.0", "0.1.0", "0.2.0"])
    await service.record_status(joined[0], REPORT)

    async def get() -> Any:
        return (await client.get("/v1/clusters/gpu")).json()

    found = await until(get, lambda cluster: cluster["kubernetes_version"] is not None)
    assert found["capacity"] == {
        "cpus": 19.92,
        "cpus_free": 18.17,
        "memory_bytes": 80 << 30,
        "memory_free_bytes": 79 << 30,
        "gpus": 8,
        "gpus_free": 5,
        "disk_free_bytes": None,
    }
    assert found["nodes"] == {"total": 2, "ready": 2}
    assert [node["name"] for node in found["node_list"]] == ["a", "b"]
    assert found["node_list"][1]["conditions"][0]["type"] == "Ready"
    assert found["accelerators"][0]["free"] == 5
    assert found["queues"][0]["pending"] == 2
    assert found["component_versions"] == {"agent": "0.1.0, 0.2.0", "kueue": "v0.18.2"}
    assert (found["agents"], found["agent_versions"]) == (2, ["0.1.0", "0.2.0"])
    assert found["problems"] == []
    listed = (await client.get("/v1/clusters")).json()["data"][1]
    assert listed == {name: found[name] for name in listed}
    assert (await events())[-1].data == listed


async def test_what_keeps_a_cluster_from_being_healthy(
    client: httpx.AsyncClient, joined: tuple[str, str], service: ClustersService
) -> None:
    report = StatusReport(
        kubernetes_version="v1.34.4",
        nodes=(
            *(NodeStatus(name=f"n{number}", ready=False, allocatable={"cpu": "nonsense"}) for number in range(4)),
            NodeStatus(name="cordoned", ready=True, schedulable=False, allocatable={"cpu": "2"}),
        ),
        queues=(QueueStatus(name="perijove-p", project_id="p", active=False, reason="FlavorNotFound"),),
        problems=("Kueue is not installed",),
    )
    await service.connection_changed(joined[0], True)
    await service.record_status(joined[0], report)

    async def get() -> Any:
        return (await client.get("/v1/clusters/gpu")).json()

    found = await until(get, lambda cluster: cluster["problems"])
    assert found["state"] == "connected"
    assert found["state_reason"] == "; ".join(found["problems"])
    assert found["problems"] == [
        "Kueue is not installed",
        "4 of 5 nodes are not ready: n0, n1, n2, …",
        "1 of 5 nodes are cordoned: cordoned",
        "queue perijove-p admits nothing: FlavorNotFound",
    ]
    assert found["capacity"]["cpus"] == 2


async def test_of_many_reports_few_are_written_and_the_newest_stays(
    client: httpx.AsyncClient, joined: tuple[str, str], service: ClustersService, events: Any
) -> None:
    for pending in range(200):
        queue = QueueStatus(name="q", pending=pending)
        await service.record_status(joined[0], StatusReport(kubernetes_version="v1", nodes=NODES, queues=(queue,)))
        await asyncio.sleep(0)

    async def pending_now() -> Any:
        queues = (await client.get("/v1/clusters/gpu")).json()["queues"]
        return queues and queues[0]["pending"]

    await until(pending_now, lambda found: found == 199)
    assert len([event for event in await events() if event.data.get("queues")]) <= 5


async def test_an_unchanged_report_is_not_told_again(
    joined: tuple[str, str], service: ClustersService, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "REPORT_SECONDS", 0.01)
    await service.record_status(joined[0], REPORT)

    async def told() -> int:
        return len([event for event in await events() if event.data.get("queues")])

    await until(told, lambda count: count == 1)
    for _ in range(3):
        await service.record_status(joined[0], REPORT)
        await asyncio.sleep(0.05)
    await service.record_status(joined[0], StatusReport(kubernetes_version="v2", queues=REPORT.queues))
    assert await until(told, lambda count: count > 1) == 2


@pytest.mark.parametrize("ago", [0, 60])
async def test_a_cluster_that_another_run_left_as_connected_is_lost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, create: Any, register: Any, ago: int
) -> None:
    monkeypatch.setattr(health, "CONTACT_SECONDS", 0.05)
    monkeypatch.setattr(health, "LOST_SECONDS", 1)
    first = create_app(settings)
    async with first.router.lifespan_context(first):
        key = settings.api_key_file.read_text().strip()
        transport = httpx.ASGITransport(first)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://p", headers=headers) as client:
            token = (await create(client))["registration_token"]["token"]
            cluster_id = (await register(client, token)).json()["cluster_id"]
        await first.state.clusters.connection_changed(cluster_id, True)
    database = Database(settings.sql_url)
    async with database.write() as session:
        await session.execute(sa.update(ClusterRow).values(last_contact_at=now() - ago))
    await database.close()
    again = create_app(settings)
    async with again.router.lifespan_context(again):

        async def state() -> str | None:
            async with again.state.database.read() as session:
                found: str | None = await session.scalar(sa.select(ClusterRow.state))
                return found

        await until(state, lambda found: found == "lost")


async def test_contact_is_renewed_while_connected(
    app: Any, joined: tuple[str, str], service: ClustersService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CONTACT_SECONDS", 0.05)
    await service.connection_changed(joined[0], True)
    async with app.state.database.write() as session:
        await session.execute(sa.update(ClusterRow).values(last_contact_at=1, state="lost"))

    async def row() -> ClusterRow:
        async with app.state.database.read() as session:
            found: ClusterRow = (await session.scalars(sa.select(ClusterRow))).one()
            return found

    found = await until(row, lambda row: row.state == "connected")
    assert found.last_contact_at == pytest.approx(time.time(), abs=60)


async def test_a_stranger_that_has_gone_is_no_problem_any_more(
    app: FastAPI, client: httpx.AsyncClient, joined: tuple[str, str], service: ClustersService, events: Any
) -> None:
    cluster_id, credential = joined
    await service.connection_changed(cluster_id, True)
    assert await service.admits(credential, "uid-a")
    assert not await service.admits(credential, "uid-b")
    found = (await client.get("/v1/clusters/gpu")).json()
    assert found["state"] == "connected" and found["state_reason"] == found["problems"][0]
    async with app.state.database.write() as session:
        ago = ClusterRow.stranger_at - public.STRANGER_SECONDS
        await session.execute(sa.update(ClusterRow).values(stranger_at=ago))
    # Nobody dials: the event comes by itself.
    told = await until(events, lambda told: told[-1].data.get("problems") == [])
    assert (told[-1].type, told[-1].data["state_reason"]) == ("cluster.updated", None)
