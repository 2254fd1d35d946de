"""The usage table: one row per project, user, key, model, operation and hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from perijove_platform.database import Base, Owned

HOUR = 3600


class UsageRow(Owned, Base):
    """Sums of one hour; `created_by` is the user.

    Attributes:
        hour: Unix seconds at which the hour begins.
    """

    __tablename__ = "usage_hours"
    __table_args__ = (
        sa.PrimaryKeyConstraint("project_id", "hour", "model", "operation", "created_by", "api_key_id"),
        sa.Index("ix_usage_hours_project_id_hour", "project_id", "hour"),
    )

    hour: Mapped[int] = mapped_column(sa.BigInteger)
    model: Mapped[str] = mapped_column(sa.String(256))
    operation: Mapped[str] = mapped_column(sa.String(32))
    api_key_id: Mapped[str] = mapped_column(sa.String(64))
    requests: Mapped[int] = mapped_column(sa.BigInteger)
    prompt_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    completion_tokens: Mapped[int] = mapped_column(sa.BigInteger)
    cached_tokens: Mapped[int] = mapped_column(sa.BigInteger)


COUNTERS = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens")
KEY = ("project_id", "hour", "model", "operation", "created_by", "api_key_id")
GROUPS: dict[str, InstrumentedAttribute[str]] = {
    "model": UsageRow.model,
    "operation": UsageRow.operation,
    "user_id": UsageRow.created_by,
    "api_key_id": UsageRow.api_key_id,
}


@dataclass(frozen=True, kw_only=True)
class UsageFilter:
    """What to sum: seconds from `start` (included) to `end` (not included), and optional sets of values."""

    start: int
    end: int
    models: Sequence[str] | None = None
    user_ids: Sequence[str] | None = None
    api_key_ids: Sequence[str] | None = None
    operation: str | None = None


@dataclass(frozen=True, kw_only=True)
class UsageSum:
    """Sums of one bucket and group; `group` has a value for each grouped name."""

    bucket: int
    group: dict[str, str]
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class UsageStore:
    """A project's usage."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self._session = session
        self._project_id = project_id

    async def sums(self, wanted: UsageFilter, *, width: int, group_by: Sequence[str]) -> list[UsageSum]:
        """Sums by bucket of `width` seconds and by the columns of `group_by` (names of `GROUPS`), in order of time."""
        bucket = (UsageRow.hour - UsageRow.hour % width).label("bucket")
        groups = [GROUPS[name].label(f"group_{name}") for name in group_by]
        # PostgreSQL sums bigint as numeric.
        sums = [sa.cast(sa.func.sum(getattr(UsageRow, name)), sa.BigInteger).label(name) for name in COUNTERS]
        query = (
            sa.select(bucket, *groups, *sums)
            .where(UsageRow.project_id == self._project_id, UsageRow.hour >= wanted.start, UsageRow.hour < wanted.end)
            .group_by(bucket, *groups)
            .order_by(bucket, *groups)
        )
        for column, values in (
            (UsageRow.model, wanted.models),
            (UsageRow.created_by, wanted.user_ids),
            (UsageRow.api_key_id, wanted.api_key_ids),
            (UsageRow.operation, [wanted.operation] if wanted.operation else None),
        ):
            if values:
                query = query.where(column.in_(values))
        rows = (await self._session.execute(query)).mappings()
        return [
            UsageSum(
                bucket=row["bucket"],
                group={name: row[f"group_{name}"] for name in group_by},
                **{name: int(row[name]) for name in COUNTERS},
            )
            for row in rows
        ]


async def add_all(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Add the counters of each row to those of its hour. For rows of every project: only the service writes these."""
    dialect = session.get_bind().dialect.name
    for row in rows:
        statement: Any
        if dialect == "postgresql":
            statement = postgresql.insert(UsageRow).values(row)
        else:
            statement = sqlite.insert(UsageRow).values(row)
        added = {name: getattr(UsageRow, name) + statement.excluded[name] for name in COUNTERS}
        await session.execute(statement.on_conflict_do_update(index_elements=list(KEY), set_=added))
