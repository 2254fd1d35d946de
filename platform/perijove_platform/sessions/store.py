"""Tables and SQL of sessions: signing secrets, replicas, the links that they hold, and the audit log."""

import secrets
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, Owned, now
from perijove_platform.pagination import paginate
from perijove_platform.sessions.schemas import AuditListParams

_SECRET_BYTES = 32


class SessionSecretRow(Base):
    """What tokens are signed with. Plain, since signing needs it: who reads the database could add keys, too."""

    __tablename__ = "session_secrets"

    name: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    secret: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)


class ReplicaRow(Base):
    """A run of the platform.

    Attributes:
        url: where the other replicas reach it; ``None`` when nobody told.
        heartbeat_at: of the database's clock, so that no machine's own has to be right.
    """

    __tablename__ = "replicas"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    url: Mapped[str | None] = mapped_column(sa.String(512))
    heartbeat_at: Mapped[float] = mapped_column(sa.Double)


class AgentLinkRow(Base):
    """A link to an agent whose channel stands now, and the replica that holds it."""

    __tablename__ = "agent_links"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    cluster_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    replica_id: Mapped[str] = mapped_column(sa.ForeignKey("replicas.id", ondelete="CASCADE"), index=True)


class AuditRecordRow(Owned, Base):
    """What somebody asked of a cluster, in the log of the project that it concerns.

    Attributes:
        from_project_id: of who asked, when it is another.
    """

    __tablename__ = "audit_records"
    __table_args__ = (sa.Index(None, "project_id", "id"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(sa.String(256))
    from_project_id: Mapped[str | None] = mapped_column(sa.String(64))
    cluster: Mapped[str] = mapped_column(sa.String(64))
    verb: Mapped[str] = mapped_column(sa.String(32))
    path: Mapped[str] = mapped_column(sa.String(1024))
    status: Mapped[int]


class ReplicaStore:
    """Secrets, replicas and links. They belong to the installation, not to a project."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._postgres = session.bind is not None and session.bind.dialect.name == "postgresql"

    def _clock(self) -> sa.ColumnElement[float]:
        if self._postgres:
            return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
        return sa.cast((sa.func.julianday("now") - 2440587.5) * 86400.0, sa.Double)

    async def secret(self, name: str) -> bytes:
        """The secret of this name, made when it is missing. Two replicas that start together get the same."""
        row = await self._session.get(SessionSecretRow, name)
        if row is None:
            values = {"name": name, "secret": secrets.token_bytes(_SECRET_BYTES), "created_at": now()}
            await self._session.execute(self._insert(SessionSecretRow, values, conflict=["name"]))
            row = await self._session.get_one(SessionSecretRow, name)
        return row.secret

    def _insert(self, table: type[Base], values: Mapping[str, object], *, conflict: list[str]) -> sa.Insert:
        from sqlalchemy.dialects import postgresql, sqlite

        insert = postgresql.insert if self._postgres else sqlite.insert
        return insert(table).values(**values).on_conflict_do_nothing(index_elements=conflict)

    async def beat(self, replica_id: str, url: str | None) -> None:
        """Say that the replica is there; one that was taken for dead is there again."""
        values = {"id": replica_id, "url": url, "heartbeat_at": self._clock()}
        await self._session.execute(self._insert(ReplicaRow, values, conflict=["id"]))
        mine = sa.update(ReplicaRow).where(ReplicaRow.id == replica_id)
        await self._session.execute(mine.values(heartbeat_at=self._clock()))

    async def alive(self, seconds: float) -> dict[str, str | None]:
        """The address of each replica that said so within `seconds`."""
        query = sa.select(ReplicaRow.id, ReplicaRow.url).where(ReplicaRow.heartbeat_at > self._clock() - seconds)
        return {row.id: row.url for row in await self._session.execute(query.order_by(ReplicaRow.id))}

    async def bury(self, seconds: float) -> None:
        """Remove the replicas that have said nothing for so long, with their links."""
        await self._session.execute(sa.delete(ReplicaRow).where(ReplicaRow.heartbeat_at < self._clock() - seconds))

    async def remove_replica(self, replica_id: str) -> None:
        await self._session.execute(sa.delete(ReplicaRow).where(ReplicaRow.id == replica_id))

    async def remove_other_replicas(self, replica_id: str) -> None:
        await self._session.execute(sa.delete(ReplicaRow).where(ReplicaRow.id != replica_id))

    async def set_links(self, replica_id: str, links: Mapping[str, str]) -> bool:
        """Make the replica's links these: cluster by link id. Whether they were others."""
        known = set((await self._session.scalars(sa.select(AgentLinkRow.id).where(self._held_by(replica_id)))).all())
        gone = known - links.keys()
        if gone:
            await self._session.execute(sa.delete(AgentLinkRow).where(AgentLinkRow.id.in_(gone)))
        self._session.add_all(
            AgentLinkRow(id=link, cluster_id=links[link], replica_id=replica_id) for link in links.keys() - known
        )
        await self._session.flush()
        return known != links.keys()

    def _held_by(self, replica_id: str) -> sa.ColumnElement[bool]:
        return AgentLinkRow.replica_id == replica_id

    async def clusters_by_replica(self, replicas: Collection[str]) -> dict[str, set[str]]:
        """The clusters that each of these replicas holds a link to."""
        query = sa.select(AgentLinkRow.replica_id, AgentLinkRow.cluster_id).where(AgentLinkRow.replica_id.in_(replicas))
        found: dict[str, set[str]] = {replica: set() for replica in replicas}
        for replica_id, cluster_id in await self._session.execute(query):
            found[replica_id].add(cluster_id)
        return found


class AuditStore:
    """The audit records of one project."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self._session = session
        self._project_id = project_id

    def _query(self) -> sa.Select[AuditRecordRow]:
        return sa.select(AuditRecordRow).where(AuditRecordRow.project_id == self._project_id)

    async def page(self, params: AuditListParams) -> tuple[list[AuditRecordRow], bool]:
        query = self._query()
        if params.cluster is not None:
            query = query.where(AuditRecordRow.cluster == params.cluster)
        if params.user_id is not None:
            query = query.where(AuditRecordRow.created_by == params.user_id)
        if params.verb is not None:
            query = query.where(AuditRecordRow.verb == params.verb)
        if params.status is not None:
            query = query.where(AuditRecordRow.status == params.status)
        if params.created_after is not None:
            query = query.where(AuditRecordRow.created_at > params.created_after)
        if params.created_before is not None:
            query = query.where(AuditRecordRow.created_at < params.created_before)
        return await paginate(self._session, query, AuditRecordRow.id, params)

    async def prune(self, *, keep: int, since: int) -> None:
        """Remove what is older than `since` and all but the newest `keep`."""
        mine = AuditRecordRow.project_id == self._project_id
        ids = sa.select(AuditRecordRow.id).where(mine).order_by(AuditRecordRow.id.desc()).offset(keep).limit(1)
        newest_beyond = await self._session.scalar(ids)
        too_many = AuditRecordRow.id <= newest_beyond if newest_beyond is not None else sa.false()
        old = AuditRecordRow.created_at < since
        await self._session.execute(sa.delete(AuditRecordRow).where(mine, sa.or_(old, too_many)))


async def add_audit_records(session: AsyncSession, rows: Sequence[AuditRecordRow]) -> None:
    """Records of any projects: each row names its own."""
    session.add_all(rows)
    await session.flush()


async def audited_projects(session: AsyncSession) -> list[str]:
    return list((await session.scalars(sa.select(AuditRecordRow.project_id).distinct())).all())
