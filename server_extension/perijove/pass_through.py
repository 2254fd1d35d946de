"""`perijove/api/…`: the platform's API on Jupyter's own origin, streamed both ways.

The request is sent on while it arrives, and the answer while it comes: nothing is held beyond a few chunks.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.utils import HTTP_METHOD_TO_AUTH_ACTION
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from perijove.envelope import envelope
from perijove.pass_through_headers import leaves_its_folder, query_to_platform, to_browser, to_platform
from perijove.platform_link import NotReady

if TYPE_CHECKING:
    import httpx

    from perijove.application import PerijoveApp

PATTERN = r"perijove/api/(.*)"
PREFIX = "perijove/api/"
# The platform has limits of its own and says so better than a cut connection would.
MAX_BODY_BYTES = 1 << 40
QUEUED_CHUNKS = 4
# Of a body that nobody wants.
MAX_DRAINED_BYTES = 64 * 1024 * 1024
DRAIN_SECONDS = 5.0
RETRY_AFTER_SECONDS = "2"
# Following these is not somebody at work: it must not keep a server from being culled.
FOLLOWED = ("/events", "/logs")


@stream_request_body
class PassThroughHandler(ExtensionHandlerMixin, APIHandler):
    """Passes a request on to the platform with the platform's key, and its answer back."""

    auth_resource = "perijove"
    # Until `prepare` has run, which it does not for a method that is not supported.
    _relay: asyncio.Task[None] | None = None
    _body_read = False

    async def prepare(self) -> None:  # type: ignore[override]
        """Let the request in under Jupyter's rules, before its body is read, and begin to send it on."""
        self._relay: asyncio.Task[None] | None = None
        self._body: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=QUEUED_CHUNKS)
        if self.request.method == "GET" and self.request.path.endswith(FOLLOWED):
            self._track_activity = False
        self._body_read = not self._has_body()
        await super().prepare()
        if self.request.method == "OPTIONS":
            return
        await self._authorize()
        cast(HTTP1Connection, self.request.connection).set_max_body_size(MAX_BODY_BYTES)
        # Without a body it starts in `_answer`: an answer that is quicker than tornado's end of the request
        # would make tornado close the connection, which the client takes for one that it may use again.
        if self._has_body():
            self._relay = asyncio.create_task(self._pass_on())

    async def _authorize(self) -> None:
        user = self.current_user
        if not user:
            raise HTTPError(HTTPStatus.FORBIDDEN, "Log in to Jupyter first.")
        action = HTTP_METHOD_TO_AUTH_ACTION[str(self.request.method)]
        if not await ensure_async(self.authorizer.is_authorized(self, user, action, self.auth_resource)):
            raise HTTPError(HTTPStatus.FORBIDDEN, f"You may not {action} on {self.auth_resource}.")

    async def data_received(self, chunk: bytes) -> None:
        await self._feed(chunk)

    async def _feed(self, chunk: bytes | None) -> None:
        """Hand a chunk to the request; drop it when the platform has answered without waiting for it."""
        if self._relay is None or self._relay.done():
            return
        putting = asyncio.ensure_future(self._body.put(chunk))
        await asyncio.wait({putting, self._relay}, return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()

    async def _answer(self, _path: str) -> None:
        """Called by tornado once the request's body is complete."""
        self._body_read = True
        if self._relay is None:
            self._relay = asyncio.create_task(self._pass_on())
        await self._feed(None)
        await asyncio.wait({self._relay})

    get = head = post = put = patch = delete = _answer

    def on_connection_close(self) -> None:
        """The browser went away: so does the request to the platform."""
        super().on_connection_close()
        if self._relay is not None:
            self._relay.cancel()

    async def _pass_on(self) -> None:
        import httpx

        try:
            await self._stream_answer()
        except NotReady as error:
            await self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, error.message, error.code)
        except httpx.PoolTimeout:
            message = "Too many requests are under way to the platform. Try again when some have finished."
            await self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, message, "too_many_requests")
        except (httpx.ConnectError, httpx.ConnectTimeout):
            message = "The platform does not answer. If it does not come back by itself, restart it from the panel."
            await self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, message, "platform_unreachable")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = f"The platform broke off before its answer was complete ({type(error).__name__}). Try again."
            await self._refuse(HTTPStatus.BAD_GATEWAY, message, "platform_broke_off")
        except StreamClosedError:
            return

    async def _stream_answer(self) -> None:
        app: PerijoveApp = cast("PerijoveApp", self.extensionapp)
        path = self.request.path.split(PREFIX, 1)[1]
        if leaves_its_folder(path):
            await self._refuse(HTTPStatus.NOT_FOUND, "There is no such path on the platform.", "unknown_url")
            return
        connection = app.link.connection()
        query = query_to_platform(self.request.query)
        client = await app.http()
        async with client.stream(
            str(self.request.method),
            f"{connection.base_url}/{path}" + (f"?{query}" if query else ""),
            headers=to_platform(self.request.headers.get_all(), connection.api_key),
            content=self._chunks() if self._has_body() else None,
        ) as answer:
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                await app.link.key_refused()
            await self._send_back(answer)

    async def _send_back(self, answer: "httpx.Response") -> None:
        self.set_status(answer.status_code, answer.reason_phrase or None)
        await self._drain()
        # What Jupyter sets by default gives way to what the platform says.
        self.clear_header("Content-Type")
        for name, value in to_browser(answer.headers.multi_items()):
            self.set_header(name, value)
        self._announce_close()
        content_type = answer.headers.get("content-type", "application/octet-stream")
        if content_type.startswith("text/event-stream"):
            self.set_header("Cache-Control", "no-cache")
            self.set_header("X-Accel-Buffering", "no")
        if self.request.method != "HEAD" and answer.status_code not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            # The headers go at once: a stream may have nothing to say for a while.
            await self.flush()
            async for chunk in answer.aiter_raw():
                self.write(chunk)
                await self.flush()
        await self.finish(set_content_type=content_type)

    async def _refuse(self, status: HTTPStatus, message: str, code: str) -> None:
        """Answer with an error, or, when part of an answer is out already, cut it so that nobody takes it for whole."""
        if self._headers_written:
            cast(HTTP1Connection, self.request.connection).close()
            return
        await self._drain()
        self.clear()
        self.set_cors_headers()
        self.set_status(status)
        self._announce_close()
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.set_header("Retry-After", RETRY_AFTER_SECONDS)
        with contextlib.suppress(StreamClosedError):
            await self.finish(envelope(message, code=code, server_error=status >= HTTPStatus.INTERNAL_SERVER_ERROR))

    async def _drain(self) -> None:
        """Read on for a while: closing with unread data resets the connection, and the answer would be lost with it."""
        left = MAX_DRAINED_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while left > 0 and not self._body_read and (chunk := await self._body.get()) is not None:
                    left -= len(chunk)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Jupyter's own refusals, in the envelope too."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = error.log_message if isinstance(error, HTTPError) and error.log_message else self._reason
        self._announce_close()
        self.finish(envelope(message, code=f"jupyter_{status_code}", server_error=status_code >= 500))

    def _announce_close(self) -> None:
        """Tornado closes the connection after an answer that did not wait for the body; the client must know."""
        if not self._body_read:
            self.set_header("Connection", "close")

    def compute_etag(self) -> str | None:
        """The platform's own ETag, if it gave one, is the only one."""
        return None

    def _has_body(self) -> bool:
        headers = self.request.headers
        return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._body.get()) is not None:
            yield chunk
