"""The platform's end of a WebSocket, as a link's channel."""

import asyncio
import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from perijove_platform.tunnel import ChannelClosed, CloseCode, ProtocolError

CLOSE_SECONDS = 1.0
MAX_REASON = 120
"""Bytes that a close frame has room for, nearly: RFC 6455, 5.5."""


class ServerChannel:
    """A WebSocket that an agent or another replica has dialled; `tunnel.websocket` is the dialling end."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def send(self, message: bytes) -> None:
        await self._send({"type": "websocket.send", "bytes": message})

    async def send_text(self, message: str) -> None:
        await self._send({"type": "websocket.send", "text": message})

    async def _send(self, event: dict[str, object]) -> None:
        try:
            await self._websocket.send(event)
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            raise ChannelClosed("The WebSocket is closed.") from error

    async def receive(self) -> bytes:
        message = await self._receive("bytes")
        assert isinstance(message, bytes)
        return message

    async def receive_text(self) -> str:
        message = await self._receive("text")
        assert isinstance(message, str)
        return message

    async def _receive(self, kind: str) -> object:
        try:
            event = await self._websocket.receive()
        except RuntimeError as error:
            raise ChannelClosed("The WebSocket is closed.") from error
        if event["type"] == "websocket.disconnect":
            code = event.get("code")
            raise ChannelClosed(f"The other end closed the WebSocket with code {code}.", code)
        message = event.get(kind)
        if message is None:
            raise ProtocolError(f"A WebSocket message is not {kind}, as it should be.")
        return message

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close it, for certain within `CLOSE_SECONDS`: a network that is gone takes no farewell."""
        if self._websocket.application_state is WebSocketState.DISCONNECTED:
            return
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(code, reason.encode()[:MAX_REASON].decode(errors="ignore"))
