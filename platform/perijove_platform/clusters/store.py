"""Tables and SQL of clusters: registration, credentials, status, quotas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, now
from perijove_platform.pagination import ListParams, paginate


class ClusterRow(Base):
    """A Kubernetes cluster of an organization; `local` has no row.

    Attributes:
        state: ``registering``, ``connected``, ``lost`` or ``revoked``; `state_reason` says why, for a person.
        last_contact_at: when an agent was last known to be connected.
        agents: that are connected.
        agent_versions: of the programs that are connected, or were when the last one went.
        stranger_at: when an agent with its credential was last refused in another Kubernetes cluster.
    """

    __tablename__ = "clusters"
    __table_args__ = (sa.UniqueConstraint("organization_id", "name"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    organization_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str] = mapped_column(sa.String(63))
    description: Mapped[str | None] = mapped_column(sa.String(1024))
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    state_reason: Mapped[str | None] = mapped_column(sa.Text)
    last_contact_at: Mapped[int | None] = mapped_column(sa.BigInteger)
    agents: Mapped[int] = mapped_column(default=0)
    agent_versions: Mapped[list[str]] = mapped_column(default=list)
    stranger_at: Mapped[int | None] = mapped_column(sa.BigInteger)
    created_by: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)


class RegistrationTokenRow(Base):
    """A token by which an agent may join once; kept after its end, so that a refusal can say which end it had."""

    __tablename__ = "cluster_registration_tokens"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    cluster_id: Mapped[str] = mapped_column(sa.ForeignKey("clusters.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    hint: Mapped[str] = mapped_column(sa.String(32))
    expires_at: Mapped[int] = mapped_column(sa.BigInteger)
    used_at: Mapped[int | None] = mapped_column(sa.BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(sa.BigInteger)
    created_by: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)


class CredentialRow(Base):
    """What the agents of a cluster show; the newest that is neither revoked nor expired is the one in force.

    Attributes:
        kubernetes_uid: of the Kubernetes cluster that it is bound to, see `KubernetesInfo.uid`.
    """

    __tablename__ = "cluster_credentials"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    cluster_id: Mapped[str] = mapped_column(sa.ForeignKey("clusters.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    hint: Mapped[str] = mapped_column(sa.String(32))
    expires_at: Mapped[int | None] = mapped_column(sa.BigInteger)
    last_used_at: Mapped[int | None] = mapped_column(sa.BigInteger)
    kubernetes_uid: Mapped[str | None] = mapped_column(sa.String(128))
    revoked_at: Mapped[int | None] = mapped_column(sa.BigInteger)
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)


class ClusterStatusRow(Base):
    """What runs in a cluster, as last reported. `nodes` is apart: a list of clusters does not read it."""

    __tablename__ = "cluster_status"

    cluster_id: Mapped[str] = mapped_column(sa.ForeignKey("clusters.id", ondelete="CASCADE"), primary_key=True)
    summary: Mapped[dict[str, Any]]
    nodes: Mapped[list[Any]]
    reported_at: Mapped[int] = mapped_column(sa.BigInteger)


class QuotaRow(Base):
    """What is set aside for a project on a cluster.

    Attributes:
        resources: Kubernetes quantities by resource name, in the canonical form.
        cohort: projects in one cohort lend each other what they do not use; ``None`` for none.
    """

    __tablename__ = "cluster_quotas"

    cluster_id: Mapped[str] = mapped_column(sa.ForeignKey("clusters.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    resources: Mapped[dict[str, str]]
    cohort: Mapped[str | None] = mapped_column(sa.String(253))
    updated_by: Mapped[str] = mapped_column(sa.String(64))
    updated_at: Mapped[int] = mapped_column(sa.BigInteger)


class ClusterStore:
    """The clusters of one organization, with their tokens, credentials, status and quotas."""

    def __init__(self, session: AsyncSession, organization_id: str) -> None:
        self._session = session
        self._organization_id = organization_id

    def _query(self) -> sa.Select[ClusterRow]:
        return sa.select(ClusterRow).where(ClusterRow.organization_id == self._organization_id)

    async def page(self, params: ListParams) -> tuple[list[ClusterRow], bool]:
        return await paginate(self._session, self._query(), ClusterRow.id, params)

    async def get(self, reference: str, *, lock: bool = False) -> ClusterRow | None:
        """By id or name, which cannot be mistaken for each other: only ids have an underscore.

        Args:
            lock: until the end of the transaction, so that what is decided here stays true.
        """
        query = self._query().where(sa.or_(ClusterRow.id == reference, ClusterRow.name == reference))
        return (await self._session.scalars(query.with_for_update() if lock else query)).one_or_none()

    async def names(self) -> list[str]:
        query = self._query().with_only_columns(ClusterRow.name).order_by(ClusterRow.name)
        return list((await self._session.scalars(query)).all())

    async def count(self) -> int:
        return await self._session.scalar(sa.select(sa.func.count()).select_from(self._query().subquery())) or 0

    async def add(self, row: ClusterRow) -> None:
        self._session.add(row)
        await self._session.flush()

    async def delete(self, row: ClusterRow) -> None:
        await self._session.delete(row)
        await self._session.flush()

    async def quotas(self, row: ClusterRow, *, after: str | None, limit: int) -> tuple[list[QuotaRow], bool]:
        """In the order of their projects' ids, and whether more follow."""
        query = sa.select(QuotaRow).where(QuotaRow.cluster_id == row.id)
        if after is not None:
            query = query.where(QuotaRow.project_id > after)
        rows = list((await self._session.scalars(query.order_by(QuotaRow.project_id).limit(limit + 1))).all())
        return rows[:limit], len(rows) > limit


async def all_clusters(session: AsyncSession) -> Sequence[ClusterRow]:
    """Of every organization, oldest first."""
    return (await session.scalars(sa.select(ClusterRow).order_by(ClusterRow.id))).all()


async def find_cluster(session: AsyncSession, cluster_id: str, *, lock: bool = False) -> ClusterRow | None:
    """Of any organization: for what an agent or a runtime tells of a cluster that it was given."""
    return await session.get(ClusterRow, cluster_id, with_for_update=lock)


async def touch(session: AsyncSession, cluster_ids: Sequence[str]) -> Sequence[str]:
    """Say that the agents of these were connected just now; returns those of them that do not count as connected."""
    known = sa.update(ClusterRow).where(ClusterRow.id.in_(cluster_ids), ClusterRow.state != "revoked")
    rows = await session.execute(known.values(last_contact_at=now()).returning(ClusterRow.id, ClusterRow.state))
    return [cluster_id for cluster_id, state in rows if state != "connected"]


async def silent_clusters(session: AsyncSession, seconds: int) -> Sequence[str]:
    """Those that count as connected though nobody has had contact for so long."""
    query = sa.select(ClusterRow.id).where(
        ClusterRow.state == "connected", sa.func.coalesce(ClusterRow.last_contact_at, 0) < now() - seconds
    )
    return (await session.scalars(query)).all()


async def clusters_left_by_strangers(session: AsyncSession, seconds: int) -> Sequence[str]:
    """Those with a stranger that has not been refused for so long."""
    return (await session.scalars(sa.select(ClusterRow.id).where(ClusterRow.stranger_at <= now() - seconds))).all()


async def statuses(session: AsyncSession, cluster_ids: Sequence[str]) -> dict[str, tuple[dict[str, Any], int]]:
    """The summaries by cluster, and when each was reported; without the nodes."""
    query = sa.select(ClusterStatusRow.cluster_id, ClusterStatusRow.summary, ClusterStatusRow.reported_at)
    rows = await session.execute(query.where(ClusterStatusRow.cluster_id.in_(cluster_ids)))
    return {cluster_id: (summary, reported_at) for cluster_id, summary, reported_at in rows}


async def find_status(session: AsyncSession, cluster_id: str) -> ClusterStatusRow | None:
    return await session.get(ClusterStatusRow, cluster_id)


async def put_status(
    session: AsyncSession, cluster_id: str, summary: dict[str, Any], nodes: list[dict[str, Any]]
) -> None:
    """Replace what was reported of a cluster, whose row the transaction has locked."""
    status = await session.get(ClusterStatusRow, cluster_id)
    if status is None:
        session.add(ClusterStatusRow(cluster_id=cluster_id, summary=summary, nodes=nodes, reported_at=now()))
    else:
        status.summary, status.nodes, status.reported_at = summary, nodes, now()
    await session.flush()


async def find_token(session: AsyncSession, token_id: str) -> RegistrationTokenRow | None:
    return await session.get(RegistrationTokenRow, token_id, populate_existing=True)


async def newest_token(session: AsyncSession, cluster_id: str) -> RegistrationTokenRow | None:
    query = sa.select(RegistrationTokenRow).where(RegistrationTokenRow.cluster_id == cluster_id)
    return (await session.scalars(query.order_by(RegistrationTokenRow.id.desc()).limit(1))).one_or_none()


async def add_token(session: AsyncSession, row: RegistrationTokenRow, *, keep: int) -> None:
    """The newest `keep` of the cluster's earlier ones stay, to be told from unknown ones."""
    await _keep_newest(session, RegistrationTokenRow, row.cluster_id, keep)
    session.add(row)
    await session.flush()


async def end_tokens(session: AsyncSession, cluster_id: str) -> None:
    """Those of a cluster that have not been used."""
    unused = sa.update(RegistrationTokenRow).where(
        RegistrationTokenRow.cluster_id == cluster_id,
        RegistrationTokenRow.used_at.is_(None),
        RegistrationTokenRow.revoked_at.is_(None),
    )
    await session.execute(unused.values(revoked_at=now()))


async def use_token(session: AsyncSession, token_id: str) -> bool:
    """Take the token. Of several who try at the same time, one succeeds: the row's lock lets the others see it used."""
    query = sa.update(RegistrationTokenRow).where(
        RegistrationTokenRow.id == token_id,
        RegistrationTokenRow.used_at.is_(None),
        RegistrationTokenRow.revoked_at.is_(None),
        RegistrationTokenRow.expires_at > now(),
    )
    result = await session.execute(query.values(used_at=now()).returning(RegistrationTokenRow.id))
    return result.one_or_none() is not None


async def find_credential(session: AsyncSession, credential_id: str) -> CredentialRow | None:
    return await session.get(CredentialRow, credential_id)


async def bind_credential(session: AsyncSession, credential_id: str, kubernetes_uid: str) -> str | None:
    """The Kubernetes cluster that the credential is bound to: this one, unless it was bound before."""
    bound = sa.func.coalesce(CredentialRow.kubernetes_uid, kubernetes_uid)
    mine = sa.update(CredentialRow).where(CredentialRow.id == credential_id)
    result = await session.execute(mine.values(kubernetes_uid=bound).returning(CredentialRow.kubernetes_uid))
    return result.scalar_one_or_none()


async def newest_credential(session: AsyncSession, cluster_id: str) -> CredentialRow | None:
    query = sa.select(CredentialRow).where(CredentialRow.cluster_id == cluster_id)
    return (await session.scalars(query.order_by(CredentialRow.id.desc()).limit(1))).one_or_none()


async def add_credential(session: AsyncSession, row: CredentialRow, *, keep: int) -> None:
    """The newest `keep` of the cluster's earlier ones stay."""
    await _keep_newest(session, CredentialRow, row.cluster_id, keep)
    session.add(row)
    await session.flush()


async def end_credentials(session: AsyncSession, cluster_id: str) -> bool:
    """Whether there was one in force."""
    mine = (CredentialRow.cluster_id == cluster_id, CredentialRow.revoked_at.is_(None))
    result = await session.execute(
        sa.update(CredentialRow).where(*mine).values(revoked_at=now()).returning(CredentialRow.id)
    )
    return bool(result.all())


async def find_quota(session: AsyncSession, cluster_id: str, project_id: str) -> QuotaRow | None:
    return await session.get(QuotaRow, (cluster_id, project_id))


async def _keep_newest(
    session: AsyncSession, table: type[RegistrationTokenRow] | type[CredentialRow], cluster_id: str, keep: int
) -> None:
    ids = sa.select(table.id).where(table.cluster_id == cluster_id).order_by(table.id.desc())
    oldest_kept = await session.scalar(ids.offset(keep - 1).limit(1))
    if oldest_kept is not None:
        await session.execute(sa.delete(table).where(table.cluster_id == cluster_id, table.id < oldest_kept))
