"""Publishing with the change, reading as a stream."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database, Owned, after_commit, now
from perijove_platform.events import store
from perijove_platform.events.wakeups import listen, notify

PAGE = 200
PRUNE_EVERY = 500


@dataclass(frozen=True)
class Recorded:
    """One event as it is read back.

    Attributes:
        id: grows with every event; a stream resumes after it. 0 only in `reset`.
        data: the public object as the API returns it.
    """

    id: int
    type: str
    object_id: str
    project_id: str
    created_at: int
    data: dict[str, Any]


class EventBus:
    """The outbox of one platform.

    Args:
        keep: how many events stay readable for streams that resume.
    """

    def __init__(self, database: Database, *, keep: int) -> None:
        self._database = database
        self._keep = keep
        self._wake = asyncio.Event()
        self._published = 0
        self._pruning: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def publish(
        self, session: AsyncSession, type: str, owner: Owned | str, object_id: str, data: BaseModel | dict[str, Any]
    ) -> None:
        """Add an event to the session's transaction; streams wake when it commits.

        Args:
            owner: the row whose project sees the event, or that project's id, or that of an organization, all of
                whose projects see it.
        """
        project_id = owner if isinstance(owner, str) else owner.project_id
        body = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
        await store.lock_order(session)
        session.add(store.OutboxRow(project_id=project_id, type=type, object_id=object_id, created_at=now(), data=body))
        await session.flush()
        await notify(session)
        after_commit(session, self._committed)

    def _ring(self) -> None:
        self._wake.set()
        self._wake = asyncio.Event()

    def _committed(self) -> None:
        self._ring()
        self._published += 1
        if self._published % PRUNE_EVERY == 0 and (self._pruning is None or self._pruning.done()):
            self._pruning = asyncio.get_running_loop().create_task(self._prune())

    async def _prune(self) -> None:
        async with self._database.write() as session:
            await store.prune(session, self._keep)

    async def newest(self) -> int:
        async with self._database.read() as session:
            return (await store.bounds(session))[1]

    async def subscribe(
        self, *, project_id: str | None, organization_id: str | None = None, last_id: int | None = None
    ) -> AsyncIterator[Recorded]:
        """Events after `last_id` (from now on when ``None``), without end.

        Args:
            project_id: whose events; ``None`` for those of every project, which only our own services may ask for.
            organization_id: whose events a project sees besides its own.

        Yields a `reset` first when events after `last_id` have been pruned: the reader must list again.
        """
        owners = None if project_id is None else [owner for owner in (project_id, organization_id) if owner]
        async with self._database.read() as session:
            oldest, newest = await store.bounds(session)
        # A rolled-back first event leaves a gap after 0 that no pruning made.
        if last_id is None:
            last_id = newest
        elif last_id > newest or (last_id + 1 < oldest and (last_id > 0 or newest > self._keep)):
            yield Recorded(newest, "reset", "", project_id or "", now(), {})
            last_id = newest
        while True:
            wake = self._wake
            async with self._database.read() as session:
                rows = await store.after(session, last_id, owners=owners, limit=PAGE)
            for row in rows:
                last_id = row.id
                yield Recorded(row.id, row.type, row.object_id, row.project_id, row.created_at, row.data)
            if len(rows) < PAGE:
                await wake.wait()

    async def start(self) -> None:
        """Remove what a platform with a smaller outbox need not keep; hear of what other replicas commit."""
        await self._prune()
        self._listening = asyncio.create_task(listen(self._database, self._ring))

    async def stop(self) -> None:
        tasks = [task for task in (self._pruning, self._listening) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
