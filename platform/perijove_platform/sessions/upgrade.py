"""Connections that stop being HTTP: raw bytes after a 101, taken over from uvicorn under one path prefix.

ASGI knows WebSocket as messages and SPDY not at all, while kubectl's proxy has to pass both on as they are. Under
`PREFIX` every request, an upgrade too, reaches the application as an ordinary one whose scope has the extension
`EXTENSION`; the application answers it or takes the connection.
"""

import asyncio
from collections import deque
from typing import Any, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

PREFIX = b"/v1/sessions/"
EXTENSION = "perijove.connection"
UPGRADES = frozenset({b"websocket", b"spdy/3.1"})
HIGH_WATER_BYTES = 64 * 1024


class RawConnection:
    """The bytes of a connection after its head.

    What arrives before somebody reads is kept up to `HIGH_WATER_BYTES`, then the client has to wait.
    """

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self._transport = transport
        self._flow = flow
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._readable = asyncio.Event()
        self._ended = False

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        self._readable.set()
        if self._size > HIGH_WATER_BYTES:
            self._flow.pause_reading()

    def feed_end(self) -> None:
        self._ended = True
        self._readable.set()

    async def read(self) -> bytes:
        """The next bytes, at least one; empty when the client has gone."""
        while not self._chunks:
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        if self._size <= HIGH_WATER_BYTES // 2:
            self._flow.resume_reading()
        return chunk

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client takes no more.

        Raises:
            ConnectionError: the client has gone.
        """
        if self._flow.write_paused and not self._ended:
            await self._flow.drain()
        if self._ended or self._transport.is_closing():
            raise ConnectionResetError("The client has gone.")
        self._transport.write(data)

    def close(self) -> None:
        """End the connection when what was written has been sent."""
        self._transport.close()


class Connection:
    """What a scope's extension `EXTENSION` holds: the connection beneath one request.

    Attributes:
        upgrade: what the client wants it to become, in lower case; ``None`` for an ordinary request.
        cycle: uvicorn's own state of the request.
    """

    cycle: RequestResponseCycle

    def __init__(self, protocol: "TakeoverProtocol", upgrade: bytes | None) -> None:
        self._protocol = protocol
        self.upgrade = upgrade

    def take(self, head: bytes) -> RawConnection:
        """Send `head`, a complete response head with status 101, and have the connection from then on.

        Raises:
            ConnectionError: the client has gone.
        """
        raw = self._protocol.take(head)
        # For uvicorn the exchange is over: it neither completes the answer nor starts its keep-alive timer.
        self.cycle.response_started = self.cycle.response_complete = True
        return raw

    def abort(self) -> None:
        """Cut the connection, so that a client does not take half an answer for a whole one."""
        self.cycle.disconnected = True
        self._protocol.transport.abort()


class TakeoverProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP/1.1, with upgrades under `PREFIX` left to the application."""

    raw: RawConnection | None = None
    taken = False

    def data_received(self, data: bytes) -> None:
        if self.raw is not None:
            self.raw.feed(data)
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._wanted() is not None:
                self._begin_raw(data[upgrade.args[0] :])
            elif self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._unsupported_upgrade_warning()
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")

    def on_headers_complete(self) -> None:
        if not self.url.startswith(PREFIX):
            super().on_headers_complete()
            return
        connection = Connection(self, self._wanted())
        cast(dict[str, Any], self.scope)["extensions"] = {EXTENSION: connection}
        # Starts the application as a task, which runs later.
        super().on_headers_complete()
        connection.cycle = self.cycle
        if connection.upgrade is not None:
            # What follows the request is not HTTP, so an ordinary answer ends the connection.
            self.cycle.keep_alive = False

    def _begin_raw(self, first: bytes) -> None:
        self.raw = RawConnection(self.transport, self.flow)
        if first:
            self.raw.feed(first)

    def _wanted(self) -> bytes | None:
        """The upgrade that this request is to be given to the application with."""
        if not self.url.startswith(PREFIX):
            return None
        upgrade = self._get_upgrade()
        return upgrade if upgrade in UPGRADES else None

    def _should_upgrade(self) -> bool:
        return not self.url.startswith(PREFIX) and super()._should_upgrade()

    def take(self, head: bytes) -> RawConnection:
        if self.raw is None or self.transport.is_closing():
            raise ConnectionResetError("The client has gone.")
        self.taken = True
        self.transport.write(head)
        return self.raw

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.raw is not None:
            self.raw.feed_end()

    def shutdown(self) -> None:
        if self.taken:
            self.transport.close()
            return
        super().shutdown()


def connection_of(scope: Any) -> Connection | None:
    """The connection beneath a request, where the server is ours."""
    found = (scope.get("extensions") or {}).get(EXTENSION)
    return found if isinstance(found, Connection) else None
