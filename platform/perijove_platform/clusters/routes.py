"""`/v1/clusters`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from perijove_platform.clusters.schemas import Cluster
from perijove_platform.clusters.service import ClustersService
from perijove_platform.pagination import Page
from perijove_platform.rbac import Caller, requires

router = APIRouter(tags=["clusters"])


def _service(request: Request) -> ClustersService:
    service: ClustersService = request.app.state.clusters
    return service


@router.get("/v1/clusters")
async def list_clusters(
    service: Annotated[ClustersService, Depends(_service)], caller: Annotated[Caller, requires("clusters.read")]
) -> Page[Cluster]:
    """The places where jobs and models run."""
    return await service.list_clusters()
