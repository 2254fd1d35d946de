"""Two platforms on one PostgreSQL: a request finds the agent's link, wherever that is."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from free_ports import free_port
from sessions_platform import Certificate, Registered, RunningPlatform, eventually, running_platform
from standin_agent import StandInAgent
from standin_api_server import StandInApiServer

MIB = 1024 * 1024
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def replicas(tmp_path: Path, database_url: str) -> Iterator[list[RunningPlatform]]:
    ports = [free_port(), free_port()]
    started = [
        running_platform(
            tmp_path / f"replica-{number}",
            port=port,
            PERIJOVE_DATABASE_URL=database_url,
            PERIJOVE_REPLICA_URL=f"http://127.0.0.1:{port}",
        )
        for number, port in enumerate(ports)
    ]
    with started[0] as first, started[1] as second:
        yield [first, second]


@pytest.fixture
def cluster(replicas: list[RunningPlatform]) -> Registered:
    return replicas[0].register("shared")


@pytest.fixture
async def agent(
    replicas: list[RunningPlatform], cluster: Registered, api_server: StandInApiServer, certificate: Certificate
) -> AsyncIterator[StandInAgent]:
    """Linked to the first replica only."""
    agent = StandInAgent(replicas[0].base_url, cluster.credential, api_server.port, trusts=certificate.file)
    async with agent:
        await agent.connected.wait()
        yield agent


@pytest.fixture
async def far(replicas: list[RunningPlatform], cluster: Registered) -> AsyncIterator[httpx.AsyncClient]:
    """The cluster's API by way of the replica that holds no link; the other one has signed the token."""
    token = await asyncio.to_thread(replicas[0].session_token, cluster.id)
    async with replicas[1].async_client(token) as client:
        client.base_url = httpx.URL(f"{replicas[1].base_url}/v1/sessions/{cluster.id}")
        yield client


async def reachable(client: httpx.AsyncClient, status: int = 200) -> None:
    async with asyncio.timeout(60):
        while (await client.get("/version")).status_code != status:
            await asyncio.sleep(0.1)


def knows_both(agent: StandInAgent) -> bool:
    """Whether the agent has been told of both replicas."""
    return any(len(told) == 2 for told in (agent.welcomes[-1].replicas, *agent.told_replicas))


async def test_a_request_reaches_the_agent_of_another_replica(
    far: httpx.AsyncClient, agent: StandInAgent, api_server: StandInApiServer
) -> None:
    await reachable(far)
    blob = os.urandom(5 * MIB)
    answers = await asyncio.gather(*(far.post("/echo", content=blob) for _ in range(4)))
    assert {answer.json()["sha256"] for answer in answers} == {hashlib.sha256(blob).hexdigest()}
    async with far.stream("GET", "/api/v1/namespaces/default/pods/web/log") as answer:
        lines = answer.aiter_lines()
        for number in range(3):
            api_server.lines.put_nowait(b"%d\n" % number)
            assert await asyncio.wait_for(anext(lines), 60) == str(number)
    await eventually(lambda: agent.ended[-1] == "cancelled", what="the stream's end at the agent")
    assert (await far.get("/refused")).json()["message"] == "The kube-apiserver does not answer."


async def test_both_replicas_know_who_is_connected(
    replicas: list[RunningPlatform], cluster: Registered, agent: StandInAgent
) -> None:
    def known(replica: RunningPlatform) -> bool:
        return bool(replica.call("GET", f"/v1/clusters/{cluster.id}")["state"] == "connected")

    for replica in replicas:
        await eventually(partial(known, replica), what="connected")
    await eventually(lambda: knows_both(agent), what="both")
    await agent.cut()
    await eventually(lambda: len(agent.welcomes) >= 2, what="the second dial")
    # Both have said that they are there: an agent dials until it has a link to each.
    assert len(agent.welcomes[1].replicas) == 2


async def test_an_agent_is_told_of_a_replica_that_goes(replicas: list[RunningPlatform], agent: StandInAgent) -> None:
    await eventually(lambda: knows_both(agent), what="both")
    # Not on the agent's own loop: its link would fall silent meanwhile.
    await asyncio.to_thread(replicas[1].stop)
    await eventually(lambda: agent.told_replicas[-1:] == [(agent.welcomes[0].replica,)], what="the one that is left")


async def test_a_replica_that_dies_takes_its_links_with_it_and_no_more(
    replicas: list[RunningPlatform],
    cluster: Registered,
    agent: StandInAgent,
    far: httpx.AsyncClient,
    api_server: StandInApiServer,
    certificate: Certificate,
) -> None:
    await reachable(far)
    async with far.stream("GET", "/api/v1/namespaces/default/pods/web/log") as answer:
        replicas[0].process.kill()
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(answer.aread(), 60)
    await reachable(far, status=503)
    second = StandInAgent(replicas[1].base_url, cluster.credential, api_server.port, trusts=certificate.file)
    async with second:
        await reachable(far)
