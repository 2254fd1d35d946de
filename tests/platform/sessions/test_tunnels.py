"""Who is told that a cluster is connected, and when."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from perijove_platform.database import Database
from perijove_platform.sessions import links, tunnels
from perijove_platform.sessions.links import HeldLink, LinkRegistry, TooManyLinks
from perijove_platform.sessions.peers import PeerLinks
from perijove_platform.sessions.replicas import Replicas
from perijove_platform.sessions.tunnels import AgentTunnels
from perijove_platform.settings import Settings
from perijove_platform.tunnel import ChannelClosed, Refused


class Wire:
    """A channel that says nothing until it is cut."""

    def __init__(self) -> None:
        self._cut = asyncio.Event()

    async def send(self, message: bytes) -> None:
        if self._cut.is_set():
            raise ChannelClosed("cut")

    async def receive(self) -> bytes:
        await self._cut.wait()
        raise ChannelClosed("cut")

    async def close(self, code: int = 1000) -> None:
        self._cut.set()


class Replica:
    """The parts of one, without sockets."""

    def __init__(self, database: Database) -> None:
        self.links = LinkRegistry(lambda cluster_id: self.tunnels.changed(cluster_id))
        self.replicas = Replicas(database, url=None, links=self.links.standing, changed=lambda _: None)
        self.tunnels = AgentTunnels(self.links, self.replicas, PeerLinks(self.replicas.id, self.links))
        self._serving: set[asyncio.Task[None]] = set()

    async def connect(self, cluster: str, agent: str = "a", link: str | None = None) -> tuple[HeldLink, Wire]:
        wire = Wire()
        held, _ = await self.links.claim(cluster, agent, link)
        task = asyncio.create_task(self.links.serve(held, wire, 0))
        self._serving.add(task)
        while not held.connected:
            await asyncio.sleep(0)
        return held, wire

    async def stop(self) -> None:
        self.tunnels.close()
        self.links.close()
        await asyncio.gather(*self._serving)


@pytest.fixture
async def replica(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replica]:
    monkeypatch.setattr(tunnels, "LOST_SECONDS", 0.2)
    database = Database(settings.sql_url)
    replica = Replica(database)
    yield replica
    await replica.stop()
    await database.close()


pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def told(watching: AsyncIterator[tuple[str, bool]]) -> tuple[str, bool]:
    return await asyncio.wait_for(anext(watching), 60)


async def test_a_watcher_is_told_what_stands_and_then_each_change(replica: Replica) -> None:
    await replica.connect("one")
    watching = replica.tunnels.watch()
    assert await told(watching) == ("one", True)
    _, wire = await replica.connect("two")
    assert await told(watching) == ("two", True)
    await wire.close()
    assert await told(watching) == ("two", False)
    assert (replica.tunnels.connected("one"), replica.tunnels.connected("two")) == (True, False)


async def test_a_cut_that_is_made_good_is_not_told(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "LOST_SECONDS", 30.0)
    held, wire = await replica.connect("one")
    watching = replica.tunnels.watch()
    assert await told(watching) == ("one", True)
    for _ in range(3):
        await wire.close()
        again, wire = await replica.connect("one", link=held.id)
        assert again is held
    await replica.connect("two")
    assert await told(watching) == ("two", True)


async def test_a_watcher_that_lags_is_told_the_newest_only(replica: Replica) -> None:
    watching = replica.tunnels.watch()
    _, wire = await replica.connect("first")
    assert await told(watching) == ("first", True)
    await wire.close()
    other = replica.tunnels.watch()
    assert await told(other) == ("first", True)
    assert await told(other) == ("first", False)
    await replica.connect("first", agent="b")
    assert await told(other) == ("first", True)
    assert await told(watching) == ("first", True)


async def test_of_too_many_links_one_without_a_channel_goes_first(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MAX_LINKS", 3)
    first, _ = await replica.connect("one", "a")
    second, wire = await replica.connect("one", "b")
    third, _ = await replica.connect("one", "c")
    with pytest.raises(TooManyLinks, match="Run fewer"):
        await replica.links.claim("one", "d", None)
    await wire.close()
    while second.connected:
        await asyncio.sleep(0)
    await replica.connect("one", "d")
    assert (first.link.closed, second.link.closed, third.link.closed) == (False, True, False)
    # One that resumes its own is no further one.
    again, resumed = await replica.links.claim("one", "a", first.id)
    assert resumed and again is first


async def test_people_leave_the_platform_room(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    held, _ = await replica.connect("one")
    monkeypatch.setattr(links, "KEPT_STREAMS", links.LIMITS.streams - 3)
    target = {"kind": "kubernetes", "as": {"user": "perijove:a"}}
    streams = [await replica.tunnels.open("one", target) for _ in range(3)]
    with pytest.raises(Refused, match="End some first"):
        await replica.tunnels.open("one", target)
    await replica.tunnels.open("one", {"kind": "kubernetes"})
    assert held.link.streams == 4
    for stream in streams[:2]:
        stream.reset()
    await replica.tunnels.open("one", target)


async def test_a_link_that_stays_away_is_given_up(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica.links, "_grace_seconds", 0.5)
    held, wire = await replica.connect("one")
    stream = held.link.begin({"kind": "pod"})
    await wire.close()
    with pytest.raises(ConnectionError, match="lost"):
        await asyncio.wait_for(stream.read(), 60)
    assert not replica.links.waits("one")
    again, _ = await replica.connect("one", link=held.id)
    assert again is not held
