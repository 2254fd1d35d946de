"""Running the platform as a process: one for a data directory, announced once it listens."""

import asyncio
import contextlib
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import uvicorn
from fastapi import FastAPI
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from perijove_platform import __version__, discovery
from perijove_platform.app import create_app
from perijove_platform.logs import configure_logging
from perijove_platform.sessions.upgrade import TakeoverProtocol
from perijove_platform.settings import Settings
from perijove_platform.tunnel.descriptors import raise_descriptor_limit
from perijove_platform.tunnel.keepalive import keep_alive
from perijove_platform.tunnel.websocket import UVICORN_OPTIONS

STOP_SECONDS = 10
LOCK_SECONDS = 1.0
BACKLOG = 2048
# A client whose machine or network is gone is noticed after about two minutes, however idle its connection is: long
# enough for a network that changes, as laptops' do.
KEEPALIVE_IDLE_SECONDS = 60
KEEPALIVE_INTERVAL_SECONDS = 15
KEEPALIVE_COUNT = 4


class AlreadyServed(Exception):
    """Another process serves this data directory."""


def serve(settings: Settings, *, host: str = "127.0.0.1", port: int = 0, life_line: bool = False) -> None:
    """Run the platform until SIGTERM, SIGINT or, with `life_line`, the end of standard input.

    Args:
        port: 0 takes a free one; `discovery.read_record` tells which.

    Raises:
        AlreadyServed: the data directory is in use.
        OSError: the address is in use.
    """
    raise_descriptor_limit()
    configure_logging(settings.log_format, settings.logs_dir / "platform.log")
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _only_one(settings.data_dir), _listening(host, port) as listener:
        asyncio.run(_run(settings, listener, life_line=life_line))


async def _run(settings: Settings, listener: socket.socket, *, life_line: bool) -> None:
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=TakeoverProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_keep_alive=65,
        server_header=False,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        **{**UVICORN_OPTIONS, "ws": _WebSocketProtocol},
    )
    server = _AnnouncingServer(config, app, settings.data_dir)
    watching = asyncio.create_task(_stop_at_end_of_input(server)) if life_line else None
    await server.serve(sockets=[listener])
    if watching is not None:
        watching.cancel()


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's, but a refusal is an answer: it logs an error when one was sent instead of the handshake."""

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        self.handshake_complete = self.handshake_complete or self.close_sent


class _AnnouncingServer(uvicorn.Server):
    """Writes the record that others find it by once it accepts connections, and withdraws it before it stops."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, data_dir: Path) -> None:
        super().__init__(config)
        self._app = app
        self._data_dir = data_dir

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            # A platform that listens everywhere is reached on loopback from here.
            local = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
            address = f"[{local}]" if ":" in local else local
            scheme = "https" if self.config.is_ssl else "http"
            discovery.write_record(self._data_dir, base_url=f"{scheme}://{address}:{port}", version=__version__)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # First, so that nobody connects to what is about to go.
        discovery.remove_record(self._data_dir)
        # A followed log or an open shell would be waited for until it is cut off.
        self._app.state.sessions.close_streams()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's, but a graceful stop ends with exit code 0 instead of raising the signal again."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


async def _stop_at_end_of_input(server: uvicorn.Server) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass
    server.should_exit = True


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's lock; the kernel frees it when the process dies, however it dies.

    Who asks whether a platform serves holds it, too, but for a moment.
    """
    with (data_dir / "platform.lock").open("a+") as lock:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _locked(lock):
            if time.monotonic() >= deadline:
                raise AlreadyServed(f"A platform already serves {data_dir}: `perijove status` shows it.")
            time.sleep(0.02)
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY on the connections of a socket that says that it is TCP, and on no others.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keep_alive(
            listener,
            idle_seconds=KEEPALIVE_IDLE_SECONDS,
            interval_seconds=KEEPALIVE_INTERVAL_SECONDS,
            count=KEEPALIVE_COUNT,
        )
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        yield listener
