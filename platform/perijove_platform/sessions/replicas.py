"""The replicas of this platform and which clusters each of them reaches, told to one another by the database."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from perijove_platform.database import Database
from perijove_platform.events.wakeups import listen, notify
from perijove_platform.ids import new_id
from perijove_platform.sessions.store import ReplicaStore

logger = logging.getLogger(__name__)

CHANNEL = "perijove_links"
HEARTBEAT_SECONDS = 2.0
DEAD_SECONDS = 8.0
BURY_SECONDS = 60.0


class Replicas:
    """This replica's entry and what is known of the others.

    SQLite serves one process, so there nothing beats and nobody else is known.

    Args:
        url: where the others reach this one.
        links: what this replica holds: cluster by link id.
        changed: called with a cluster's id when another replica has got or lost its last link to it.
        others_changed: called when another replica came or went.

    Attributes:
        id: of this run.
    """

    def __init__(
        self,
        database: Database,
        *,
        url: str | None,
        links: Callable[[], Mapping[str, str]],
        changed: Callable[[str], None],
        others_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.id = new_id("replica_")
        self._database = database
        self._url = url
        self._links = links
        self._changed = changed
        self._others_changed = others_changed
        self._alone = database.engine.dialect.name == "sqlite"
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._urls: dict[str, str | None] = {}
        self._reach: dict[str, set[str]] = {}

    async def start(self) -> None:
        async with self._database.write() as session:
            store = ReplicaStore(session)
            if self._alone:
                await store.remove_other_replicas(self.id)
            await store.beat(self.id, self._url)
        await self._refresh()
        # What another replica has changed is read by the next beat.
        work = (self._beat(), listen(self._database, self._wake.set, CHANNEL))
        self._tasks = [asyncio.create_task(each) for each in work]

    async def stop(self) -> None:
        """Take the entry away, so that the others know at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with self._database.write() as session:
                await ReplicaStore(session).remove_replica(self.id)
                await notify(session, CHANNEL)
        except (SQLAlchemyError, OSError):
            logger.warning("This replica's entry could not be removed; the others miss its heartbeat")

    def moved(self) -> None:
        """This replica's links are others than they were."""
        self._wake.set()

    def ids(self) -> list[str]:
        """Those that an agent should have a link to, this one first."""
        return [self.id, *(replica for replica in sorted(self._urls) if replica != self.id)]

    def elsewhere(self, cluster_id: str) -> bool:
        """Whether another replica reaches the cluster."""
        return any(cluster_id in clusters for clusters in self._reach.values())

    async def holders(self, cluster_id: str) -> dict[str, str]:
        """Address by id of the other replicas that reach the cluster; looked up anew when none is known."""
        if not self._alone and not self.elsewhere(cluster_id):
            await self._refresh()
        found = {replica: self._urls.get(replica) for replica, reach in self._reach.items() if cluster_id in reach}
        return {replica: url for replica, url in found.items() if url is not None}

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self._alone else HEARTBEAT_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                async with self._database.write() as session:
                    store = ReplicaStore(session)
                    await store.beat(self.id, self._url)
                    if await store.set_links(self.id, self._links()):
                        await notify(session, CHANNEL)
                    await store.bury(BURY_SECONDS)
                await self._refresh()
            except (SQLAlchemyError, OSError) as error:
                logger.warning("This replica's links could not be told: %s", error)
                await asyncio.sleep(HEARTBEAT_SECONDS)
                self._wake.set()

    async def _refresh(self) -> None:
        """Read what the others hold."""
        if self._alone:
            return
        async with self._database.read() as session:
            store = ReplicaStore(session)
            urls = await store.alive(DEAD_SECONDS)
            reach = await store.clusters_by_replica([replica for replica in urls if replica != self.id])
        before = set().union(*self._reach.values())
        known = self.ids()
        self._urls, self._reach = urls, reach
        if self.ids() != known:
            self._others_changed()
        for cluster_id in before ^ set().union(*reach.values()):
            self._changed(cluster_id)
