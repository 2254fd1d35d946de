"""Tables and SQL of the runs of jobs in pods.

A run is found by its job's id and its token, not by the project of a caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, now
from perijove_platform.jobs.store import FINAL, JobRow

# Any constant: names the lock that makes ids visible in the order in which they were drawn.
_ORDER_LOCK = 7_264_106


class JobRunRow(Base):
    """The platform's end of a job whose program runs in a pod.

    Attributes:
        cluster: where it runs.
        inputs: object-store keys by their place in the working folder.
        base_model: the model's file on this machine, which becomes an input.
        checksums: ``{"key", "size", "sha256"}`` by place in the working folder, once they are known.
        token_hashes: SHA-256 of each token that a Secret may hold; the newest is last.
        attempt: the newest pod's number; 0 before the first.
        received: the number of the last report of this attempt.
        checkpoint: ``{"path", "size", "sha256", "step"}`` of the newest one that is stored; of a run that has ended,
            until it has been removed.
        results: ``{"size", "sha256"}`` by file name.
        ended_at: when the token stopped working.
    """

    __tablename__ = "job_runs"

    job_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    cluster: Mapped[str] = mapped_column(sa.String(256))
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)
    inputs: Mapped[dict[str, str]]
    base_model: Mapped[str | None] = mapped_column(sa.Text)
    checksums: Mapped[dict[str, Any]]
    token_hashes: Mapped[list[str]]
    attempt: Mapped[int]
    received: Mapped[int] = mapped_column(sa.BigInteger)
    checkpoint: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    results: Mapped[dict[str, Any]]
    ended_at: Mapped[int | None] = mapped_column(sa.BigInteger)

    @property
    def prefix(self) -> str:
        """Of the object-store keys of what the job has written."""
        return f"jobs/{self.project_id}/{self.job_id}/"


class JobRunReportRow(Base):
    """A report that has arrived and has not been recorded yet."""

    __tablename__ = "job_run_reports"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("job_runs.job_id", ondelete="CASCADE"), index=True)
    cluster: Mapped[str] = mapped_column(sa.String(256), index=True)
    report: Mapped[dict[str, Any]]


class ModelObjectRow(Base):
    """The digest of a model's file, which takes seconds to make, for as long as the file has not changed."""

    __tablename__ = "model_objects"

    path: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    modified_ns: Mapped[int] = mapped_column(sa.BigInteger)
    sha256: Mapped[str] = mapped_column(sa.String(64))


class JobRunStore:
    """The runs and what they have reported."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, job_id: str, *, lock: bool = False) -> JobRunRow | None:
        """With `lock`, other replicas wait for the end of this transaction."""
        return await self._session.get(JobRunRow, job_id, with_for_update=lock or None, populate_existing=lock)

    async def job_has_ended(self, job_id: str) -> bool:
        """Whether there is a fine-tune of this id that has ended for good."""
        query = sa.select(sa.func.count()).where(JobRow.id == job_id, JobRow.state.in_(FINAL))
        return bool(await self._session.scalar(query))

    def add(self, row: JobRunRow) -> None:
        self._session.add(row)

    async def waiting(self, job_id: str) -> int:
        """How many reports have not been recorded."""
        query = sa.select(sa.func.count()).where(JobRunReportRow.job_id == job_id)
        return await self._session.scalar(query) or 0

    async def append(self, run: JobRunRow, reports: Iterable[Mapping[str, Any]]) -> None:
        if self._session.bind is not None and self._session.bind.dialect.name == "postgresql":
            # Ids are drawn at insert but seen at commit: a reader that has passed 6 would miss a 5 that comes later.
            await self._session.execute(sa.select(sa.func.pg_advisory_xact_lock(_ORDER_LOCK)))
        rows = [JobRunReportRow(job_id=run.job_id, cluster=run.cluster, report=dict(report)) for report in reports]
        self._session.add_all(rows)
        await self._session.flush()

    async def after(self, cluster: str, last_id: int, *, limit: int) -> Sequence[JobRunReportRow]:
        query = sa.select(JobRunReportRow).where(JobRunReportRow.cluster == cluster, JobRunReportRow.id > last_id)
        return (await self._session.scalars(query.order_by(JobRunReportRow.id).limit(limit))).all()

    async def waiting_of(self, job_id: str, last_id: int, *, limit: int) -> Sequence[JobRunReportRow]:
        """Reports of one job that have not been recorded, oldest first."""
        query = sa.select(JobRunReportRow).where(JobRunReportRow.job_id == job_id, JobRunReportRow.id > last_id)
        return (await self._session.scalars(query.order_by(JobRunReportRow.id).limit(limit))).all()

    async def newest(self, job_id: str, *, until: int | None = None) -> int:
        """The number of the job's last waiting report, up to `until`; 0 when there is none."""
        query = sa.select(sa.func.max(JobRunReportRow.id)).where(JobRunReportRow.job_id == job_id)
        if until is not None:
            query = query.where(JobRunReportRow.id <= until)
        return await self._session.scalar(query) or 0

    async def left_over(self) -> Sequence[str]:
        """The runs that have not been ended though their jobs have, or that have not been cleared."""
        query = sa.select(JobRunRow.job_id).outerjoin(JobRow, JobRow.id == JobRunRow.job_id)
        forgotten = JobRunRow.ended_at.is_(None) & JobRow.state.in_(FINAL)
        uncleared = JobRunRow.ended_at.is_not(None) & JobRunRow.checkpoint.is_not(None)
        return (await self._session.scalars(query.where(forgotten | uncleared))).all()

    async def model_object(self, path: str) -> ModelObjectRow | None:
        return await self._session.get(ModelObjectRow, path)

    async def put_model_object(self, row: ModelObjectRow) -> None:
        await self._session.merge(row)


async def forget_reports(session: AsyncSession, job_id: str) -> None:
    """What a job has reported matters no more, in the transaction that ends it."""
    await session.execute(sa.delete(JobRunReportRow).where(JobRunReportRow.job_id == job_id))


async def take_reports(session: AsyncSession, numbers: Sequence[int]) -> frozenset[int]:
    """Remove reports in the transaction that records them; those that come back are this transaction's to record.

    Another replica may have recorded the others.
    """
    if not numbers:
        return frozenset()
    taken = sa.delete(JobRunReportRow).where(JobRunReportRow.id.in_(numbers)).returning(JobRunReportRow.id)
    return frozenset((await session.scalars(taken)).all())
