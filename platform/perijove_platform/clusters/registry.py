"""The clusters that jobs can run on, kept as the table has them: see `runtimes.base.Clusters`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from perijove_platform.clusters.store import ClusterStore, all_clusters, find_cluster
from perijove_platform.database import Database
from perijove_platform.events import EventBus
from perijove_platform.runtimes.base import Cluster, ClusterChange

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class RegisteredCluster:
    """What a runtime needs to know of a cluster in order to work with it."""

    id: str
    name: str
    organization_id: str


class RegisteredRuntime(Cluster, Protocol):
    """The runtime of a registered cluster."""

    def quotas_changed(self) -> None:
        """What is set aside for a project is not what it was: ask `ClustersService.quota_of` again."""
        ...


Connect = Callable[[RegisteredCluster], RegisteredRuntime]
"""Makes the runtime of a registered cluster. It opens nothing before it is started, and waits for no agent then."""


@dataclass(frozen=True)
class _Entry:
    registered: RegisteredCluster
    cluster: RegisteredRuntime


class ClusterRegistry:
    """`runtimes.base.Clusters` over the table of clusters; the runtimes of registered clusters start and stop here.

    Args:
        local: clusters that every organization has, started and stopped by whoever made them.
        connect: makes the runtime of a registered one; without it, no job can run on those.
    """

    def __init__(
        self, database: Database, events: EventBus, local: Sequence[Cluster], connect: Connect | None = None
    ) -> None:
        self._database = database
        self._events = events
        self._local = {cluster.name: cluster for cluster in local}
        self._connect = connect
        self._entries: dict[str, _Entry] = {}
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the runtime of every cluster in the table, then follow the table."""
        last_id = await self._events.newest()  # before the table is read: nothing falls in between
        await self._read_all()
        self._following = asyncio.create_task(self._follow(last_id))

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        async with self._changing:
            await asyncio.gather(*(self._end(entry) for entry in self._entries.values()))

    def all(self) -> Sequence[Cluster]:
        """See `base.Clusters`."""
        return [*self._local.values(), *(entry.cluster for entry in self._entries.values())]

    async def names(self, organization_id: str) -> Sequence[str]:
        """See `base.Clusters`."""
        async with self._database.read() as session:
            return [*self._local, *await ClusterStore(session, organization_id).names()]

    async def get(self, name: str, organization_id: str) -> Cluster | None:
        """See `base.Clusters`."""
        if (local := self._local.get(name)) is not None:
            return local
        for entry in self._entries.values():
            registered = entry.registered
            if registered.organization_id == organization_id and name in (registered.name, registered.id):
                return entry.cluster
        # Its event is still on the way when another replica has just made it.
        async with self._database.read() as session:
            row = await ClusterStore(session, organization_id).get(name)
        return None if row is None else await self._add(row.id)

    def watch(self) -> AsyncIterator[ClusterChange]:
        """See `base.Clusters`."""
        return _Watch(self)

    async def _follow(self, last_id: int) -> None:
        while True:
            try:
                async for event in self._events.subscribe(project_id=None, last_id=last_id):
                    if event.type == "reset":
                        await self._read_all()
                        for entry in self._entries.values():
                            entry.cluster.quotas_changed()
                    elif event.type == "cluster.created":
                        await self._add(event.object_id)
                    elif event.type == "cluster.deleted":
                        await self._remove(event.object_id)
                    elif event.type.startswith("cluster.quota.") and event.object_id in self._entries:
                        self._entries[event.object_id].cluster.quotas_changed()
                    last_id = event.id
            except Exception:
                logger.exception("The clusters cannot be followed; going on in %s s", _RETRY_SECONDS)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _read_all(self) -> None:
        async with self._database.read() as session:
            ids = {row.id for row in await all_clusters(session)}
        for gone in self._entries.keys() - ids:
            await self._remove(gone)
        for cluster_id in sorted(ids):
            await self._add(cluster_id)

    async def _add(self, cluster_id: str) -> Cluster | None:
        async with self._changing:
            if (known := self._entries.get(cluster_id)) is not None:
                return known.cluster
            # Read while nothing is removed here: a cluster that goes after this is removed by its event.
            async with self._database.read() as session:
                row = await find_cluster(session, cluster_id)
            if row is None or self._connect is None:
                return None
            registered = RegisteredCluster(id=row.id, name=row.name, organization_id=row.organization_id)
            entry = _Entry(registered, self._connect(registered))
            await entry.cluster.start()
            self._entries[row.id] = entry
        self._ring()
        return entry.cluster

    async def _remove(self, cluster_id: str) -> None:
        async with self._changing:
            entry = self._entries.pop(cluster_id, None)
            if entry is None:
                return
        self._ring()
        await self._end(entry)

    async def _end(self, entry: _Entry) -> None:
        try:
            await entry.cluster.stop()
        except Exception:
            logger.exception("The runtime of cluster %s did not stop cleanly", entry.registered.name)

    def _ring(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class _Watch:
    """One watcher. It compares what there is with what it has told, so that nothing queues up while it is busy."""

    def __init__(self, registry: ClusterRegistry) -> None:
        self._registry = registry
        self._told = dict(registry._entries)

    def __aiter__(self) -> _Watch:
        return self

    async def __anext__(self) -> ClusterChange:
        while True:
            changed = self._registry._changed
            if (change := self._difference()) is not None:
                return change
            await changed.wait()

    def _difference(self) -> ClusterChange | None:
        entries = self._registry._entries
        for cluster_id, entry in self._told.items():
            if cluster_id not in entries:
                del self._told[cluster_id]
                return _change(entry, present=False)
        for cluster_id, entry in entries.items():
            if cluster_id not in self._told:
                self._told[cluster_id] = entry
                return _change(entry, present=True)
        return None


def _change(entry: _Entry, *, present: bool) -> ClusterChange:
    return ClusterChange(cluster=entry.cluster, organization_id=entry.registered.organization_id, present=present)
