"""Jobs of several kinds: what they share moves into a table of its own; batch jobs."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_OWNER = ("organization_id", "project_id", "created_by", "created_at")
_SHARED = (
    "cluster",
    "job_metadata",
    "inputs",
    "desired",
    "state",
    "state_reason",
    "queue_position",
    "error",
    "finished_at",
    *_OWNER,
)
_EVENT = ("id", "job_id", "level", "message", "type", "data", *_OWNER)


def upgrade() -> None:
    _create_jobs()
    shared = ", ".join(_SHARED)
    op.execute(
        f"INSERT INTO jobs (id, kind, priority, {shared}) SELECT id, 'fine_tuning', 0, {shared} FROM fine_tuning_jobs"  # noqa: S608
    )
    _create_events("job_events", "jobs")
    _move_events("fine_tuning_job_events", "job_events")
    for column in ("project_id", "state"):
        op.drop_index(op.f(f"ix_fine_tuning_jobs_{column}"), "fine_tuning_jobs")
    for column in _SHARED:
        op.drop_column("fine_tuning_jobs", column)
    op.create_table(
        "batch_jobs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=True),
        sa.Column("image", sa.String(length=512), nullable=True),
        sa.Column("command", sa.JSON(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("resources", sa.JSON(), nullable=False),
        sa.Column("completions", sa.Integer(), nullable=False),
        sa.Column("parallelism", sa.Integer(), nullable=False),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["jobs.id"], name=op.f("fk_batch_jobs_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_jobs")),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("max_run_seconds", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        *(_shared_column(name) for name in _SHARED),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_project_id"), "jobs", ["project_id"])
    op.create_index(op.f("ix_jobs_state"), "jobs", ["state"])


def _shared_column(name: str, *, added: bool = False) -> sa.Column[Any]:
    """Args: added: to a table with rows, which have no value for it yet."""
    kinds: dict[str, tuple[sa.types.TypeEngine[Any], str | None]] = {
        "cluster": (sa.String(length=256), "'local'"),
        "job_metadata": (sa.JSON(), "'{}'"),
        "inputs": (sa.JSON(), "'{}'"),
        "desired": (sa.String(length=16), "'run'"),
        "state": (sa.String(length=16), "'queued'"),
        "state_reason": (sa.Text(), None),
        "queue_position": (sa.Integer(), None),
        "error": (sa.JSON(), None),
        "finished_at": (sa.BigInteger(), None),
        "organization_id": (sa.String(length=64), "''"),
        "project_id": (sa.String(length=64), "''"),
        "created_by": (sa.String(length=64), "''"),
        "created_at": (sa.BigInteger(), "0"),
    }
    kind, default = kinds[name]
    return sa.Column(
        name, kind, nullable=default is None, server_default=sa.text(default) if added and default else None
    )


def _create_events(name: str, jobs: str) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("data", sa.JSON(), nullable=True),
        *(_shared_column(column) for column in _OWNER),
        sa.ForeignKeyConstraint(["job_id"], [f"{jobs}.id"], name=op.f(f"fk_{name}_job_id_{jobs}"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )
    op.create_index(op.f(f"ix_{name}_job_id"), name, ["job_id"])
    op.create_index(op.f(f"ix_{name}_project_id"), name, ["project_id"])


def _move_events(source: str, target: str, where: str = "") -> None:
    columns = ", ".join(_EVENT)
    op.execute(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source}{where}")  # noqa: S608
    op.drop_table(source)


def downgrade() -> None:
    """Batch jobs are lost."""
    op.drop_table("batch_jobs")
    for column in _SHARED:
        op.add_column("fine_tuning_jobs", _shared_column(column, added=True))
    for column in _SHARED:
        found = f"(SELECT jobs.{column} FROM jobs WHERE jobs.id = fine_tuning_jobs.id)"  # noqa: S608
        op.execute(f"UPDATE fine_tuning_jobs SET {column} = {found}")  # noqa: S608
    for column in ("project_id", "state"):
        op.create_index(op.f(f"ix_fine_tuning_jobs_{column}"), "fine_tuning_jobs", [column])
    _create_events("fine_tuning_job_events", "fine_tuning_jobs")
    _move_events(
        "job_events", "fine_tuning_job_events", " WHERE job_id IN (SELECT id FROM jobs WHERE kind = 'fine_tuning')"
    )
    op.drop_table("jobs")
