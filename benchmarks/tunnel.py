"""Bytes and streams through the tunnel: `python benchmarks/tunnel.py [--megabytes 400] [--streams 2000]`.

Three tables, both sides measured in the same run, in turn, each end in a process of its own, over loopback without TLS
between the ends:

1. bytes per second from a server in the "cluster" to a reader at the platform, on one stream and on 64, through the
   tunnel (WebSocket, link, the agent's sockets) and through a plain asyncio TCP relay;
2. streams that are open at the same time and echo: time for a round trip of each, resident memory of both ends.
   "pods" are TCP connections; "exec" are upgraded TLS connections to a labelled FAKE of a kube-apiserver that echoes;
3. 50 MB on one stream while the connection that carries the link is cut 100 times at random, and while it is not:
   whether what has come is what was sent, and how long that took.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import socket
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from cuts import content, digest, serve_cutter
from perijove_platform.tunnel import ChannelClosed, CloseCode, Stream
from processes import Child, certificates, process
from rich.console import Console
from rich.table import Table

MIB = 1024 * 1024
ROUND_TRIPS = 5
OPENING = 64
"""Streams that are being opened at the same time."""
MESSAGE = b"x" * 100
KNOWN = 1 << 63
CUT_BYTES, CUTS = 50_000_000, 100


class Pipe(Protocol):
    """A stream of the tunnel, or a connection to the relay."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    def reset(self) -> None: ...


class TcpPipe:
    """Through the plain relay."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        return await self._reader.read(MIB)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        self._writer.transport.abort()


# In the "cluster".


async def serve_source(pipe: Connection) -> None:
    """Sends as many bytes as the first eight say, known content where the top bit is set; echoes when they say none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            left = int.from_bytes(await reader.readexactly(8), "big")
            if not left:
                await _echo(reader, writer)
            if left & KNOWN:
                for chunk in content(left & ~KNOWN):
                    writer.write(chunk)
                    await writer.drain()
                left = 0
            chunk = bytes(256 * 1024)
            while left > 0:
                writer.write(chunk[:left])
                left -= len(chunk)
                await writer.drain()
        writer.close()

    await _listen(pipe, serve)


async def serve_fake_apiserver(pipe: Connection, folder: Path) -> None:
    """Upgrades whatever it is asked, over TLS, and echoes."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            await reader.readexactly(8)
            await _echo(reader, writer)
        writer.close()

    await _listen(pipe, serve, context)


async def _listen(pipe: Connection, serve: Any, tls: ssl.SSLContext | None = None) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=4096)
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def serve_relay(pipe: Connection, source: int) -> None:
    """The peer: a plain relay, with the library's own streams."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await _echo(reader, writer)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", source)
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))

    await _listen(pipe, serve)


async def run_agent(pipe: Connection, platform: int, source: int, apiserver: int, folder: Path) -> None:
    """The agent's own code, without registration and without looking pods up."""
    from perijove_platform.agent.apiserver import ApiServer, ServiceAccount
    from perijove_platform.agent.kubernetes import KubernetesTarget
    from perijove_platform.agent.relay import relay
    from perijove_platform.agent.service import LIMITS
    from perijove_platform.agent.sockets import Socket
    from perijove_platform.tunnel.handshake import Hello, TextChannel
    from perijove_platform.tunnel.keeper import LinkKeeper
    from perijove_platform.tunnel.websocket import dial

    kubernetes = KubernetesTarget(ApiServer("127.0.0.1", apiserver, ServiceAccount(folder)))

    async def accept(stream: Stream, target: Mapping[str, Any]) -> None:
        if target["kind"] == "kubernetes":
            await kubernetes.serve(stream, target)
            return
        connection = await Socket.dial("127.0.0.1", source)
        stream.accept()
        await relay(stream, connection, half_close=True)

    async def connect() -> TextChannel:
        return await dial(f"ws://127.0.0.1:{platform}/v1/agent/link", headers={})

    def hello(link: str | None, received: int) -> Hello:
        return Hello(link=link, received=received, agent="agent", version="0")

    keeper = LinkKeeper(connect, hello, accept=accept, limits=LIMITS)
    running = asyncio.create_task(keeper.run())
    while not keeper.connected:
        await asyncio.sleep(0.01)
    pipe.send(0)
    await asyncio.to_thread(pipe.recv)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


# At the platform.


async def serve_platform(pipe: Connection) -> None:
    """The platform's end of the link, and whoever reads; does what it is told over `pipe`."""
    import uvicorn
    from perijove_platform.sessions.channel import ServerChannel
    from perijove_platform.sessions.links import LinkRegistry
    from perijove_platform.tunnel.handshake import Welcome, receive_hello
    from perijove_platform.tunnel.websocket import UVICORN_OPTIONS
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket

    links = LinkRegistry(lambda _: None)

    async def accept(websocket: WebSocket) -> None:
        await websocket.accept()
        channel = ServerChannel(websocket)
        with contextlib.suppress(ChannelClosed):
            hello = await receive_hello(channel)
            held, resumed = await links.claim("cluster", hello.agent, hello.link)
            welcome = Welcome(
                link=held.id, received=held.link.received, resumed=resumed, replica="one", replicas=("one",)
            )
            await channel.send_text(welcome.to_json())
            await links.serve(held, channel, hello.received)
        await channel.close(CloseCode.NORMAL)

    async def open_stream(kind: str) -> Pipe:
        link = links.choose("cluster")
        assert link is not None
        headers = [["connection", "upgrade"], ["upgrade", "websocket"]]
        target = {"kind": kind, "method": "GET", "path": "/", "headers": headers}
        return await link.open(target)

    async def open_connection(port: int) -> Pipe:
        return TcpPipe(*await asyncio.open_connection("127.0.0.1", port))

    app = Starlette(routes=[WebSocketRoute("/v1/agent/link", accept)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", **UVICORN_OPTIONS))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        serving = asyncio.create_task(server.serve([listener]))
        pipe.send(listener.getsockname()[1])
        while isinstance(order := await asyncio.to_thread(pipe.recv), Order):
            via = order.via
            opener = partial(open_stream, via) if isinstance(via, str) else partial(open_connection, via)
            async with opened(opener, order.streams) as pipes:
                if order.known:
                    pipe.send(await receive_known(pipes[0], order.bytes))
                elif order.bytes:
                    pipe.send(await transfer(pipes, order.bytes))
                else:
                    pipe.send(await round_trips(pipes))
                    await asyncio.to_thread(pipe.recv)  # the memory has been looked at
        links.close()
        server.should_exit = True
        await serving


@dataclass(frozen=True)
class Order:
    """What to measure.

    Attributes:
        via: the kind of target, or the relay's port.
        streams: at the same time.
        bytes: to receive on all of them together; 0 for echoes.
        known: of known content, to the stream's end.
    """

    via: str | int
    streams: int
    bytes: int
    known: bool = False


@contextlib.asynccontextmanager
async def opened(opener: Callable[[], Awaitable[Pipe]], number: int) -> AsyncIterator[list[Pipe]]:
    turn = asyncio.Semaphore(OPENING)

    async def one() -> Pipe:
        async with turn:
            return await opener()

    pipes = await asyncio.gather(*(one() for _ in range(number)))
    yield pipes
    for pipe in pipes:
        pipe.reset()
    await asyncio.sleep(0.5)


async def transfer(pipes: Sequence[Pipe], size: int) -> float:
    """Seconds until `size` bytes have come, the same number on each."""
    each = size // len(pipes)

    async def receive(pipe: Pipe) -> None:
        await pipe.write(each.to_bytes(8, "big"))
        left = each
        while left:
            chunk = await pipe.read()
            if not chunk:
                raise RuntimeError(f"{left} bytes are missing")
            left -= len(chunk)

    began = time.perf_counter()
    await asyncio.gather(*map(receive, pipes))
    return time.perf_counter() - began


async def receive_known(pipe: Pipe, size: int) -> tuple[float, int, str]:
    """Seconds, number and SHA-256 of all bytes that come, after `size` were asked for."""
    began = time.perf_counter()
    await pipe.write((size | KNOWN).to_bytes(8, "big"))
    found, number = hashlib.sha256(), 0
    while chunk := await pipe.read():
        found.update(chunk)
        number += len(chunk)
    return time.perf_counter() - began, number, found.hexdigest()


async def round_trips(pipes: Sequence[Pipe]) -> float:
    """Seconds for `ROUND_TRIPS` on each, all at the same time."""

    async def ask(pipe: Pipe) -> None:
        await pipe.write(bytes(8))
        for _ in range(ROUND_TRIPS):
            await pipe.write(MESSAGE)
            received = b""
            while len(received) < len(MESSAGE):
                chunk = await pipe.read()
                if not chunk:
                    raise RuntimeError("an echo is missing")
                received += chunk

    began = time.perf_counter()
    await asyncio.gather(*map(ask, pipes))
    return time.perf_counter() - began


# The measurement.


def measure_bytes(platform: Child, sides: Mapping[str, str | int], size: int) -> Table:
    table = Table(title=f"{size // MIB} MiB from the cluster to the platform")
    for column in ("", "streams", "MB/s"):
        table.add_column(column, justify="right")
    for streams in (1, 64):
        for name, via in sides.items():
            best = float("inf")
            for _ in range(3):
                platform.pipe.send(Order(via, streams, size))
                best = min(best, platform.pipe.recv())
            table.add_row(name, str(streams), f"{size / best / 1e6:.0f}")
    return table


def measure_streams(platform: Child, middle: Mapping[str, tuple[str | int, Child]], number: int) -> Table:
    table = Table(title=f"{number} streams open at the same time, {ROUND_TRIPS} echoes of {len(MESSAGE)} bytes on each")
    for column in ("", "echoes/s", "MB before", "MB with streams", "platform's end, MB before", "MB with streams"):
        table.add_column(column, justify="right")
    for name, (via, child) in middle.items():
        before = child.resident, platform.resident
        platform.pipe.send(Order(via, number, 0))
        seconds = platform.pipe.recv()
        after = child.resident, platform.resident
        platform.pipe.send("looked")
        echoes = number * ROUND_TRIPS / seconds
        figures = (echoes, before[0], after[0], before[1], after[1])
        table.add_row(name, *(f"{figure:.0f}" for figure in figures))
    return table


def measure_cuts(source: Child, apiserver: Child, folder: Path) -> Table:
    table = Table(title=f"{CUT_BYTES // 1_000_000} MB on one stream")
    for column in ("", "cuts", "seconds", "bytes lost or doubled", "SHA-256"):
        table.add_column(column, justify="right")
    for cuts in (0, CUTS):
        with (
            process(serve_platform) as platform,
            process(serve_cutter, platform.port, CUT_BYTES, cuts) as cutter,
            process(run_agent, cutter.port, source.port, apiserver.port, folder),
        ):
            platform.pipe.send(Order("pod", 1, CUT_BYTES, known=True))
            seconds, number, found = platform.pipe.recv()
            cutter.pipe.send("how often?")
            same = "the same" if found == digest(CUT_BYTES) else "ANOTHER"
            row = (f"{cutter.pipe.recv()}", f"{seconds:.1f}", str(abs(CUT_BYTES - number)), same)
            table.add_row("tunnel", *row)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes and streams through the tunnel, against a plain TCP relay.")
    parser.add_argument("--megabytes", type=int, default=400, help="(MiB) of each transfer")
    parser.add_argument("--streams", type=int, default=2000, help="open at the same time")
    arguments = parser.parse_args()
    console = Console(width=120)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificates(folder)
        source = stack.enter_context(process(serve_source))
        relay = stack.enter_context(process(serve_relay, source.port))
        apiserver = stack.enter_context(process(serve_fake_apiserver, folder))
        platform = stack.enter_context(process(serve_platform))
        agent = stack.enter_context(process(run_agent, platform.port, source.port, apiserver.port, folder))
        console.print(measure_bytes(platform, {"TCP relay": relay.port, "tunnel": "pod"}, arguments.megabytes * MIB))
        middle: dict[str, tuple[str | int, Child]] = {
            "tunnel, pods": ("pod", agent),
            "tunnel, exec (FAKE kube-apiserver)": ("kubernetes", agent),
            "TCP relay": (relay.port, relay),
        }
        console.print(measure_streams(platform, middle, arguments.streams))
        console.print(measure_cuts(source, apiserver, folder))


if __name__ == "__main__":
    main()
