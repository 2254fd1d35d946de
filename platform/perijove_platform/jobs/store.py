"""Tables and SQL of fine-tuning jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, Owned
from perijove_platform.pagination import ListParams, paginate
from perijove_platform.runtimes.base import JobState, Wish

FINAL = tuple(str(state) for state in JobState if state.final)


class JobRow(Owned, Base):
    """A fine-tuning job.

    Attributes:
        desired: what its owner wants: ``run``, ``pause`` or ``cancel``; `state` is where it stands.
        inputs: object-store keys by their place in the working folder, as in `JobSpec`; empty while the files are
            being checked, before any cluster has heard of the job.
        requested: the hyperparameters as asked for; `decided` has the values that the trainer chose for "auto".
        result: the trainer's ``result`` report, kept while the result is being registered.
    """

    __tablename__ = "fine_tuning_jobs"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    model: Mapped[str] = mapped_column(sa.String(256))
    training_file: Mapped[str] = mapped_column(sa.String(256))
    validation_file: Mapped[str | None] = mapped_column(sa.String(256))
    suffix: Mapped[str | None] = mapped_column(sa.String(64))
    seed: Mapped[int] = mapped_column(sa.BigInteger)
    cluster: Mapped[str] = mapped_column(sa.String(256))
    requested: Mapped[dict[str, Any]]
    decided: Mapped[dict[str, Any]]
    job_metadata: Mapped[dict[str, Any]]
    inputs: Mapped[dict[str, Any]]
    desired: Mapped[Wish] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    state_reason: Mapped[str | None] = mapped_column(sa.Text)
    queue_position: Mapped[int | None]
    progress: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    fine_tuned_model: Mapped[str | None] = mapped_column(sa.String(256))
    result_files: Mapped[list[str]]
    trained_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    estimated_finish: Mapped[int | None] = mapped_column(sa.BigInteger)
    finished_at: Mapped[int | None] = mapped_column(sa.BigInteger)


class JobEventRow(Owned, Base):
    __tablename__ = "fine_tuning_job_events"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("fine_tuning_jobs.id", ondelete="CASCADE"), index=True)
    level: Mapped[str] = mapped_column(sa.String(8))
    message: Mapped[str] = mapped_column(sa.Text)
    type: Mapped[str] = mapped_column(sa.String(16))
    data: Mapped[dict[str, Any] | None]


class CheckpointRow(Owned, Base):
    __tablename__ = "fine_tuning_checkpoints"
    __table_args__ = (sa.UniqueConstraint("job_id", "step_number"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("fine_tuning_jobs.id", ondelete="CASCADE"), index=True)
    step_number: Mapped[int]
    metrics: Mapped[dict[str, Any]]


class JobStore:
    """The jobs of one project, with their events and checkpoints."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self._session = session
        self._project_id = project_id

    async def add(self, row: JobRow) -> JobRow:
        self._session.add(row)
        await self._session.flush()
        return row

    async def get(self, job_id: str) -> JobRow | None:
        query = sa.select(JobRow).where(JobRow.project_id == self._project_id, JobRow.id == job_id)
        return (await self._session.scalars(query)).one_or_none()

    async def page(self, params: ListParams, metadata: Mapping[str, str]) -> tuple[list[JobRow], bool]:
        """Only jobs that have every pair of `metadata`."""
        query = sa.select(JobRow).where(JobRow.project_id == self._project_id)
        for key, value in metadata.items():
            query = query.where(JobRow.job_metadata[key].as_string() == value)
        return await paginate(self._session, query, JobRow.id, params)

    async def count_unfinished(self) -> int:
        query = sa.select(sa.func.count()).select_from(JobRow)
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
        await self._keep_newest(JobEventRow, job_id, keep)

    async def checkpoints(self, job_id: str, params: ListParams) -> tuple[list[CheckpointRow], bool]:
        query = sa.select(CheckpointRow).where(
            CheckpointRow.project_id == self._project_id, CheckpointRow.job_id == job_id
        )
        return await paginate(self._session, query, CheckpointRow.id, params)

    async def put_checkpoint(self, row: CheckpointRow, *, keep: int) -> None:
        """A step that is reached again after a restart replaces its earlier checkpoint; the newest `keep` stay."""
        await self._session.execute(
            sa.delete(CheckpointRow).where(
                CheckpointRow.project_id == self._project_id,
                CheckpointRow.job_id == row.job_id,
                CheckpointRow.step_number == row.step_number,
            )
        )
        self._session.add(row)
        await self._session.flush()
        await self._keep_newest(CheckpointRow, row.job_id, keep)

    async def _keep_newest(self, table: type[JobEventRow] | type[CheckpointRow], job_id: str, keep: int) -> None:
        mine = (table.project_id == self._project_id, table.job_id == job_id)
        ids = sa.select(table.id).where(*mine).order_by(table.id.desc())
        oldest_kept = await self._session.scalar(ids.offset(keep - 1).limit(1))
        if oldest_kept is not None:
            await self._session.execute(sa.delete(table).where(*mine, table.id < oldest_kept))


async def find_job(session: AsyncSession, job_id: str) -> JobRow | None:
    """Of any project: for what a cluster tells about the jobs that it was given."""
    return await session.get(JobRow, job_id)


async def unfinished_jobs(
    session: AsyncSession, *, organization_id: str | None = None, cluster: str | None = None
) -> Sequence[JobRow]:
    """Of every project, oldest first: what the platform has to take up again at its start.

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
