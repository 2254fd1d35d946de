"""Tables and SQL of users, organizations, projects and API keys."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, Owned, now
from perijove_platform.ids import new_id
from perijove_platform.pagination import ListParams, paginate

LOCAL = "Local"
"""The name of a laptop's organization."""
_LOCAL_LOCK = 7_264_109


class OrganizationRow(Base):
    __tablename__ = "organizations"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(256))
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)


class ProjectRow(Base):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    organization_id: Mapped[str] = mapped_column(sa.ForeignKey("organizations.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(256))
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)


class UserRow(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(256))
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)


class ApiKeyRow(Owned, Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(256))
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    hint: Mapped[str] = mapped_column(sa.String(32))
    scopes: Mapped[list[str]]
    expires_at: Mapped[int | None] = mapped_column(sa.BigInteger)


async def owner_of_key(session: AsyncSession, secret_hash: str) -> tuple[ApiKeyRow, UserRow] | None:
    """The key with this hash and its user; not filtered by project, since it is what tells the project."""
    query = (
        sa.select(ApiKeyRow, UserRow)
        .join(UserRow, UserRow.id == ApiKeyRow.created_by)
        .where(ApiKeyRow.secret_hash == secret_hash)
    )
    row = (await session.execute(query)).one_or_none()
    return (row[0], row[1]) if row else None


async def local_id_of(session: AsyncSession) -> str | None:
    """What ends the ids of the laptop's organization, project and user, once they have been made.

    On PostgreSQL, replicas that start at the same time ask one after the other: the later ones find what the first one
    has made.
    """
    if session.bind is not None and session.bind.dialect.name == "postgresql":
        await session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCAL_LOCK)))
    oldest = sa.select(OrganizationRow.id).where(OrganizationRow.name == LOCAL).order_by(OrganizationRow.created_at)
    found = await session.scalar(oldest.limit(1))
    return found.removeprefix("org-") if found is not None else None


async def ensure_local(
    session: AsyncSession, *, organization_id: str, project_id: str, user_id: str, name: str
) -> None:
    """The one organization, project and user of a laptop, made when missing."""
    if await session.get(OrganizationRow, organization_id) is None:
        session.add(OrganizationRow(id=organization_id, name=LOCAL))
        await session.flush()
    if await session.get(ProjectRow, project_id) is None:
        session.add(ProjectRow(id=project_id, organization_id=organization_id, name="Default"))
    if await session.get(UserRow, user_id) is None:
        session.add(UserRow(id=user_id, name=name))
    await session.flush()


async def has_key(session: AsyncSession, key_id: str) -> bool:
    """Whether any project has this key, and it has not expired."""
    unexpired = sa.or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now())
    return await session.scalar(sa.select(ApiKeyRow.id).where(ApiKeyRow.id == key_id, unexpired)) is not None


async def has_project(session: AsyncSession, organization_id: str, project_id: str) -> bool:
    query = sa.select(ProjectRow.id).where(ProjectRow.id == project_id, ProjectRow.organization_id == organization_id)
    return await session.scalar(query) is not None


class ApiKeyStore:
    """The API keys of one project."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self._session = session
        self._project_id = project_id

    def _query(self) -> sa.Select[ApiKeyRow]:
        return sa.select(ApiKeyRow).where(ApiKeyRow.project_id == self._project_id)

    async def page(self, params: ListParams) -> tuple[list[ApiKeyRow], bool]:
        return await paginate(self._session, self._query(), ApiKeyRow.id, params)

    async def get(self, key_id: str) -> ApiKeyRow | None:
        return (await self._session.scalars(self._query().where(ApiKeyRow.id == key_id))).one_or_none()

    async def count(self) -> int:
        return await self._session.scalar(sa.select(sa.func.count()).select_from(self._query().subquery())) or 0

    async def add(
        self,
        *,
        organization_id: str,
        created_by: str,
        name: str,
        secret_hash: str,
        hint: str,
        scopes: list[str],
        expires_at: int | None = None,
    ) -> ApiKeyRow:
        row = ApiKeyRow(
            id=new_id("key_"),
            organization_id=organization_id,
            project_id=self._project_id,
            created_by=created_by,
            created_at=now(),
            name=name,
            secret_hash=secret_hash,
            hint=hint,
            scopes=scopes,
            expires_at=expires_at,
        )
        self._session.add(row)
        await self._session.flush()
        return row

    async def delete(self, row: ApiKeyRow) -> None:
        await self._session.delete(row)
