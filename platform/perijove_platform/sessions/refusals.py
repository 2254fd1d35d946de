"""Answers to who asks for what is another project's: it is not there, and that project can read that they asked."""

from typing import Protocol

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from perijove_platform.errors import NotFound, respond
from perijove_platform.rbac import Caller
from perijove_platform.sessions.service import SessionsService


class Clusters(Protocol):
    """The clusters manager."""

    async def id_of(self, name: str, organization_id: str) -> str:
        """The id of the cluster that an organization calls so; the name itself when it has none of that name."""
        ...


def install(app: FastAPI) -> None:
    """Record such requests of any route of `app`, whose `state.sessions` has the audit log.

    Nothing of them goes where the caller can read it: the project's own log would tell that there is such a thing.
    """
    app.add_exception_handler(NotFound, _on_not_found)


async def _on_not_found(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, NotFound)
    if error.elsewhere is not None:
        caller: Caller = request.state.caller
        sessions: SessionsService = request.app.state.sessions
        clusters: Clusters = request.app.state.clusters
        path = request.scope.get("raw_path") or request.url.path.encode()
        await sessions.audit.record(
            caller,
            owner=error.elsewhere,
            cluster=await clusters.id_of(error.elsewhere.cluster, error.elsewhere.organization_id),
            verb=request.method.lower(),
            path=path.decode("latin-1"),
            status=error.status,
        )
    return respond(error)
