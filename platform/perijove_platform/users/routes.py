"""`/v1/me` and `/v1/api_keys`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from perijove_platform.pagination import ListParams, Page
from perijove_platform.rbac import Caller, requires
from perijove_platform.schemas import Deleted
from perijove_platform.users.schemas import ApiKey, ApiKeyCreate, ApiKeyCreated, Me
from perijove_platform.users.service import UsersService

router = APIRouter(tags=["users"])


def _service(request: Request) -> UsersService:
    service: UsersService = request.app.state.users
    return service


Service = Annotated[UsersService, Depends(_service)]


@router.get("/v1/me")
async def get_me(caller: Annotated[Caller, requires("platform.read")]) -> Me:
    """Who the API key belongs to and what it may do."""
    return Me(
        id=caller.user_id,
        name=caller.user_name,
        organization_id=caller.organization_id,
        project_id=caller.project_id,
        scopes=sorted(caller.scopes),
    )


@router.get("/v1/api_keys")
async def list_api_keys(
    service: Service,
    caller: Annotated[Caller, requires("api_keys.read")],
    params: Annotated[ListParams, Query()],
) -> Page[ApiKey]:
    """The project's keys, without their secrets."""
    return await service.list_keys(caller, params)


@router.post("/v1/api_keys", status_code=201)
async def create_api_key(
    service: Service,
    caller: Annotated[Caller, requires("api_keys.write")],
    body: ApiKeyCreate,
    response: Response,
) -> ApiKeyCreated:
    """A new key; its secret is in this answer and nowhere else, so a repeated request makes another key."""
    response.headers["Cache-Control"] = "no-store"
    return await service.create_key(caller, body)


@router.delete("/v1/api_keys/{key_id}")
async def delete_api_key(
    service: Service, caller: Annotated[Caller, requires("api_keys.write")], key_id: str
) -> Deleted:
    """Revoke a key."""
    return await service.delete_key(caller, key_id)
