"""How many requests a person may have open, and that those of a key end with it."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest
from perijove_platform.agent.service import LIMITS as AGENT_LIMITS
from perijove_platform.errors import RateLimited, Unavailable
from perijove_platform.rbac import Caller
from perijove_platform.sessions import links, requests
from perijove_platform.sessions.requests import KEY_ENDED, MAX_OPEN, OpenRequests
from perijove_platform.sessions.tunnels import AgentTunnels
from perijove_platform.tunnel import Link, Stream


class Tunnels:
    """STAND-IN for `AgentTunnels`: a link that nothing carries, or none."""

    def __init__(self) -> None:
        self.link: Link | None = Link(initiator=True)

    async def open(self, cluster_id: str, target: Mapping[str, Any]) -> Stream:
        if self.link is None:
            raise Unavailable("There is no agent.")
        return self.link.begin(target)


class Keys:
    """STAND-IN for users: which keys are good is said by the test.

    Attributes:
        failures: looks that fail before the first one that does not.
    """

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.failures = 0
        self.looks: list[str] = []

    async def has_key(self, key_id: str) -> bool:
        self.looks.append(key_id)
        if self.failures:
            self.failures -= 1
            raise OSError("the database is away")
        return key_id not in self.ended


def caller(user: str, key: str = "key_a") -> Caller:
    return Caller(user, "Ada", "org-a", "proj-a", frozenset(), key)


def open_requests(tunnels: Tunnels, keys: Keys | None = None) -> OpenRequests:
    return OpenRequests(keys or Keys(), cast(AgentTunnels, tunnels))


def test_the_platform_opens_no_more_streams_than_an_agent_takes() -> None:
    assert MAX_OPEN < links.LIMITS.streams - links.KEPT_STREAMS < links.LIMITS.streams <= AGENT_LIMITS.streams


async def test_one_person_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_OPEN", 2)
    tunnels = Tunnels()
    opened = open_requests(tunnels)
    streams = [await opened.open(caller("ada"), "one", {}) for _ in range(2)]
    with pytest.raises(RateLimited, match="End some first"):
        await opened.open(caller("ada", "key_b"), "one", {})
    await opened.open(caller("bob"), "one", {})
    await opened.open(caller("ada"), "two", {})
    opened.done(streams[0])
    assert streams[0].failure is not None
    link, tunnels.link = tunnels.link, None
    for _ in range(3):  # what comes to nothing is not counted
        with pytest.raises(Unavailable):
            await opened.open(caller("ada"), "one", {})
    tunnels.link = link
    await opened.open(caller("ada"), "one", {})


async def test_the_requests_of_a_key_end_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "RECHECK_SECONDS", 0.01)
    keys = Keys()
    opened = open_requests(Tunnels(), keys)
    passing = [await opened.open(caller("ada", "key_passing"), "one", {}) for _ in range(3)]
    lasting = await opened.open(caller("ada", "key_lasting"), "one", {})
    watching = asyncio.create_task(opened.watch_keys())
    try:
        keys.failures = 3
        keys.ended.add("key_passing")
        async with asyncio.timeout(60):
            while any(stream.failure is None for stream in passing):
                await asyncio.sleep(0.01)
        assert all(stream.failure is not None and stream.failure.code == KEY_ENDED for stream in passing)
        assert lasting.failure is None
        for stream in (*passing, lasting):
            opened.done(stream)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
