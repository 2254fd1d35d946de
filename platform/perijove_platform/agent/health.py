"""`/healthz` and `/readyz` for Kubernetes' probes, and nothing else."""

import asyncio
import contextlib
import errno
from collections.abc import Callable

MAX_CONNECTIONS = 32
REQUEST_SECONDS = 5.0
_MAX_HEAD_BYTES = 8 * 1024


class HealthServer:
    """Answers as long as the event loop turns.

    Args:
        ready: whether the agent can serve streams.

    Attributes:
        port: that it listens at, once started.
    """

    def __init__(self, port: int, ready: Callable[[], bool]) -> None:
        self.port = port
        self._ready = ready
        self._server: asyncio.Server | None = None
        self._connections = 0

    async def start(self) -> None:
        """Raises `OSError` when the port is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, None, self.port, limit=_MAX_HEAD_BYTES)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
            # A node without IPv6.
            self._server = await asyncio.start_server(self._serve, "0.0.0.0", self.port, limit=_MAX_HEAD_BYTES)  # noqa: S104
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections > MAX_CONNECTIONS:
                return
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(REQUEST_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        finally:
            self._connections -= 1
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            status, text = "405 Method Not Allowed", "only GET\n"
        elif path == b"/healthz":
            status, text = "200 OK", "ok\n"
        elif path == b"/readyz":
            ready = self._ready()
            status, text = ("200 OK", "ok\n") if ready else ("503 Service Unavailable", "no link to the platform\n")
        else:
            status, text = "404 Not Found", "/healthz or /readyz\n"
        lines = (f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(text)}", "Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n" + ("" if method == b"HEAD" else text)).encode()
