"""What clusters/ is told: whether there is an agent, how many, and which versions."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from perijove_platform.sessions import presence
from perijove_platform.sessions.links import LinkRegistry
from perijove_platform.sessions.presence import Presence

Told = tuple[str, bool, int | None, tuple[str, ...]]


class Tunnels:
    """STAND-IN for `AgentTunnels`: what is connected is said by the test."""

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self.news: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()

    def connected(self, cluster_id: str) -> bool:
        return cluster_id in self.reached

    async def watch(self) -> AsyncIterator[tuple[str, bool]]:
        while True:
            yield await self.news.get()

    def connect(self, cluster_id: str) -> None:
        self.reached.add(cluster_id)
        self.news.put_nowait((cluster_id, True))

    def lose(self, cluster_id: str) -> None:
        self.reached.discard(cluster_id)
        self.news.put_nowait((cluster_id, False))


class Links(LinkRegistry):
    """STAND-IN: the agents that have a channel are said by the test."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}

    def agent_versions(self, cluster_id: str) -> dict[str, str]:
        return self.versions


class Connections:
    def __init__(self) -> None:
        self.told: asyncio.Queue[Told] = asyncio.Queue()
        self.failures = 0

    async def connection_changed(
        self, cluster_id: str, connected: bool, *, agents: int | None = None, versions: Sequence[str] = ()
    ) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the database is away")
        self.told.put_nowait((cluster_id, connected, agents, tuple(versions)))

    async def next(self) -> Told:
        return await asyncio.wait_for(self.told.get(), 60)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> tuple[Tunnels, Links, Connections]:
    monkeypatch.setattr(presence, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(presence, "RETRY_SECONDS", 0.05)
    return Tunnels(), Links(), Connections()


@pytest.fixture
async def told(parts: tuple[Tunnels, Links, Connections]) -> AsyncIterator[Presence]:
    presence = Presence(*parts)  # type: ignore[arg-type]
    presence.start()
    yield presence
    await presence.stop()


async def test_agents_and_their_versions_are_told(parts: tuple[Tunnels, Links, Connections], told: Presence) -> None:
    tunnels, links, connections = parts
    links.versions = {"a": "0.1.0"}
    tunnels.connect("c")
    assert await connections.next() == ("c", True, 1, ("0.1.0",))
    links.versions = {"a": "0.1.0", "b": "0.2.0"}
    told.changed("c")
    assert await connections.next() == ("c", True, 2, ("0.1.0", "0.2.0"))
    links.versions = {}  # the only one is linked to another replica now
    told.changed("c")
    assert await connections.next() == ("c", True, None, ())
    tunnels.lose("c")
    assert await connections.next() == ("c", False, None, ())


async def test_a_cut_that_is_made_good_is_not_told(parts: tuple[Tunnels, Links, Connections], told: Presence) -> None:
    tunnels, links, connections = parts
    links.versions = {"a": "0.1.0", "b": "0.1.0"}
    tunnels.connect("c")
    await connections.next()
    links.versions = {"a": "0.1.0"}
    told.changed("c")
    links.versions = {"a": "0.1.0", "b": "0.1.0"}
    told.changed("c")
    tunnels.connect("other")
    assert (await connections.next())[0] == "other"
    await asyncio.sleep(0.3)
    assert connections.told.empty()


async def test_what_could_not_be_told_is_told_again(parts: tuple[Tunnels, Links, Connections], told: Presence) -> None:
    tunnels, links, connections = parts
    links.versions = {"a": "0.1.0"}
    connections.failures = 3
    tunnels.connect("c")
    assert await connections.next() == ("c", True, 1, ("0.1.0",))
