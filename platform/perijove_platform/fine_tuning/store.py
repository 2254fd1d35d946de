"""Tables and SQL that only fine-tuning jobs have; the rest is in `jobs.store`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, Owned
from perijove_platform.jobs.store import JobRow
from perijove_platform.pagination import ListParams, paginate

KIND = "fine_tuning"


class FineTuningJobRow(JobRow):
    """A fine-tuning job.

    Attributes:
        inputs: empty while the files are being checked, before any cluster has heard of the job.
        requested: the hyperparameters as asked for; `decided` has the values that the trainer chose for "auto".
        result: the trainer's ``result`` report, kept while the result is being registered.
    """

    __tablename__ = "fine_tuning_jobs"

    job_id = mapped_column("id", sa.String(64), primary_key=True)
    model: Mapped[str] = mapped_column(sa.String(256))
    training_file: Mapped[str] = mapped_column(sa.String(256))
    validation_file: Mapped[str | None] = mapped_column(sa.String(256))
    suffix: Mapped[str | None] = mapped_column(sa.String(64))
    seed: Mapped[int] = mapped_column(sa.BigInteger)
    requested: Mapped[dict[str, Any]]
    decided: Mapped[dict[str, Any]]
    progress: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    fine_tuned_model: Mapped[str | None] = mapped_column(sa.String(256))
    result_files: Mapped[list[str]]
    trained_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    estimated_finish: Mapped[int | None] = mapped_column(sa.BigInteger)

    # The table is older than `jobs`, and SQLite cannot add a foreign key to a table.
    __mapper_args__ = {
        "polymorphic_identity": KIND,
        "inherit_condition": job_id.column == JobRow.id,
        "inherit_foreign_keys": [job_id.column],
    }


class CheckpointRow(Owned, Base):
    __tablename__ = "fine_tuning_checkpoints"
    __table_args__ = (sa.UniqueConstraint("job_id", "step_number"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("fine_tuning_jobs.id", ondelete="CASCADE"), index=True)
    step_number: Mapped[int]
    metrics: Mapped[dict[str, Any]]


class CheckpointStore:
    """The checkpoints of one project's jobs."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self._session = session
        self._project_id = project_id

    async def page(self, job_id: str, params: ListParams) -> tuple[list[CheckpointRow], bool]:
        query = sa.select(CheckpointRow).where(
            CheckpointRow.project_id == self._project_id, CheckpointRow.job_id == job_id
        )
        return await paginate(self._session, query, CheckpointRow.id, params)

    async def put(self, row: CheckpointRow, *, keep: int) -> None:
        """A step that is reached again after a restart replaces its earlier checkpoint; the newest `keep` stay."""
        mine = (CheckpointRow.project_id == self._project_id, CheckpointRow.job_id == row.job_id)
        await self._session.execute(sa.delete(CheckpointRow).where(*mine, CheckpointRow.step_number == row.step_number))
        self._session.add(row)
        await self._session.flush()
        ids = sa.select(CheckpointRow.id).where(*mine).order_by(CheckpointRow.id.desc())
        oldest_kept = await self._session.scalar(ids.offset(keep - 1).limit(1))
        if oldest_kept is not None:
            await self._session.execute(sa.delete(CheckpointRow).where(*mine, CheckpointRow.id < oldest_kept))
