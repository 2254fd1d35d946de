"""Answers to who asks for what is another project's: it is not there, and it is written down that they asked."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from perijove_platform.errors import NotFound, respond
from perijove_platform.sessions.service import SessionsService


def install(app: FastAPI) -> None:
    """Record such requests of any route of `app`, whose `state.sessions` has the audit log."""
    app.add_exception_handler(NotFound, _on_not_found)


async def _on_not_found(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, NotFound)
    if error.place is not None:
        sessions: SessionsService = request.app.state.sessions
        path = request.scope.get("raw_path") or request.url.path.encode()
        verb = request.method.lower()
        await sessions.record(
            request.state.caller, cluster=error.place, verb=verb, path=path.decode("latin-1"), status=error.status
        )
    return respond(error)
