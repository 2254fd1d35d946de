"""Tables and SQL of models and their aliases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship, selectinload

from perijove_platform.database import Base, Owned
from perijove_platform.pagination import ListParams, paginate


class ModelRow(Owned, Base):
    """A model.

    Attributes:
        id: internal, time-ordered, never reused; `name` is what clients call the model's id.
        state: ``pulling``, ``available`` or ``failed``; whether it is loaded is the cluster's to know.
        path: the weights (of the adapter, for an adapter); null while pulling and for one that needs none.
        plan: of a pull: the files to fetch, see `hub.PullPlan`.
        in_process: served by the platform itself and not by an engine.
        built_in: registered by the platform at its start.
    """

    __tablename__ = "models"
    __table_args__ = (sa.UniqueConstraint("project_id", "name"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(256))
    kind: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    state_reason: Mapped[str | None] = mapped_column(sa.Text)
    path: Mapped[str | None] = mapped_column(sa.Text)
    source: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any] | None]
    bytes_done: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    size_bytes: Mapped[int | None] = mapped_column(sa.BigInteger)
    context_length: Mapped[int | None]
    parameters: Mapped[int | None] = mapped_column(sa.BigInteger)
    base_id: Mapped[str | None] = mapped_column(sa.ForeignKey("models.id"), index=True)
    in_process: Mapped[bool] = mapped_column(default=False)
    built_in: Mapped[bool] = mapped_column(default=False)
    aliases: Mapped[list[ModelAliasRow]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", order_by="ModelAliasRow.alias"
    )
    base: Mapped[ModelRow | None] = relationship(remote_side=[id], lazy="joined", join_depth=1)


class ModelAliasRow(Owned, Base):
    """A further name of a model; names and aliases of a project share one namespace, which the service guards."""

    __tablename__ = "model_aliases"
    __table_args__ = (sa.UniqueConstraint("project_id", "alias"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    alias: Mapped[str] = mapped_column(sa.String(256))
    model_id: Mapped[str] = mapped_column(sa.ForeignKey("models.id", ondelete="CASCADE"), index=True)


class ModelStore:
    """The models of one project."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self._session = session
        self._project_id = project_id

    def _query(self) -> sa.Select[ModelRow]:
        return sa.select(ModelRow).where(ModelRow.project_id == self._project_id)

    async def page(self, params: ListParams) -> tuple[list[ModelRow], bool]:
        """`params.after` and `.before` are rows' ids here, not names."""
        return await paginate(self._session, self._query(), ModelRow.id, params)

    async def get(self, row_id: str) -> ModelRow | None:
        return (await self._session.scalars(self._query().where(ModelRow.id == row_id))).one_or_none()

    async def find(self, name: str) -> ModelRow | None:
        """By name, else by alias."""
        row = (await self._session.scalars(self._query().where(ModelRow.name == name))).one_or_none()
        if row is not None:
            return row
        query = self._query().join(ModelAliasRow, ModelAliasRow.model_id == ModelRow.id)
        query = query.where(ModelAliasRow.alias == name)
        return (await self._session.scalars(query)).one_or_none()

    async def adapters(self, base_id: str) -> Sequence[ModelRow]:
        query = self._query().where(ModelRow.base_id == base_id).order_by(ModelRow.id)
        return (await self._session.scalars(query)).all()

    async def count(self) -> int:
        query = sa.select(sa.func.count()).select_from(ModelRow).where(ModelRow.project_id == self._project_id)
        return (await self._session.scalar(query)) or 0

    async def add(self, row: ModelRow) -> ModelRow:
        self._session.add(row)
        await self._session.flush()
        return await self.reload(row)

    async def reload(self, row: ModelRow) -> ModelRow:
        """With its aliases and base as they stand in the transaction."""
        await self._session.flush()
        await self._session.refresh(row, ["aliases", "base"])
        return row

    async def delete(self, row: ModelRow) -> None:
        await self._session.delete(row)
        await self._session.flush()

    async def add_alias(self, alias: ModelAliasRow) -> None:
        self._session.add(alias)
        await self._session.flush()

    async def delete_alias(self, row: ModelRow, alias: str) -> bool:
        query = sa.delete(ModelAliasRow).where(
            ModelAliasRow.project_id == self._project_id,
            ModelAliasRow.model_id == row.id,
            ModelAliasRow.alias == alias,
        )
        result = await self._session.execute(query)
        return bool(getattr(result, "rowcount", 0))


async def every_model(session: AsyncSession) -> Sequence[ModelRow]:
    """Of every project: for the inference plane, which filters by project itself."""
    query = sa.select(ModelRow).options(selectinload(ModelRow.aliases)).order_by(ModelRow.id)
    return (await session.scalars(query)).all()


async def unfinished_pulls(session: AsyncSession) -> Sequence[ModelRow]:
    """Of every project: what the platform was pulling when it ended."""
    return (await session.scalars(sa.select(ModelRow).where(ModelRow.state == "pulling"))).all()


async def served_by(session: AsyncSession, base_id: str) -> Sequence[ModelRow]:
    """A base model and its adapters, which one engine serves."""
    query = sa.select(ModelRow).where(sa.or_(ModelRow.id == base_id, ModelRow.base_id == base_id))
    return (await session.scalars(query)).all()
