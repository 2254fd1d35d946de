"""A small HTTP/1.1 client for engines: POST and GET over kept-alive loopback connections.

A general client spends more time on one request than the whole gateway may add (see `benchmarks/gateway_latency.py`);
this one does only what an engine needs. Closing a response early closes its connection, by which the engine
notices that nobody reads any more and stops generating.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

import httptools

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 900.0
"""How long an engine may say nothing: the bound for a prompt that waits for its slot and is then processed."""
MAX_IDLE_CONNECTIONS = 2
"""By engine. llama.cpp's server spends a thread on each, and has few."""
MAX_IDLE_ENGINES = 64
HIGH_WATER_BYTES = 256 * 1024
LOW_WATER_BYTES = 64 * 1024


class UpstreamError(Exception):
    """The engine cannot be reached, or its connection broke before the response was complete."""


class Connection(asyncio.Protocol):
    """One connection, with at most one response under way."""

    def __init__(self) -> None:
        self.status = 0
        self.complete = False
        self.reusable = False
        self.touched = False
        self._closed = False
        self._paused = False
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._wake = asyncio.Event()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.touched = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()
        self._wake.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self.reusable = False
        self._wake.set()

    # What the parser calls.

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        self.complete = True
        self.reusable = self._parser.should_keep_alive()

    # What the client calls.

    @property
    def closed(self) -> bool:
        return self._closed or self._transport.is_closing()

    def send(self, request: bytes) -> None:
        self.status, self.complete, self.reusable, self.touched = 0, False, False, False
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)

    async def head(self) -> None:
        """Wait for status and headers."""
        while not self.status:
            await self._more()

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._buffered -= len(chunk)
                if self._paused and self._buffered < LOW_WATER_BYTES:
                    self._paused = False
                    self._transport.resume_reading()
                yield chunk
            if self.complete:
                return
            await self._more()

    async def _more(self) -> None:
        if self.closed:
            raise UpstreamError("the engine closed the connection")
        self._wake.clear()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self.close()
            raise UpstreamError(f"the engine was silent for {SILENCE_SECONDS:.0f} s") from None

    def close(self) -> None:
        self.reusable = False
        self._transport.close()


class Upstream:
    """Connections to engines, kept for the next request."""

    def __init__(self) -> None:
        self._idle: dict[str, deque[Connection]] = {}

    @asynccontextmanager
    async def request(
        self, base_url: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[Connection]:
        """Send a request (POST when it has a body, else GET) and wait for its status.

        Raises:
            UpstreamError: the engine cannot be reached, or closes the connection first.
        """
        message = _encode(base_url, path, headers, body)
        connection = await self._exchange(base_url, message)
        try:
            yield connection
        finally:
            self._release(base_url, connection)

    async def fetch(
        self, base_url: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, bytes]:
        """The status and the whole body of a response that is known to be small."""
        async with self.request(base_url, path, headers, body) as connection:
            return connection.status, b"".join([chunk async for chunk in connection.body()])

    async def _exchange(self, base_url: str, message: bytes) -> Connection:
        idle = self._idle.get(base_url)
        while idle:
            connection = idle.pop()
            if connection.closed:
                continue
            try:
                return await _begin(connection, message)
            except UpstreamError:
                # Closed by the engine while it lay idle, a race that HTTP cannot avoid; anything later is a failure.
                if connection.touched:
                    raise
        return await _begin(await _connect(base_url), message)

    def _release(self, base_url: str, connection: Connection) -> None:
        if not (connection.complete and connection.reusable) or connection.closed:
            connection.close()
            return
        idle = self._idle.setdefault(base_url, deque())
        idle.append(connection)
        if len(idle) > MAX_IDLE_CONNECTIONS:
            idle.popleft().close()
        if len(self._idle) > MAX_IDLE_ENGINES:
            oldest = next(iter(self._idle))
            for old in self._idle.pop(oldest):
                old.close()

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()


async def _begin(connection: Connection, message: bytes) -> Connection:
    try:
        connection.send(message)
        await connection.head()
    except BaseException:
        connection.close()
        raise
    return connection


async def _connect(base_url: str) -> Connection:
    address = urlsplit(base_url)
    if address.scheme != "http" or address.hostname is None:
        raise UpstreamError(f"not an engine's address: {base_url}")
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await asyncio.get_running_loop().create_connection(
                Connection, address.hostname, address.port or 80
            )
    except (OSError, TimeoutError) as error:
        raise UpstreamError(f"the engine does not accept connections ({error or 'timed out'})") from error
    return connection


def _encode(base_url: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {base_url.partition('://')[2]}"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")
