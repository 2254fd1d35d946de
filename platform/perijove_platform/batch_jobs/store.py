"""The table that only batch jobs have; the rest is in `jobs.store`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.jobs.store import JobRow

KIND = "batch"


class BatchJobRow(JobRow):
    """A batch job.

    Attributes:
        environment: values by name; forgotten, but for the names, once the job has ended.
        files: ``{"file_id", "path"}`` as asked for; `inputs` has their keys.
        resources: as asked for: ``{"cpus", "memory_bytes", "gpus"}``.
        completed: runs of the command that have succeeded.
    """

    __tablename__ = "batch_jobs"
    __mapper_args__ = {"polymorphic_identity": KIND}

    id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str | None] = mapped_column(sa.String(64))
    image: Mapped[str | None] = mapped_column(sa.String(512))
    command: Mapped[list[str]]
    environment: Mapped[dict[str, Any]]
    files: Mapped[list[Any]]
    resources: Mapped[dict[str, Any]]
    completions: Mapped[int]
    parallelism: Mapped[int]
    completed: Mapped[int]
