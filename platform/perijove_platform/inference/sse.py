"""Responses that end when nobody reads them any more: a server-sent event stream, and an awaited answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from perijove_platform.errors import ApiError
from perijove_platform.errors import envelope as error_envelope

logger = logging.getLogger(__name__)

FIRST_COMMENT_SECONDS = 1.0
"""How long an answer may take to begin before its stream is opened with a comment. Errors until then have a status."""
KEEP_ALIVE_SECONDS = 10.0
CLIENT_GONE = 499
"""The status in the log of a request whose client left; nobody reads it."""
DONE = b"data: [DONE]\n\n"


def frame(data: Any) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


def named_frame(event: str, data: Any) -> bytes:
    return b"event: " + event.encode() + b"\n" + frame(data)


def error_frame(envelope: dict[str, Any]) -> bytes:
    """A failure in the middle of a stream, in the form that OpenAI's clients raise."""
    return frame(envelope)


class EventStream(Response):
    """Sends frames as they come, comments while there are none, and stops the work when the client leaves.

    Args:
        frames: whole events; closed in any case.
        on_error: the frame for a failure after the stream has been opened.
    """

    media_type = "text/event-stream"

    def __init__(
        self, frames: AsyncGenerator[bytes], on_error: Callable[[dict[str, Any]], bytes] = error_frame
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._frames = frames
        self._on_error = on_error
        self._begun = False
        self._sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.ensure_future(self._pump(send))
        gone = asyncio.ensure_future(_left(receive))
        try:
            await self._keep_alive(work, gone, send)
        finally:
            gone.cancel()
            work.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            await self._frames.aclose()
        if not work.cancelled():
            work.result()

    async def _keep_alive(self, work: asyncio.Task[None], gone: asyncio.Task[None], send: Send) -> None:
        seconds, sent = FIRST_COMMENT_SECONDS, 0
        while True:
            done, _ = await asyncio.wait({work, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            if self._sent == sent:
                await self._send(send, b": waiting for the model\n\n" if sent == 0 else b": keep-alive\n\n")
            seconds, sent = KEEP_ALIVE_SECONDS, self._sent

    async def _pump(self, send: Send) -> None:
        try:
            async for item in self._frames:
                self._sent += 1
                await self._send(send, item)
        except ApiError as error:
            if not self._begun:
                raise
            await self._send(send, self._on_error(error.envelope()))
        except Exception:
            if not self._begun:
                raise
            logger.exception("a stream failed")
            message = "The platform failed in the middle of this answer; its log has the details."
            await self._send(send, self._on_error(error_envelope(message, "server_error", code="internal_error")))
        await self._open(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _open(self, send: Send) -> None:
        if not self._begun:
            self._begun = True
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _send(self, send: Send, body: bytes) -> None:
        await self._open(send)
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer_while_connected(request: Request, work: Coroutine[Any, Any, Any]) -> Response:
    """The result of `work` as JSON; the work is cancelled when the client leaves."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_left(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return Response(status_code=CLIENT_GONE)
        return Response(orjson.dumps(task.result()), media_type="application/json")
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
