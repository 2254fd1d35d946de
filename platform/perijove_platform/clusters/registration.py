"""How an agent joins a cluster and is known again: tokens, credentials, and their end."""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.clusters import store
from perijove_platform.clusters.announcements import publish_updated
from perijove_platform.clusters.credentials import (
    CREDENTIAL,
    REGISTRATION,
    digest_of,
    id_in,
    matches,
    new_secret,
)
from perijove_platform.clusters.public import has_stranger
from perijove_platform.clusters.schemas import AgentCredential, Cluster, RegistrationToken
from perijove_platform.database import Database, now
from perijove_platform.errors import Unauthorized
from perijove_platform.events import EventBus

KEPT = 20
"""Ended tokens and credentials of a cluster that are kept, so that a refusal can say what became of them."""
CACHED = 1024
CACHE_SECONDS = 10.0
_USED_SECONDS = 60


class _Known(NamedTuple):
    """A credential that was good a moment ago."""

    until: float
    cluster_id: str
    kubernetes_uid: str | None


class AgentRegistration:
    """Tokens and credentials of agents."""

    def __init__(self, database: Database, events: EventBus) -> None:
        self._database = database
        self._events = events
        self._cache: OrderedDict[str, _Known] = OrderedDict()
        self._forgotten = 0

    async def new_token(
        self, session: AsyncSession, row: store.ClusterRow, *, created_by: str, seconds: int
    ) -> RegistrationToken:
        """A token that ends the cluster's earlier ones. The caller announces what it changes in `row`."""
        secret = new_secret(REGISTRATION)
        expires_at = now() + seconds
        token = store.RegistrationTokenRow(
            id=secret.id,
            cluster_id=row.id,
            secret_hash=secret.digest,
            hint=secret.hint,
            expires_at=expires_at,
            created_by=created_by,
        )
        await store.end_tokens(session, row.id)
        await store.add_token(session, token, keep=KEPT)
        if row.state in ("registering", "revoked"):
            row.state = "registering"
            row.state_reason = f"waiting for its agent; the registration token is valid until {_moment(expires_at)}"
        return RegistrationToken(cluster_id=row.id, token=secret.text, expires_at=expires_at)

    async def register(self, token: str) -> AgentCredential:
        """Exchange a registration token for a credential, which ends the cluster's earlier one.

        Raises:
            Unauthorized: the token was used, has expired, was revoked, or is unknown; says which.
        """
        # By a read: whoever has no token, anybody that is, must not keep others from writing.
        known = await self._find_token(token)
        if known is None:
            raise _refusal("unknown", "is unknown: it was not copied as it is, or its cluster has been deleted")
        async with self._database.write() as session:
            # The cluster's row first, as whoever makes a new token does: two that lock in two orders wait for ever.
            row = await store.find_cluster(session, known.cluster_id, lock=True)
            if row is None or not await store.use_token(session, known.id):
                raise _why_ended(await store.find_token(session, known.id))
            secret = new_secret(CREDENTIAL)
            credential = store.CredentialRow(
                id=secret.id, cluster_id=row.id, secret_hash=secret.digest, hint=secret.hint
            )
            await self._end_credentials(session, row)
            await store.add_credential(session, credential, keep=KEPT)
            row.state, row.state_reason = "registering", "its agent has registered and has not connected yet"
            row.agents, row.stranger_at = 0, None
            await publish_updated(session, self._events, row)
        self.forget(row.id)
        return AgentCredential(cluster_id=row.id, cluster=row.name, credential=secret.text)

    async def _find_token(self, token: str) -> store.RegistrationTokenRow | None:
        token_id = id_in(REGISTRATION, token)
        if token_id is None:
            return None
        async with self._database.read() as session:
            known = await store.find_token(session, token_id)
        return known if known is not None and matches(token, known.secret_hash) else None

    async def revoke(self, session: AsyncSession, row: store.ClusterRow, by: str) -> Cluster:
        """Let nobody in as the cluster's agent; `forget` it when the transaction has been committed."""
        await store.end_tokens(session, row.id)
        await self._end_credentials(session, row)
        row.state, row.agents = "revoked", 0
        row.state_reason = f"{by} revoked its agent's credential; a new registration token lets an agent in again"
        return await publish_updated(session, self._events, row)

    async def _end_credentials(self, session: AsyncSession, row: store.ClusterRow) -> None:
        if await store.end_credentials(session, row.id):
            ended = {"object": "cluster.credential", "cluster_id": row.id}
            await self._events.publish(session, "cluster.credential.deleted", row.organization_id, row.id, ended)

    async def agent_of(self, credential: str) -> str | None:
        """The cluster whose agent shows this credential; ``None`` for one that is unknown, expired or revoked.

        Answers are kept for `CACHE_SECONDS`, unless `forget` is called; refusals are not.
        """
        credential_id = id_in(CREDENTIAL, credential)
        if credential_id is None:
            return None
        digest = digest_of(credential)
        cached = self._cache.get(digest)
        if cached is not None and cached.until > time.monotonic():
            return cached.cluster_id
        forgotten = self._forgotten
        async with self._database.read() as session:
            row = await store.find_credential(session, credential_id)
        if row is None or not matches(credential, row.secret_hash) or row.revoked_at is not None:
            return None
        if row.expires_at is not None and row.expires_at <= now():
            return None
        if row.last_used_at is None or row.last_used_at <= now() - _USED_SECONDS:
            await self._used(credential_id)
        # What was read before a revocation must not be kept after it.
        if forgotten == self._forgotten:
            seconds = CACHE_SECONDS if row.expires_at is None else min(CACHE_SECONDS, row.expires_at - now())
            self._cache[digest] = _Known(time.monotonic() + seconds, row.cluster_id, row.kubernetes_uid)
            if len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        return row.cluster_id

    async def admits(self, credential: str, kubernetes_uid: str | None) -> bool:
        """Whether an agent may serve that shows this credential, which is good, from this Kubernetes cluster.

        The first one that tells where it is binds the credential to that cluster: one that was copied into another,
        as with a restored namespace, would have the jobs run there, too. A refusal is one of the cluster's problems.

        Args:
            kubernetes_uid: see `KubernetesInfo.uid`; an agent without it is let in.
        """
        credential_id = id_in(CREDENTIAL, credential)
        if kubernetes_uid is None or credential_id is None:
            return True
        cached = self._cache.get(digest_of(credential))
        if cached is not None and cached.kubernetes_uid == kubernetes_uid:
            return True  # what a credential is bound to never changes
        async with self._database.read() as session:
            known = await store.find_credential(session, credential_id)
        if known is None or known.kubernetes_uid == kubernetes_uid:
            return True
        async with self._database.write() as session:
            # The cluster's row first: see `register`.
            row = await store.find_cluster(session, known.cluster_id, lock=True)
            if row is None or await store.bind_credential(session, credential_id, kubernetes_uid) == kubernetes_uid:
                return True
            was_known = has_stranger(row)
            row.stranger_at = now()
            if not was_known:
                await publish_updated(session, self._events, row)
        return False

    def forget(self, cluster_id: str | None) -> None:
        """Look the credentials of a cluster up again; those of every cluster without one."""
        self._forgotten += 1
        for digest in [
            digest for digest, known in self._cache.items() if cluster_id is None or known.cluster_id == cluster_id
        ]:
            del self._cache[digest]

    async def _used(self, credential_id: str) -> None:
        async with self._database.write() as session:
            row = await store.find_credential(session, credential_id)
            if row is not None:
                row.last_used_at = now()


def _why_ended(row: store.RegistrationTokenRow | None) -> Unauthorized:
    if row is not None and row.used_at is not None:
        return _refusal("used", f"was used at {_moment(row.used_at)}, and works once")
    if row is not None and row.revoked_at is None:
        return _refusal("expired", f"expired at {_moment(row.expires_at)}")
    return _refusal("revoked", "was revoked: there is a newer one, or its cluster has been deleted")


def _refusal(what: str, why: str) -> Unauthorized:
    return Unauthorized(
        f"This registration token {why}. `perijove clusters rotate` makes a new one.",
        code=f"registration_token_{what}",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
