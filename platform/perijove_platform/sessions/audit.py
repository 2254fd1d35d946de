"""The audit log's writer: off the request's path, in batches, bounded in what waits and in what is kept."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from perijove_platform.database import Database, now
from perijove_platform.errors import Elsewhere
from perijove_platform.events import EventBus
from perijove_platform.ids import new_id
from perijove_platform.pagination import Page, page
from perijove_platform.rbac import Caller
from perijove_platform.sessions.schemas import AuditListParams, AuditRecord
from perijove_platform.sessions.store import (
    AuditRecordRow,
    AuditStore,
    add_audit_records,
    audited_projects,
)

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000
BATCH = 100
PRUNE_SECONDS = 3600.0
PRUNE_RECORDS = 5_000
RETRY_SECONDS = 2.0
STOP_SECONDS = 10.0
_MAX_CLUSTER = 64
_MAX_VERB = 32
_MAX_PATH = 1024


@dataclass(frozen=True)
class Bounds:
    """How much of the log is kept.

    Attributes:
        records: of each project, so that no project can push out another's.
        days: after which a record goes.
    """

    records: int = 100_000
    days: int = 90


class AuditLog:
    """Writes what was asked of clusters and reads it back."""

    def __init__(self, database: Database, events: EventBus, bounds: Bounds | None = None) -> None:
        self._database = database
        self._events = events
        self._bounds = bounds or Bounds()
        self._waiting: asyncio.Queue[AuditRecordRow | None] = asyncio.Queue(MAX_WAITING)
        self._writer: asyncio.Task[None] | None = None
        self._written = 0
        self._pruned_at = 0.0

    async def start(self) -> None:
        self._writer = asyncio.create_task(self._write())

    async def stop(self) -> None:
        """Write what waits; give up when the database does not take it."""
        if self._writer is None:
            return
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._waiting.put(None)
                await self._writer
        except TimeoutError:
            logger.error("%d audit records could not be written before the end", self._waiting.qsize())

    async def record(
        self, caller: Caller, *, cluster: str, verb: str, path: str, status: int, owner: Elsewhere | None = None
    ) -> None:
        """Add a record; waits only when `MAX_WAITING` are unwritten, so that nobody acts unrecorded.

        Args:
            path: still percent-encoded, without the query.
            owner: in whose log, when it is not that of the caller's project. People of another organization stand there
                by their ids, without their names.
        """
        abroad = owner is not None and owner.organization_id != caller.organization_id
        row = AuditRecordRow(
            id=new_id("audit_"),
            organization_id=caller.organization_id if owner is None else owner.organization_id,
            project_id=caller.project_id if owner is None else owner.project_id,
            from_project_id=None if owner is None else caller.project_id,
            created_by=caller.user_id,
            created_at=now(),
            user_name="" if abroad else caller.user_name,
            cluster=cluster[:_MAX_CLUSTER],
            verb=verb[:_MAX_VERB],
            path=path[:_MAX_PATH],
            status=status,
        )
        await self._waiting.put(row)

    async def list(self, caller: Caller, params: AuditListParams) -> Page[AuditRecord]:
        async with self._database.read() as session:
            rows, more = await AuditStore(session, caller.project_id).page(params)
        return page([_public(row) for row in rows], more)

    async def _write(self) -> None:
        last = False
        while not last:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            last = None in batch
            rows = [row for row in batch if row is not None]
            while rows and not await self._wrote(rows):
                await asyncio.sleep(RETRY_SECONDS)
            if not last:
                await self._prune_when_due()

    async def _wrote(self, rows: Sequence[AuditRecordRow]) -> bool:
        try:
            async with self._database.write() as session:
                await add_audit_records(session, [_copy(row) for row in rows])
                for row in rows:
                    # No more than that there is one: who may read events may not read the log.
                    told = {"id": row.id, "object": "audit_record", "created_at": row.created_at}
                    await self._events.publish(session, "audit.recorded", row.project_id, row.id, told)
        except (SQLAlchemyError, OSError):
            logger.exception("Audit records could not be written; they are tried again")
            return False
        self._written += len(rows)
        return True

    async def _prune_when_due(self) -> None:
        if self._written < PRUNE_RECORDS and time.monotonic() < self._pruned_at + PRUNE_SECONDS and self._pruned_at:
            return
        self._written, self._pruned_at = 0, time.monotonic()
        try:
            await self.prune()
        except (SQLAlchemyError, OSError):
            logger.exception("Old audit records could not be removed")

    async def prune(self) -> None:
        """Remove what is beyond the bounds."""
        async with self._database.read() as session:
            projects = await audited_projects(session)
        for project_id in projects:
            async with self._database.write() as session:
                store = AuditStore(session, project_id)
                await store.prune(keep=self._bounds.records, since=now() - self._bounds.days * 86_400)


def _copy(row: AuditRecordRow) -> AuditRecordRow:
    """One of its own for each attempt: a row that a failed session has had cannot be added again."""
    names = [column.key for column in AuditRecordRow.__table__.columns]
    return AuditRecordRow(**{name: getattr(row, name) for name in names})


def _public(row: AuditRecordRow) -> AuditRecord:
    return AuditRecord(
        id=row.id,
        created_at=row.created_at,
        user_id=row.created_by,
        user_name=row.user_name,
        from_project_id=row.from_project_id,
        cluster=row.cluster,
        verb=row.verb,
        path=row.path,
        status=row.status,
    )
