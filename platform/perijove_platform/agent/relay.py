"""Bytes both ways between a stream and a socket."""

import asyncio
import os

from perijove_platform.agent.sockets import Socket
from perijove_platform.tunnel import Stream, StreamReset


async def relay(stream: Stream, socket: Socket, *, leading: bytes = b"", half_close: bool) -> None:
    """Carry bytes until both directions have ended, or either where there is no half-close; then `socket` is closed.

    Args:
        leading: what the socket's end has sent already.
        half_close: whether one direction may end before the other, as in plain TCP. Over TLS it cannot.

    Raises:
        StreamReset: the stream broke.
    """
    up = asyncio.create_task(_up(stream, socket, half_close=half_close))
    try:
        if leading:
            await stream.write(leading)
        while data := await _read(stream, socket):
            await stream.write(data)
        stream.finish()
        if half_close:
            await up
    finally:
        up.cancel()
        socket.close()
        await asyncio.gather(up, return_exceptions=True)


async def _up(stream: Stream, socket: Socket, *, half_close: bool) -> None:
    try:
        while data := await stream.read():
            await socket.write(data)
    except StreamReset:
        socket.close()
    except OSError as error:
        _lost(stream, error)
        socket.close()
    else:
        if half_close:
            socket.write_eof()
        else:
            socket.close()


async def _read(stream: Stream, socket: Socket) -> bytes:
    try:
        return await socket.read()
    except OSError as error:
        _lost(stream, error)
        return b""


def _lost(stream: Stream, error: OSError) -> None:
    stream.reset(
        "target_lost", f"The connection broke: {os.strerror(error.errno) if error.errno else type(error).__name__}."
    )
