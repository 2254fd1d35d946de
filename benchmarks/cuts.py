"""Output whose every byte is known, and a relay that cuts the connection that carries it."""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Iterator
from multiprocessing.connection import Connection

CHUNK = 64 * 1024
FIRST_CUT = 64 * 1024
"""Bytes that pass before: enough for the handshake."""


def content(size: int) -> Iterator[bytes]:
    """That many bytes, always the same and nowhere alike."""
    for number in range(-(-size // CHUNK)):
        yield hashlib.shake_128(number.to_bytes(8, "big")).digest(min(CHUNK, size - number * CHUNK))


def digest(size: int) -> str:
    """SHA-256 of `content`."""
    found = hashlib.sha256()
    for chunk in content(size):
        found.update(chunk)
    return found.hexdigest()


async def serve_cutter(pipe: Connection, platform: int, size: int, cuts: int) -> None:
    """A relay from the agent to the platform that aborts both its connections, without a farewell, whenever as many
    bytes have come from the agent as chance has chosen; in the end it is told to say how often."""
    places = sorted(random.Random(1).sample(range(FIRST_CUT, size), cuts))
    passed = made = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", platform)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, counted: bool) -> None:
            nonlocal passed, made
            while data := await source.read(CHUNK):
                if counted:
                    passed += len(data)
                    if made < cuts and passed >= places[made]:
                        made += 1
                        return
                sink.write(data)
                await sink.drain()

        both = [
            asyncio.ensure_future(copy(reader, there_writer, True)),
            asyncio.ensure_future(copy(there_reader, writer, False)),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, there_writer):
            end.transport.abort()
        for each in both:
            each.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await each

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)
    pipe.send(made)
    await asyncio.to_thread(pipe.recv)
