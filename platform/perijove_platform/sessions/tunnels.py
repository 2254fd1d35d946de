"""Streams into clusters, over whichever replica holds a link: `runtimes.kubernetes.base.Tunnels`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from perijove_platform.errors import Unavailable
from perijove_platform.sessions.links import LinkRegistry, begin
from perijove_platform.sessions.peers import LIMITS as PEER_LIMITS
from perijove_platform.sessions.peers import PeerLinks
from perijove_platform.sessions.replicas import Replicas
from perijove_platform.tunnel import Stream

LOST_SECONDS = 1.0
"""For which a cluster may be without a channel before anybody is told: an agent that was cut dials again at once."""
REDIAL_SECONDS = 3.0
"""For which a stream waits when the agent's channel was cut a moment ago."""


class AgentTunnels:
    """See `runtimes.kubernetes.base.Tunnels`."""

    def __init__(self, links: LinkRegistry, replicas: Replicas, peers: PeerLinks) -> None:
        self._links = links
        self._replicas = replicas
        self._peers = peers
        self._connected: set[str] = set()
        self._losses: dict[str, asyncio.TimerHandle] = {}
        self._closing = False
        self._news = asyncio.Event()
        self._watchers: set[_Watcher] = set()

    async def open(self, cluster_id: str, target: Mapping[str, Any]) -> Stream:
        """A stream to what `target` names, before the agent has accepted it.

        Raises:
            errors.Unavailable: no replica holds a link; its code is ``cluster_unreachable``.
            tunnel.StreamReset: the link was lost, or has too many streams.
        """
        deadline = time.monotonic() + REDIAL_SECONDS
        while (stream := await self._begin(cluster_id, target)) is None:
            left = deadline - time.monotonic()
            if left <= 0 or not (self.connected(cluster_id) or self._links.waits(cluster_id)):
                raise Unavailable(
                    f"No agent of cluster '{cluster_id}' is connected. Check that its pod runs and reaches this "
                    "platform.",
                    code="cluster_unreachable",
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._news.wait()
        return stream

    async def _begin(self, cluster_id: str, target: Mapping[str, Any]) -> Stream | None:
        link = self._links.choose(cluster_id)
        if link is not None:
            return begin(link, target)
        for replica_id, url in (await self._replicas.holders(cluster_id)).items():
            peer = await self._peers.link_to(replica_id, url)
            if peer is not None:
                return begin(peer, {**target, "cluster": cluster_id}, PEER_LIMITS)
        return None

    def connected(self, cluster_id: str) -> bool:
        return cluster_id in self._connected

    def changed(self, cluster_id: str) -> None:
        """A channel came or went, here or elsewhere: tell the watchers when that makes a difference."""
        self._news.set()
        self._news = asyncio.Event()
        timer = self._losses.pop(cluster_id, None)
        if timer is not None:
            timer.cancel()
        there = self._links.choose(cluster_id) is not None or self._replicas.elsewhere(cluster_id)
        if there and cluster_id not in self._connected:
            self._connected.add(cluster_id)
            self._tell(cluster_id, True)
        elif not there and cluster_id in self._connected and not self._closing:
            loop = asyncio.get_running_loop()
            self._losses[cluster_id] = loop.call_later(LOST_SECONDS, self._lost, cluster_id)

    def close(self) -> None:
        """Tell nobody any more that a cluster is lost: it is this replica that is about to stop, not the agent."""
        self._closing = True
        for timer in self._losses.values():
            timer.cancel()

    def _lost(self, cluster_id: str) -> None:
        del self._losses[cluster_id]
        self._connected.discard(cluster_id)
        self._tell(cluster_id, False)

    def _tell(self, cluster_id: str, connected: bool) -> None:
        for watcher in self._watchers:
            watcher.tell(cluster_id, connected)

    async def watch(self) -> AsyncIterator[tuple[str, bool]]:
        """Every cluster that is connected, then every change."""
        watcher = _Watcher()
        for cluster_id in self._connected:
            watcher.tell(cluster_id, True)
        self._watchers.add(watcher)
        try:
            while True:
                yield await watcher.next()
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    """What one watcher has not been told yet: the newest of each cluster."""

    def __init__(self) -> None:
        self._news: dict[str, bool] = {}
        self._wake = asyncio.Event()

    def tell(self, cluster_id: str, connected: bool) -> None:
        self._news[cluster_id] = connected
        self._wake.set()

    async def next(self) -> tuple[str, bool]:
        while not self._news:
            self._wake.clear()
            await self._wake.wait()
        cluster_id = next(iter(self._news))
        return cluster_id, self._news.pop(cluster_id)
