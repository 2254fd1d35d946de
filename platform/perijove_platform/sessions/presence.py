"""Telling clusters/ what can be reached, and by which agents."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from perijove_platform.sessions.links import LinkRegistry
from perijove_platform.sessions.tunnels import AgentTunnels

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
SETTLE_SECONDS = 1.0
"""For which an agent's channel may be away before it is one agent less: it dials again at once."""


class Connections(Protocol):
    """Who is told."""

    async def connection_changed(
        self, cluster_id: str, connected: bool, *, agents: int | None = None, versions: Sequence[str] = ()
    ) -> None:
        """The cluster can, or cannot, be reached. Told again, it changes nothing.

        Args:
            agents: that are connected; ``None`` when that is not known.
            versions: of their programs; empty when that is not known.
        """
        ...


@dataclass(frozen=True)
class _Seen:
    """Of one cluster. Agents link to every replica, so those of this replica are all of them, unless it has none."""

    connected: bool
    agents: int | None
    versions: tuple[str, ...]


class Presence:
    """Tells every change, each cluster's newest state, whatever becomes of a single message."""

    def __init__(self, tunnels: AgentTunnels, links: LinkRegistry, connections: Connections) -> None:
        self._tunnels = tunnels
        self._links = links
        self._connections = connections
        self._told: dict[str, _Seen] = {}
        self._untold: set[str] = set()
        self._settling: dict[str, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(work) for work in (self._follow(), self._tell())]

    async def stop(self) -> None:
        for timer in self._settling.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def changed(self, cluster_id: str) -> None:
        """An agent's channel came or went."""
        if cluster_id not in self._settling:
            loop = asyncio.get_running_loop()
            self._settling[cluster_id] = loop.call_later(SETTLE_SECONDS, self._settled, cluster_id)

    def _settled(self, cluster_id: str) -> None:
        del self._settling[cluster_id]
        self._look_at(cluster_id)

    def _look_at(self, cluster_id: str) -> None:
        self._untold.add(cluster_id)
        self._wake.set()

    async def _follow(self) -> None:
        async for cluster_id, _ in self._tunnels.watch():
            self._look_at(cluster_id)

    async def _tell(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._untold:
                cluster_id = self._untold.pop()
                seen = self._seen(cluster_id)
                if seen != self._told.get(cluster_id, _Seen(False, None, ())):
                    await self._tell_of(cluster_id, seen)

    async def _tell_of(self, cluster_id: str, seen: _Seen) -> None:
        try:
            await self._connections.connection_changed(
                cluster_id, seen.connected, agents=seen.agents, versions=seen.versions
            )
        except Exception:
            logger.exception("That cluster %s is connected or not could not be told", cluster_id)
            self._look_at(cluster_id)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            if seen.connected:
                self._told[cluster_id] = seen
            else:
                self._told.pop(cluster_id, None)

    def _seen(self, cluster_id: str) -> _Seen:
        if not self._tunnels.connected(cluster_id):
            return _Seen(False, None, ())
        versions = self._links.agent_versions(cluster_id)
        if not versions:
            return _Seen(True, None, ())
        return _Seen(True, len(versions), tuple(sorted(set(versions.values()))))
