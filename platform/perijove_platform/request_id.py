"""`x-request-id` on every response, those to unforeseen failures included, and in every log line of the request."""

import contextvars
import logging
import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perijove_platform.errors import envelope
from perijove_platform.ids import new_id

logger = logging.getLogger(__name__)

_current: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
# What a caller sends is written to the log: only what cannot forge a line is taken over.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,128}")


def current_request_id() -> str:
    return _current.get()


class RequestIdMiddleware:
    """Names every request, by the caller's own ``x-request-id`` where it sent a sane one.

    Also adds ``openai-processing-ms``, the milliseconds until the response began.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ACCEPTABLE.fullmatch(given) else new_id("req_")
        began = time.perf_counter()
        began_response = False

        async def send_named(message: Message) -> None:
            nonlocal began_response
            if message["type"] == "http.response.start":
                began_response = True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["openai-processing-ms"] = str(round((time.perf_counter() - began) * 1000))
            await send(message)

        token = _current.set(request_id)
        try:
            await self._app(scope, receive, send_named)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if began_response:
                raise
            await _failed(request_id)(scope, receive, send_named)
        finally:
            _current.reset(token)


def _failed(request_id: str) -> JSONResponse:
    message = f"The platform failed on this request. Its log has the details under request id {request_id}."
    return JSONResponse(envelope(message, "server_error", code="internal_error"), status_code=500)


class RequestIdFilter(logging.Filter):
    """Gives log records the attribute `request_id`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _current.get()
        return True
