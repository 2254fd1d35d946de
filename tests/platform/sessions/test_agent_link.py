"""The platform's end of an agent's link: who is let in, what a cut costs, when a cluster counts as lost."""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from perijove_platform.sessions import links, tunnels
from perijove_platform.sessions.links import MAX_LINKS
from perijove_platform.tunnel import CloseCode, Limits
from perijove_platform.tunnel.handshake import LINK_GRACE_SECONDS
from sessions_platform import Certificate, Registered, RunningPlatform, eventually
from standin_agent import StandInAgent
from standin_api_server import StandInApiServer


def state(platform: RunningPlatform, cluster: Registered) -> str:
    return str(platform.call("GET", f"/v1/clusters/{cluster.id}")["state"])


def agent_of(
    platform: RunningPlatform,
    cluster: Registered,
    api: StandInApiServer,
    instance: str | None = None,
    uid: str | None = None,
    limits: Limits | None = None,
) -> StandInAgent:
    assert platform.certificate is not None
    return StandInAgent(
        platform.base_url,
        cluster.credential,
        api.port,
        trusts=platform.certificate,
        instance=instance,
        uid=uid,
        limits=limits,
    )


async def test_a_cluster_is_connected_while_its_agent_is(
    tls_platform: RunningPlatform, registered: Registered, api_server: StandInApiServer
) -> None:
    async with agent_of(tls_platform, registered, api_server) as agent:
        await eventually(lambda: state(tls_platform, registered) == "connected", what="connected")
        # A moment without a channel is nothing: the agent dials again at once.
        await agent.cut()
        await eventually(lambda: len(agent.welcomes) >= 2, what="the second dial")
        assert agent.welcomes[1].resumed
        # `test_tunnels` shows that nobody is told of it; here a slow machine may take longer to dial than that lasts.
        await eventually(lambda: state(tls_platform, registered) == "connected", what="connected again")
        began = time.monotonic()
    await eventually(lambda: state(tls_platform, registered) == "lost", what="lost")
    assert time.monotonic() - began < LINK_GRACE_SECONDS


async def test_an_agent_that_falls_silent_is_lost_within_ten_seconds(
    tls_platform: RunningPlatform, registered: Registered, api_server: StandInApiServer
) -> None:
    assert links.LIMITS.silence_seconds + links.LIMITS.ping_seconds / 4 + tunnels.LOST_SECONDS < 9
    # As when the network swallows everything: the connection stands, and nothing comes or goes.
    mute = Limits(ping_seconds=3600, silence_seconds=3600)
    agent = agent_of(tls_platform, registered, api_server, limits=mute)
    async with agent:
        await agent.connected.wait()
        await eventually(lambda: state(tls_platform, registered) == "connected", what="connected")
        assert agent._channel is not None
        agent._channel._connection.transport.pause_reading()
        began = time.monotonic()
        await eventually(lambda: state(tls_platform, registered) == "lost", what="lost")
        # More than the ten only where this machine gave the processes no time; and not by the end of the grace period.
        assert time.monotonic() - began < LINK_GRACE_SECONDS


async def test_a_link_that_is_cut_again_and_again_loses_nothing(kube: httpx.AsyncClient, agent: StandInAgent) -> None:
    pieces = [os.urandom(512 * 1024) for _ in range(24)]
    cuts = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal cuts
        for number, piece in enumerate(pieces):
            yield piece
            if number % 4 == 3:
                # The agent may not have seen yet that it was cut before.
                await eventually(lambda cuts=cuts: len(agent.welcomes) > cuts, what="the next dial")
                await agent.cut()
                cuts += 1

    answer = await kube.post("/echo", content=body())
    assert answer.json()["sha256"] == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert len(agent.welcomes) > 4 and all(welcome.resumed for welcome in agent.welcomes[1:])


async def test_an_agent_that_has_forgotten_its_link_begins_anew(
    tls_platform: RunningPlatform, registered: Registered, agent: StandInAgent
) -> None:
    agent.resume = False
    await agent.cut()
    await eventually(lambda: len(agent.welcomes) >= 2, what="the second dial")
    # The first one after the change still names its link.
    await agent.cut()
    await eventually(lambda: any(not welcome.resumed for welcome in agent.welcomes[1:]), what="a new link")
    assert len({welcome.link for welcome in agent.welcomes}) == 2


async def test_one_agent_has_one_link_to_a_replica(
    tls_platform: RunningPlatform, registered: Registered, agent: StandInAgent, api_server: StandInApiServer
) -> None:
    async with agent_of(tls_platform, registered, api_server, agent.instance) as twin:
        await eventually(lambda: CloseCode.DUPLICATE in twin.refusals, what="the refusal")
    assert len(agent.welcomes) == 1


async def test_an_agent_too_many_is_refused_and_ends_no_other(
    tls_platform: RunningPlatform, registered: Registered, api_server: StandInApiServer
) -> None:
    agents = [agent_of(tls_platform, registered, api_server) for _ in range(MAX_LINKS + 1)]
    async with contextlib.AsyncExitStack() as stack:
        for agent in agents[:-1]:
            await stack.enter_async_context(agent)
            await agent.connected.wait()
        late = await stack.enter_async_context(agents[-1])
        await eventually(lambda: CloseCode.TOO_MANY_LINKS in late.refusals, what="the refusal")
        assert all(agent.connected.is_set() and len(agent.welcomes) == 1 for agent in agents[:-1])
        # Of one that has gone nothing is kept for its return.
        await agents[0].__aexit__()
        await asyncio.wait_for(late.connected.wait(), 60)


async def test_a_credential_that_has_ended_closes_the_link_and_opens_none(
    tls_platform: RunningPlatform, registered: Registered, agent: StandInAgent
) -> None:
    await asyncio.to_thread(tls_platform.call, "DELETE", f"/v1/clusters/{registered.id}/credential")
    await eventually(lambda: 401 in agent.refusals, what="the refusal")
    assert not agent.connected.is_set()


async def test_an_unknown_credential_is_refused_with_a_reason(
    tls_platform: RunningPlatform, api_server: StandInApiServer, certificate: Certificate
) -> None:
    stranger = StandInAgent(tls_platform.base_url, "pjagent-x", api_server.port, trusts=certificate.file)
    async with stranger:
        await eventually(lambda: 401 in stranger.refusals, what="the refusal")
    log = Path(tls_platform.data_dir, "serve.log").read_text()
    assert "pjagent-" not in log and "without completing handshake" not in log


async def test_two_agents_of_one_cluster_both_serve(
    tls_platform: RunningPlatform,
    registered: Registered,
    kube: httpx.AsyncClient,
    api_server: StandInApiServer,
    agent: StandInAgent,
) -> None:
    def agents(count: int) -> bool:
        return bool(tls_platform.call("GET", f"/v1/clusters/{registered.id}")["agents"] == count)

    async with contextlib.AsyncExitStack() as followed:
        # More than the platform's own streams, which come and go over either agent.
        for _ in range(20):
            await followed.enter_async_context(kube.stream("GET", "/api/v1/namespaces/default/pods/web/log"))
        async with agent_of(tls_platform, registered, api_server) as second:
            await second.connected.wait()
            # One that is busy is not asked first.
            await kube.get("/version")
            assert (len(agent.targets), len(second.targets)) == (20, 1)
            await eventually(lambda: agents(2), what="both")
        await eventually(lambda: agents(1), what="one")
    # And one alone does.
    await asyncio.gather(*(kube.get("/version") for _ in range(8)))
    assert len(agent.targets) == 28


async def test_an_agent_in_a_copy_of_the_cluster_is_not_let_in(
    tls_platform: RunningPlatform, registered: Registered, api_server: StandInApiServer
) -> None:
    """As when the agent's namespace is restored into a second Kubernetes cluster: its credential comes with it."""
    first = agent_of(tls_platform, registered, api_server, uid="uid-a")
    second = agent_of(tls_platform, registered, api_server, uid="uid-b")
    older = agent_of(tls_platform, registered, api_server)
    twin = agent_of(tls_platform, registered, api_server, uid="uid-a")
    async with first:
        await first.connected.wait()
        async with second:
            await eventually(lambda: CloseCode.OTHER_CLUSTER in second.refusals, what="the refusal")
            found = await asyncio.to_thread(tls_platform.call, "GET", f"/v1/clusters/{registered.id}")
            assert "in another Kubernetes cluster" in found["problems"][0]
            assert second.welcomes == [] and len(first.welcomes) == 1
        async with twin, older:
            await asyncio.wait_for(twin.connected.wait(), 60)
            await asyncio.wait_for(older.connected.wait(), 60)


async def test_strangers_are_no_replicas(tls_platform: RunningPlatform) -> None:
    session_token = await asyncio.to_thread(tls_platform.session_token)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for credential in (session_token, tls_platform.key, "pjpeer-e30.AAAA"):
        async with tls_platform.async_client(credential) as client:
            assert (await client.get("/v1/peers/link", headers=upgrade)).status_code == 401
