"""The outbox table and its SQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, now

# Any constant: names the lock that makes ids visible in the order in which they were drawn.
_ORDER_LOCK = 7_264_105


class OutboxRow(Base):
    """An event. `project_id` is the organization's id for one that all of its projects see."""

    __tablename__ = "outbox"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    type: Mapped[str] = mapped_column(sa.String(64))
    object_id: Mapped[str] = mapped_column(sa.String(256))
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)
    data: Mapped[dict[str, Any]]


async def lock_order(session: AsyncSession) -> None:
    """On PostgreSQL, hold back other writers of events until this one commits.

    Ids are drawn at insert but seen at commit: without this a stream that has passed id 6 would miss a 5 that
    commits later. SQLite has one writer anyway.
    """
    if session.bind is not None and session.bind.dialect.name == "postgresql":
        await session.execute(sa.select(sa.func.pg_advisory_xact_lock(_ORDER_LOCK)))


async def after(session: AsyncSession, last_id: int, *, owners: Sequence[str] | None, limit: int) -> list[OutboxRow]:
    """Events of these projects and organizations, or of all."""
    query = sa.select(OutboxRow).where(OutboxRow.id > last_id).order_by(OutboxRow.id).limit(limit)
    if owners is not None:
        query = query.where(OutboxRow.project_id.in_(owners))
    return list((await session.scalars(query)).all())


async def bounds(session: AsyncSession) -> tuple[int, int]:
    """The oldest and the newest id kept, zeros when there is none."""
    row = (await session.execute(sa.select(sa.func.min(OutboxRow.id), sa.func.max(OutboxRow.id)))).one()
    return row[0] or 0, row[1] or 0


async def prune(session: AsyncSession, keep: int) -> None:
    _, newest = await bounds(session)
    await session.execute(sa.delete(OutboxRow).where(OutboxRow.id <= newest - keep))
