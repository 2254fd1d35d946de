"""Whether a cluster's agent is there, and what its cluster reports."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from perijove_platform.clusters import store
from perijove_platform.clusters.announcements import publish_updated
from perijove_platform.clusters.public import STRANGER_SECONDS, has_stranger, nodes_of, summary_of
from perijove_platform.clusters.status import StatusReport
from perijove_platform.clusters.store import ClusterRow
from perijove_platform.database import Database, now
from perijove_platform.events import EventBus

logger = logging.getLogger(__name__)

LOST_SECONDS = 8
"""After so long without contact a cluster that counts as connected is lost."""
CONTACT_SECONDS = 2.0
MAX_VERSIONS = 8
"""Of agents that are connected at the same time; more are left out."""
REPORT_SECONDS = 1.0
"""Reports of one cluster are written at most this often; the newest is never left out."""
_LOST = "the connection to its agent was lost; jobs that run there go on, and are heard of when it is back"


class ClusterHealth:
    """Keeps the state and the status of clusters as agents and runtimes tell them.

    That a cluster is connected is a lease, which every replica that has been told so renews. A replica that dies
    takes its part with it, and the last one's is found expired by the next that starts.
    """

    def __init__(self, database: Database, events: EventBus) -> None:
        self._database = database
        self._events = events
        self._connected: set[str] = set()
        self._any_connected = asyncio.Event()
        self._reports: dict[str, StatusReport] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._renewing = asyncio.create_task(self._renew())

    async def stop(self) -> None:
        tasks = [*self._writing.values(), *([self._renewing] if self._renewing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def connection_changed(
        self, cluster_id: str, connected: bool, *, agents: int | None = None, versions: Sequence[str] = ()
    ) -> None:
        """The cluster can, or cannot, be reached from here. Told again, it changes nothing.

        Args:
            agents: that are connected, to whichever replica; ``None`` when that is not known.
            versions: of their programs, in any order; empty when they are not known.
        """
        if connected:
            self._connected.add(cluster_id)
            self._any_connected.set()
        else:
            self._connected.discard(cluster_id)
        async with self._database.write() as session:
            row = await store.find_cluster(session, cluster_id, lock=True)
            # An agent whose credential has ended is still there for a moment.
            if row is None or row.state == "revoked":
                self._connected.discard(cluster_id)
                return
            before = _shown(row)
            if connected:
                row.last_contact_at = now()
                row.agents = max(1, row.agents if agents is None else agents)
                row.agent_versions = sorted({*versions})[:MAX_VERSIONS] if versions else row.agent_versions
                if row.state != "connected":
                    row.state, row.state_reason = "connected", None
            else:
                row.agents = 0
                if row.state == "connected":
                    row.state, row.state_reason = "lost", _LOST
            if _shown(row) != before:
                await publish_updated(session, self._events, row)

    async def record_status(self, cluster_id: str, report: StatusReport) -> None:
        """Keep a report; the newest one is written within `REPORT_SECONDS`."""
        self._reports[cluster_id] = report
        if cluster_id not in self._writing:
            self._writing[cluster_id] = asyncio.create_task(self._write(cluster_id))

    def forget(self, cluster_id: str) -> None:
        """The cluster has been deleted or its agent sent away."""
        self._connected.discard(cluster_id)

    async def _write(self, cluster_id: str) -> None:
        try:
            while (report := self._reports.pop(cluster_id, None)) is not None:
                try:
                    await self._put(cluster_id, report)
                except Exception:
                    logger.exception("The status of cluster %s cannot be written", cluster_id)
                    self._reports.setdefault(cluster_id, report)
                await asyncio.sleep(REPORT_SECONDS)
        finally:
            del self._writing[cluster_id]

    async def _put(self, cluster_id: str, report: StatusReport) -> None:
        summary = summary_of(report).model_dump(mode="json")
        nodes = [node.model_dump(mode="json") for node in nodes_of(report)]
        async with self._database.read() as session:
            known = await store.find_status(session, cluster_id)
        if known is not None and known.summary == summary and known.nodes == nodes:
            return
        async with self._database.write() as session:
            row = await store.find_cluster(session, cluster_id, lock=True)
            if row is None:
                return
            await store.put_status(session, cluster_id, summary, nodes)
            if known is None or known.summary != summary:
                await publish_updated(session, self._events, row)

    async def _renew(self) -> None:
        started = looked = time.monotonic()
        while True:
            # Alone, what another run left as connected is looked for until its lease (whole seconds) must have ended.
            if looked - started > LOST_SECONDS + 1:
                await self._any_connected.wait()
            try:
                began = time.monotonic()
                await self._renew_once()
                looked = began
            except Exception:
                logger.exception("The clusters' last contact cannot be written")
            await asyncio.sleep(CONTACT_SECONDS)

    async def _renew_once(self) -> None:
        missed: Sequence[str] = ()
        if self._connected:
            async with self._database.write() as session:
                missed = await store.touch(session, sorted(self._connected))
        async with self._database.read() as session:
            silent = await store.silent_clusters(session, LOST_SECONDS)
            left = await store.clusters_left_by_strangers(session, STRANGER_SECONDS)
        for cluster_id in missed:
            if cluster_id in self._connected:  # else it has been lost meanwhile
                await self.connection_changed(cluster_id, True)
        for cluster_id in silent:
            if cluster_id not in self._connected:
                await self.connection_changed(cluster_id, False)
        for cluster_id in left:
            async with self._database.write() as session:
                row = await store.find_cluster(session, cluster_id, lock=True)
                if row is not None and not has_stranger(row):
                    row.stranger_at = None
                    await publish_updated(session, self._events, row)
        if not self._connected:
            self._any_connected.clear()


def _shown(row: ClusterRow) -> tuple[str, int, list[str]]:
    """What of a connection people see."""
    return row.state, row.agents, row.agent_versions
