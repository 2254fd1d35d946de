"""The dialling end of a WebSocket, as a link's channel; `sessions.channel` is the accepting end."""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from perijove_platform.tunnel.channel import ChannelClosed, CloseCode
from perijove_platform.tunnel.frames import BATCH_BYTES, MAX_MESSAGE_BYTES, ProtocolError

# What a server end must be told when it is uvicorn: the link has pings of its own, and its bytes are not text.
UVICORN_OPTIONS: Mapping[str, Any] = {
    "ws": "websockets-sansio",
    "ws_max_size": MAX_MESSAGE_BYTES,
    "ws_ping_interval": None,
    "ws_per_message_deflate": False,
}
DIAL_SECONDS = 15.0
CLOSE_SECONDS = 2.0
# Messages of which the network has more wait in its own buffers: reading ahead of a link that is busy gains nothing.
_READ_AHEAD = 4

# It tells of each message; what matters is told by whoever dials.
logging.getLogger("websockets.client").setLevel(logging.WARNING)


class DialFailed(ConnectionError):
    """No WebSocket came of it.

    Attributes:
        status: of the HTTP answer, when there was one that refused.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ClientChannel:
    """A WebSocket that this end has dialled."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, message: bytes) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def send_text(self, message: str) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def receive(self) -> bytes:
        message = await self._receive()
        if isinstance(message, str):
            raise ProtocolError("A message of the link is text.")
        return message

    async def receive_text(self) -> str:
        message = await self._receive()
        if isinstance(message, bytes):
            raise ProtocolError("A message of the handshake is not text.")
        return message

    async def _receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def close(self, code: int = CloseCode.NORMAL) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close(code)
        self._connection.transport.abort()

    @property
    def nodelay(self) -> bool:
        """Whether small messages leave at once."""
        return bool(_socket(self._connection).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


async def dial(
    url: str, *, headers: Mapping[str, str], tls: ssl.SSLContext | None = None, user_agent: str = "perijove"
) -> ClientChannel:
    """Open a WebSocket; by way of the proxy that the environment names (``HTTPS_PROXY``, ``NO_PROXY``), if any.

    Args:
        url: ``wss://…`` or ``ws://…``.
        tls: for ``wss``; the system's certificates when absent.

    Raises:
        DialFailed: says why, in words for whoever runs the agent.
    """
    try:
        connection = await connect(
            url,
            additional_headers=dict(headers),
            user_agent_header=user_agent,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=_READ_AHEAD,
            write_limit=2 * BATCH_BYTES,
            ping_interval=None,
            open_timeout=DIAL_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ssl=(tls or ssl.create_default_context()) if url.startswith("wss:") else None,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise DialFailed(_refusal(status, error.response.body), status) from None
    except ssl.SSLCertVerificationError as error:
        raise DialFailed(f"The platform's certificate is not trusted: {error.verify_message}.") from None
    except TimeoutError:
        raise DialFailed(f"The platform did not answer within {DIAL_SECONDS:.0f} s.") from None
    except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
        raise DialFailed(f"The platform cannot be reached: {error or type(error).__name__}.") from None
    _socket(connection).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ClientChannel(connection)


def _socket(connection: ClientConnection) -> socket.socket:
    found: socket.socket = connection.transport.get_extra_info("socket")
    return found


def _closed(error: ConnectionClosed) -> ChannelClosed:
    code = None if error.rcvd is None else error.rcvd.code
    reason = f" and says: {error.rcvd.reason}" if error.rcvd is not None and error.rcvd.reason else ""
    return ChannelClosed(f"The channel is cut (code {code}){reason}.", code)


def _refusal(status: int, body: bytes | bytearray | None) -> str:
    """What the platform says, from its error envelope when that is what came."""
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        return str(json.loads(body or b"")["error"]["message"])[:1000]
    return f"The platform refused the connection with HTTP status {status}."
