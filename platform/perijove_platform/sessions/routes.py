"""Session tokens, the audit log, the ends of the tunnel, and kubectl's proxy."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, WebSocket
from starlette.routing import Route

from perijove_platform.pagination import Page
from perijove_platform.rbac import Caller, requires
from perijove_platform.sessions.peers import PATH as PEERS_PATH
from perijove_platform.sessions.proxy import KubernetesProxy
from perijove_platform.sessions.schemas import AuditListParams, AuditRecord, SessionToken, SessionTokenCreate
from perijove_platform.sessions.service import SessionsService

router = APIRouter(tags=["sessions"])


def _service(request: Request) -> SessionsService:
    service: SessionsService = request.app.state.sessions
    return service


Service = Annotated[SessionsService, Depends(_service)]


@router.post("/v1/sessions/tokens", status_code=201)
async def create_session_token(
    service: Service,
    caller: Annotated[Caller, requires("sessions.use")],
    response: Response,
    body: SessionTokenCreate | None = None,
) -> SessionToken:
    """A credential for `/v1/sessions/{cluster}`, good for ten minutes and for nothing else."""
    # Nobody keeps it, not for a repeated request either.
    response.headers["Cache-Control"] = "no-store"
    return await service.create_token(caller, body or SessionTokenCreate())


@router.get("/v1/audit_records")
async def list_audit_records(
    service: Service, caller: Annotated[Caller, requires("audit.read")], params: Annotated[AuditListParams, Query()]
) -> Page[AuditRecord]:
    """What the project's people and applications asked of clusters."""
    return await service.list_audit_records(caller, params)


@router.websocket("/v1/agent/link")
async def link_agent(websocket: WebSocket) -> None:
    """An agent's end of the tunnel; its credential is that of the agent, not an API key."""
    service: SessionsService = websocket.app.state.sessions
    await service.serve_agent(websocket)


@router.websocket(PEERS_PATH)
async def link_peer(websocket: WebSocket) -> None:
    """Another replica's; its credential is one that replicas sign for each other."""
    service: SessionsService = websocket.app.state.sessions
    await service.serve_peer(websocket)


# Every method, and not in the OpenAPI document: what is there is Kubernetes' API, and its tokens are the session's.
router.routes.append(Route("/v1/sessions/{cluster}/{path:path}", KubernetesProxy(), include_in_schema=False))
