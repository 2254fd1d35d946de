"""The tables and the SQL that jobs of every kind share; each kind has a table of its own besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, Owned
from perijove_platform.errors import Elsewhere
from perijove_platform.pagination import ListParams, paginate
from perijove_platform.runtimes.base import JobState, Wish

FINAL = tuple(str(state) for state in JobState if state.final)


class JobRow(Owned, Base):
    """A job of any kind. What is read through this class has the columns of its own kind, too.

    Attributes:
        desired: what its owner wants: ``run``, ``pause`` or ``cancel``; `state` is where it stands.
        inputs: object-store keys by their place in the working folder, as in `JobSpec`.
        started_at: when it first ran.
    """

    __tablename__ = "jobs"
    __mapper_args__ = {"polymorphic_on": "kind", "with_polymorphic": "*"}

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(32))
    cluster: Mapped[str] = mapped_column(sa.String(256))
    job_metadata: Mapped[dict[str, Any]]
    inputs: Mapped[dict[str, Any]]
    priority: Mapped[int]
    max_run_seconds: Mapped[int | None]
    desired: Mapped[Wish] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    state_reason: Mapped[str | None] = mapped_column(sa.Text)
    queue_position: Mapped[int | None]
    error: Mapped[dict[str, Any] | None]
    started_at: Mapped[int | None] = mapped_column(sa.BigInteger)
    finished_at: Mapped[int | None] = mapped_column(sa.BigInteger)


class JobEventRow(Owned, Base):
    __tablename__ = "job_events"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    level: Mapped[str] = mapped_column(sa.String(8))
    message: Mapped[str] = mapped_column(sa.Text)
    type: Mapped[str] = mapped_column(sa.String(16))
    data: Mapped[dict[str, Any] | None]


Row = TypeVar("Row", bound=JobRow)


class JobStore(Generic[Row]):
    """The jobs of one kind in one project, with their events.

    Args:
        table: of the kind; `JobRow` for every kind.
    """

    def __init__(self, session: AsyncSession, project_id: str, table: type[Row]) -> None:
        self._session = session
        self._project_id = project_id
        self._table = table

    async def add(self, row: Row) -> None:
        self._session.add(row)
        await self._session.flush()

    async def get(self, job_id: str, *, lock: bool = False) -> Row | None:
        """With `lock`, other replicas wait for the end of this transaction."""
        if lock:
            await _lock(self._session, job_id)
        query = sa.select(self._table).where(self._table.project_id == self._project_id, self._table.id == job_id)
        return (await self._session.scalars(query)).one_or_none()

    async def elsewhere(self, job_id: str) -> Elsewhere | None:
        """Of a job of another project: for that project's audit log, and for no answer."""
        query = sa.select(JobRow.organization_id, JobRow.project_id, JobRow.cluster)
        query = query.where(JobRow.id == job_id, JobRow.project_id != self._project_id)
        found = (await self._session.execute(query)).one_or_none()
        return None if found is None else Elsewhere(found.organization_id, found.project_id, found.cluster)

    async def page(self, params: ListParams, metadata: Mapping[str, str]) -> tuple[list[Row], bool]:
        """Only jobs that have every pair of `metadata`."""
        query = sa.select(self._table).where(self._table.project_id == self._project_id)
        for key, value in metadata.items():
            query = query.where(self._table.job_metadata[key].as_string() == value)
        return await paginate(self._session, query, self._table.id, params)

    async def count_unfinished(self) -> int:
        """Of every kind."""
        query = sa.select(sa.func.count(JobRow.id))
        query = query.where(JobRow.project_id == self._project_id, JobRow.state.not_in(FINAL))
        return (await self._session.scalar(query)) or 0

    async def events(self, job_id: str, params: ListParams) -> tuple[list[JobEventRow], bool]:
        query = sa.select(JobEventRow).where(JobEventRow.project_id == self._project_id, JobEventRow.job_id == job_id)
        return await paginate(self._session, query, JobEventRow.id, params)

    async def add_events(self, rows: Sequence[JobEventRow]) -> None:
        self._session.add_all(rows)
        await self._session.flush()

    async def keep_events(self, job_id: str, keep: int) -> None:
        """Drop the oldest events of a job beyond `keep`."""
        mine = (JobEventRow.project_id == self._project_id, JobEventRow.job_id == job_id)
        ids = sa.select(JobEventRow.id).where(*mine).order_by(JobEventRow.id.desc())
        oldest_kept = await self._session.scalar(ids.offset(keep - 1).limit(1))
        if oldest_kept is not None:
            await self._session.execute(sa.delete(JobEventRow).where(*mine, JobEventRow.id < oldest_kept))


async def find_job(session: AsyncSession, job_id: str, *, lock: bool = False) -> JobRow | None:
    """Of any kind and project: for what a cluster tells about the jobs that it was given.

    With `lock`, other replicas wait for the end of this transaction.
    """
    if lock:
        await _lock(session, job_id)
    return await session.get(JobRow, job_id, populate_existing=lock)


async def _lock(session: AsyncSession, job_id: str) -> None:
    # The table alone: PostgreSQL locks no row of an outer join, which the class brings with it.
    jobs = JobRow.__table__
    await session.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id).with_for_update())


async def unfinished_jobs(
    session: AsyncSession, *, organization_id: str | None = None, cluster: str | None = None
) -> Sequence[JobRow]:
    """Of every kind and project, oldest first: what the platform has to take up again at its start.

    Args:
        organization_id: only its jobs.
        cluster: only those on the cluster of that name.
    """
    query = sa.select(JobRow).where(JobRow.state.not_in(FINAL)).order_by(JobRow.id)
    if organization_id is not None:
        query = query.where(JobRow.organization_id == organization_id)
    if cluster is not None:
        query = query.where(JobRow.cluster == cluster)
    return (await session.scalars(query)).all()
