"""`/v1/clusters`, and `/v1/agent/registration`, where an agent exchanges its token for a credential."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, Security

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
from perijove_platform.clusters.service import ClustersService
from perijove_platform.errors import Unauthorized
from perijove_platform.pagination import ListParams, Page
from perijove_platform.rbac import Caller, authenticates, requires
from perijove_platform.schemas import Deleted

router = APIRouter(tags=["clusters"])


def _service(request: Request) -> ClustersService:
    service: ClustersService = request.app.state.clusters
    return service


@authenticates
async def _registration_token(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthorized(
            "No registration token was given. Send it as 'Authorization: Bearer pjreg-…'.",
            code="registration_token_missing",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return token.strip()


def _no_store(response: Response) -> None:
    """An answer with a secret is kept nowhere, not for repeated requests either."""
    response.headers["Cache-Control"] = "no-store"


Service = Annotated[ClustersService, Depends(_service)]
Reader = Annotated[Caller, requires("clusters.read")]
Writer = Annotated[Caller, requires("clusters.write")]


@router.get("/v1/clusters")
async def list_clusters(service: Service, caller: Reader, params: Annotated[ListParams, Query()]) -> Page[Cluster]:
    """The places where jobs and models run: the platform's own machine first, then the organization's clusters."""
    return await service.list_clusters(caller, params)


@router.post("/v1/clusters", status_code=201, dependencies=[Depends(_no_store)])
async def create_cluster(service: Service, caller: Writer, body: ClusterCreate) -> ClusterCreated:
    """A new cluster, with the token by which its agent joins; the token is in this answer and nowhere else."""
    return await service.create(caller, body)


@router.get("/v1/clusters/{cluster_id}")
async def get_cluster(service: Service, caller: Reader, cluster_id: str) -> ClusterDetail:
    """One cluster, by id or name, with its nodes."""
    return await service.get(caller, cluster_id)


@router.patch("/v1/clusters/{cluster_id}")
async def update_cluster(service: Service, caller: Writer, cluster_id: str, body: ClusterUpdate) -> Cluster:
    """Change a cluster's description."""
    return await service.update(caller, cluster_id, body)


@router.delete("/v1/clusters/{cluster_id}")
async def delete_cluster(service: Service, caller: Writer, cluster_id: str, force: bool = False) -> Deleted:
    """Forget a cluster and end its agent's access; refused while jobs have not ended there, unless forced."""
    return await service.delete(caller, cluster_id, force=force)


@router.post("/v1/clusters/{cluster_id}/registration_token", status_code=201, dependencies=[Depends(_no_store)])
async def create_registration_token(
    service: Service, caller: Writer, cluster_id: str, body: RegistrationTokenCreate | None = None
) -> RegistrationToken:
    """A new registration token, which ends the one before; it is in this answer and nowhere else."""
    return await service.new_token(caller, cluster_id, body or RegistrationTokenCreate())


@router.delete("/v1/clusters/{cluster_id}/credential")
async def revoke_cluster_credential(service: Service, caller: Writer, cluster_id: str) -> Cluster:
    """Let the cluster's agent in no more, until one registers with a new token."""
    return await service.revoke_credential(caller, cluster_id)


@router.get("/v1/clusters/{cluster_id}/quotas")
async def list_cluster_quotas(
    service: Service, caller: Reader, cluster_id: str, params: Annotated[QuotaListParams, Query()]
) -> Page[Quota]:
    """What is set aside for projects on a cluster; one that is not listed uses what the others leave."""
    return await service.list_quotas(caller, cluster_id, params)


@router.get("/v1/clusters/{cluster_id}/quotas/{project}")
async def get_cluster_quota(service: Service, caller: Reader, cluster_id: str, project: str) -> Quota:
    """What is set aside for a project on a cluster."""
    return await service.get_quota(caller, cluster_id, project)


@router.put("/v1/clusters/{cluster_id}/quotas/{project}")
async def put_cluster_quota(service: Service, caller: Writer, cluster_id: str, project: str, body: QuotaPut) -> Quota:
    """Set aside a part of a cluster for a project."""
    return await service.put_quota(caller, cluster_id, project, body)


@router.delete("/v1/clusters/{cluster_id}/quotas/{project}")
async def delete_cluster_quota(service: Service, caller: Writer, cluster_id: str, project: str) -> Deleted:
    """Set nothing aside for a project: it uses what the others leave."""
    return await service.delete_quota(caller, cluster_id, project)


@router.post("/v1/agent/registration", status_code=201, dependencies=[Depends(_no_store)])
async def register_agent(
    service: Service, token: Annotated[str, Security(_registration_token, scopes=["clusters.register"])]
) -> AgentCredential:
    """Exchange a registration token, sent as the bearer, for the credential of a cluster's agent. It works once."""
    return await service.register_agent(token)
