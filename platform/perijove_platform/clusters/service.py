"""The rules of clusters: who registers them, who may come in as their agent, what is set aside on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import NoReturn

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.clusters import store
from perijove_platform.clusters.announcements import publish_updated
from perijove_platform.clusters.health import ClusterHealth
from perijove_platform.clusters.listing import list_page
from perijove_platform.clusters.public import (
    public_cluster,
    public_credential,
    public_local,
    public_quota,
    public_token,
)
from perijove_platform.clusters.quotas import ProjectQuota, default_cohort
from perijove_platform.clusters.registration import AgentRegistration
from perijove_platform.clusters.schemas import (
    AgentCredential,
    Cluster,
    ClusterCreate,
    ClusterCreated,
    ClusterDetail,
    ClusterUpdate,
    Quota,
    QuotaListParams,
    QuotaPut,
    RegistrationToken,
    RegistrationTokenCreate,
)
from perijove_platform.clusters.sources import PlacedJobs, Projects
from perijove_platform.clusters.status import StatusReport
from perijove_platform.clusters.store import ClusterRow, ClusterStore, QuotaRow
from perijove_platform.database import Database, now
from perijove_platform.errors import Conflict, NotFound
from perijove_platform.events import EventBus
from perijove_platform.ids import new_id
from perijove_platform.pagination import ListParams, Page
from perijove_platform.rbac import Caller
from perijove_platform.runtimes import base
from perijove_platform.schemas import Deleted

logger = logging.getLogger(__name__)

MAX_CLUSTERS = 1000
_RETRY_SECONDS = 1.0
_ENDED = ("cluster.credential.deleted", "cluster.deleted")
"""After these events, agents of the cluster that `object_id` names are no longer let in."""


class ClustersService:
    """Knows every cluster, its agent's credentials, how it is, and what is set aside for projects.

    Args:
        local: clusters that every organization has.
    """

    def __init__(
        self,
        database: Database,
        events: EventBus,
        local: Sequence[base.Cluster],
        projects: Projects,
        jobs: PlacedJobs,
    ) -> None:
        self._database = database
        self._events = events
        self._local = {cluster.name: cluster for cluster in local}
        self._projects = projects
        self._jobs = jobs
        self._registration = AgentRegistration(database, events)
        self._health = ClusterHealth(database, events)
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._health.start()
        self._following = asyncio.create_task(self._follow(await self._events.newest()))

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._health.stop()

    # What people do.

    async def list_clusters(self, caller: Caller, params: ListParams) -> Page[Cluster]:
        """`local` first, then the organization's in the order asked for."""
        local = [await public_local(cluster) for cluster in self._local.values()]
        async with self._database.read() as session:
            return await list_page(session, caller, local, params)

    async def get(self, caller: Caller, cluster_id: str) -> ClusterDetail:
        """By id or name."""
        if (local := self._local.get(cluster_id)) is not None:
            return ClusterDetail(**(await public_local(local)).model_dump())
        async with self._database.read() as session:
            row = await self._require(session, caller, cluster_id)
            status = await store.find_status(session, row.id)
            token = await store.newest_token(session, row.id)
            credential = await store.newest_credential(session, row.id)
        found = None if status is None else (status.summary, status.reported_at)
        return ClusterDetail.model_validate(
            {
                **public_cluster(row, found).model_dump(),
                "node_list": [] if status is None else status.nodes,
                "registration_token": None if token is None else public_token(token),
                "credential": None if credential is None else public_credential(credential),
            }
        )

    async def create(self, caller: Caller, request: ClusterCreate) -> ClusterCreated:
        """A cluster without an agent, and the token by which one joins.

        Raises:
            Conflict: the organization has one of that name, or too many.
        """
        row = ClusterRow(
            id=new_id("cluster_"),
            organization_id=caller.organization_id,
            name=request.name,
            description=request.description,
            state="registering",
            created_by=caller.user_id,
            created_at=now(),
        )
        try:
            async with self._database.write() as session:
                clusters = ClusterStore(session, caller.organization_id)
                if await clusters.get(request.name) is not None:
                    _name_taken(request.name)
                if await clusters.count() >= MAX_CLUSTERS:
                    raise Conflict(f"The organization has {MAX_CLUSTERS} clusters, the most it can have.")
                await clusters.add(row)
                token = await self._registration.new_token(
                    session, row, created_by=caller.user_id, seconds=request.token_expires_in_seconds
                )
                cluster = public_cluster(row, None)
                await self._events.publish(session, "cluster.created", row.organization_id, row.id, cluster)
        except IntegrityError:
            # Another replica was faster by a moment.
            _name_taken(request.name)
        return ClusterCreated(**cluster.model_dump(), registration_token=token)

    async def update(self, caller: Caller, cluster_id: str, request: ClusterUpdate) -> Cluster:
        async with self._database.write() as session:
            row = await self._require(session, caller, cluster_id, lock=True)
            row.description = request.description
            return await publish_updated(session, self._events, row)

    async def delete(self, caller: Caller, cluster_id: str, *, force: bool) -> Deleted:
        """End the agent's access and forget the cluster; what runs in it is not touched.

        Args:
            force: even while jobs have not ended there; they fail.

        Raises:
            Conflict: jobs have not ended there.
        """
        async with self._database.read() as session:
            row = await self._require(session, caller, cluster_id)
        unfinished = await self._jobs.unfinished_on(caller.organization_id, row.name)
        if unfinished and not force:
            count = "1 job has" if unfinished == 1 else f"{unfinished} jobs have"
            raise Conflict(
                f"{count} not ended on '{row.name}'. Cancel what runs there, or delete the cluster with 'force=true': "
                "then it fails here, and what is left of it in the cluster is for you to remove.",
                code="cluster_in_use",
            )
        async with self._database.write() as session:
            row = await self._require(session, caller, cluster_id, lock=True)
            await ClusterStore(session, caller.organization_id).delete(row)
            gone = {"id": row.id, "object": "cluster"}
            await self._events.publish(session, "cluster.deleted", row.organization_id, row.id, gone)
        self._forget(row.id)
        return Deleted(id=row.id, object="cluster")

    async def new_token(self, caller: Caller, cluster_id: str, request: RegistrationTokenCreate) -> RegistrationToken:
        """A new registration token, which ends the one before. The agent that is there goes on until it is used."""
        async with self._database.write() as session:
            row = await self._require(session, caller, cluster_id, lock=True)
            token = await self._registration.new_token(
                session, row, created_by=caller.user_id, seconds=request.expires_in_seconds
            )
            await publish_updated(session, self._events, row)
        return token

    async def revoke_credential(self, caller: Caller, cluster_id: str) -> Cluster:
        """Send the agent away. A registration token that has not been used is ended, too."""
        async with self._database.write() as session:
            row = await self._require(session, caller, cluster_id, lock=True)
            cluster = await self._registration.revoke(session, row, caller.user_name or caller.user_id)
        self._forget(row.id)
        return cluster

    async def list_quotas(self, caller: Caller, cluster_id: str, params: QuotaListParams) -> Page[Quota]:
        """In the order of the projects' ids."""
        async with self._database.read() as session:
            row = await self._require(session, caller, cluster_id)
            clusters = ClusterStore(session, caller.organization_id)
            rows, more = await clusters.quotas(row, after=params.after, limit=params.limit)
        ids = [quota.project_id for quota in rows]
        return Page(
            data=[public_quota(quota) for quota in rows],
            first_id=ids[0] if ids else None,
            last_id=ids[-1] if ids else None,
            has_more=more,
        )

    async def get_quota(self, caller: Caller, cluster_id: str, project_id: str) -> Quota:
        """Raises `NotFound` when the project has none there."""
        async with self._database.read() as session:
            row = await self._require(session, caller, cluster_id)
            quota = await self._require_quota(session, row, project_id)
        return public_quota(quota)

    async def put_quota(self, caller: Caller, cluster_id: str, project_id: str, request: QuotaPut) -> Quota:
        """Set what is set aside for a project of the caller's organization."""
        if not await self._projects.has_project(caller.organization_id, project_id):
            raise NotFound(f"No project '{project_id}' in this organization.", param="project")
        default = default_cohort(caller.organization_id)
        cohort = request.cohort if "cohort" in request.model_fields_set else default
        async with self._database.write() as session:
            row = await self._require(session, caller, cluster_id, lock=True)
            quota = await store.find_quota(session, row.id, project_id)
            if quota is None:
                quota = QuotaRow(cluster_id=row.id, project_id=project_id)
                session.add(quota)
            quota.resources, quota.cohort = {name: str(size) for name, size in request.resources.items()}, cohort
            quota.updated_by, quota.updated_at = caller.user_id, now()
            public = public_quota(quota)
            await self._events.publish(session, "cluster.quota.updated", project_id, row.id, public)
        return public

    async def delete_quota(self, caller: Caller, cluster_id: str, project_id: str) -> Deleted:
        """The project uses what the others leave, as without a quota."""
        async with self._database.write() as session:
            row = await self._require(session, caller, cluster_id, lock=True)
            await session.delete(await self._require_quota(session, row, project_id))
            gone = {"object": "cluster.quota", "cluster_id": row.id, "project_id": project_id}
            await self._events.publish(session, "cluster.quota.deleted", project_id, row.id, gone)
        return Deleted(id=project_id, object="cluster.quota")

    # What agents, links and runtimes do.

    async def register_agent(self, token: str) -> AgentCredential:
        """See `AgentRegistration.register`."""
        return await self._registration.register(token)

    async def agent_of(self, credential: str) -> str | None:
        """The cluster whose agent shows this credential; ``None`` for one that is unknown, expired or revoked.

        Fast: answers are kept for seconds, and forgotten at once when a credential ends, here or at another replica.
        """
        return await self._registration.agent_of(credential)

    async def admits(self, credential: str, kubernetes_uid: str | None) -> bool:
        """See `AgentRegistration.admits`."""
        return await self._registration.admits(credential, kubernetes_uid)

    async def connection_changed(
        self, cluster_id: str, connected: bool, *, agents: int | None = None, versions: Sequence[str] = ()
    ) -> None:
        """The cluster can, or cannot, be reached from here, by whichever replica holds a link. See `ClusterHealth`."""
        await self._health.connection_changed(cluster_id, connected, agents=agents, versions=versions)

    async def record_status(self, cluster_id: str, report: StatusReport) -> None:
        """What a runtime sees in its cluster; may be called as often as something changes. See `ClusterHealth`."""
        await self._health.record_status(cluster_id, report)

    async def ended_agents(self) -> AsyncIterator[str]:
        """Clusters whose agents' credentials have ended, from now on, pushed: their links have to be closed.

        A credential ends when it is revoked, when another agent registers, and with its cluster.
        """
        async for event in self._events.subscribe(project_id=None):
            if event.type in _ENDED:
                self._registration.forget(event.object_id)  # before anybody asks `agent_of` because of this
                yield event.object_id

    async def organization_of(self, cluster_id: str) -> str | None:
        async with self._database.read() as session:
            row = await store.find_cluster(session, cluster_id)
        return None if row is None else row.organization_id

    async def id_of(self, name: str, organization_id: str) -> str:
        """The id of the cluster that an organization calls so; the name itself when it has none of that name."""
        async with self._database.read() as session:
            row = await ClusterStore(session, organization_id).get(name)
        return name if row is None else row.id

    async def quota_of(self, cluster_id: str, project_id: str) -> ProjectQuota | None:
        """What is set aside for a project; ``None`` when nothing is, and it uses what the others leave.

        Changes are the events `cluster.quota.updated` and `cluster.quota.deleted`, whose `object_id` is the cluster's.
        """
        async with self._database.read() as session:
            row = await store.find_quota(session, cluster_id, project_id)
        return None if row is None else ProjectQuota(resources=row.resources, cohort=row.cohort)

    async def _follow(self, last_id: int) -> None:
        """Forget what another replica has ended."""
        while True:
            try:
                async for event in self._events.subscribe(project_id=None, last_id=last_id):
                    last_id = event.id
                    if event.type == "reset":
                        self._registration.forget(None)
                    elif event.type in _ENDED:
                        self._registration.forget(event.object_id)
            except Exception:
                logger.exception("The clusters' events cannot be followed; going on in %s s", _RETRY_SECONDS)
                self._registration.forget(None)
                await asyncio.sleep(_RETRY_SECONDS)

    def _forget(self, cluster_id: str) -> None:
        self._registration.forget(cluster_id)
        self._health.forget(cluster_id)

    async def _require(
        self, session: AsyncSession, caller: Caller, cluster_id: str, *, lock: bool = False
    ) -> ClusterRow:
        if cluster_id in self._local:
            raise Conflict(
                f"'{cluster_id}' is the platform's own machine: it needs no agent and has no quotas.",
                param="cluster_id",
                code="local_cluster",
            )
        row = await ClusterStore(session, caller.organization_id).get(cluster_id, lock=lock)
        if row is None:
            raise NotFound(
                f"No cluster '{cluster_id}' in this organization.", param="cluster_id", code="cluster_not_found"
            )
        return row

    async def _require_quota(self, session: AsyncSession, row: ClusterRow, project_id: str) -> QuotaRow:
        quota = await store.find_quota(session, row.id, project_id)
        if quota is None:
            message = f"Project '{project_id}' has no quota on '{row.name}': it uses what the others leave."
            raise NotFound(message, param="project", code="quota_not_set")
        return quota


def _name_taken(name: str) -> NoReturn:
    raise Conflict(f"There is a cluster '{name}' in this organization. Take another name.", param="name") from None
