"""TCP connections that the agent dials, with TLS or without.

asyncio's own TLS takes 300 KB a connection, and there is one for each `kubectl exec`; OpenSSL on a socket that does
not block takes a tenth of it.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

from perijove_platform.tunnel.keepalive import keep_alive
from perijove_platform.tunnel.stream import Signal

READ_BYTES = 64 * 1024
DIAL_SECONDS = 10.0
# A peer whose machine is gone is noticed after about half a minute, however idle the connection.
KEEPALIVE_IDLE_SECONDS = 15
KEEPALIVE_INTERVAL_SECONDS = 5
KEEPALIVE_COUNT = 3

T = TypeVar("T")


class Socket:
    """One connection; at most one reader and one writer at a time."""

    __slots__ = ("_closed", "_readable", "_sock", "_writable")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._readable = Signal()
        self._writable = Signal()
        self._closed = False

    @classmethod
    async def dial(cls, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> "Socket":
        """Connect to the first address of `host` that answers.

        Raises:
            OSError: none does within `DIAL_SECONDS`; `ssl.SSLError` when it is not who it should be.
        """
        loop = asyncio.get_running_loop()
        failure: OSError = OSError(errno.EHOSTUNREACH, f"{host} has no address")
        async with asyncio.timeout(DIAL_SECONDS):
            for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
                try:
                    await loop.sock_connect(sock, address)
                    _tune(sock)
                    return await cls._secured(sock, tls, host)
                except OSError as error:
                    sock.close()
                    failure = error
                except BaseException:
                    sock.close()
                    raise
        raise failure

    @classmethod
    async def _secured(cls, sock: socket.socket, tls: ssl.SSLContext | None, host: str) -> "Socket":
        if tls is None:
            return cls(sock)
        wrapped = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        found = cls(wrapped)
        try:
            await found._retry(found._wait_readable, wrapped.do_handshake)
        except BaseException:
            found.close()
            raise
        return found

    async def read(self, max_bytes: int = READ_BYTES) -> bytes:
        """The next bytes; empty at the end, and when this end has closed.

        Raises:
            OSError: the connection broke.
        """
        if self._closed:
            return b""
        try:
            return await self._retry(self._wait_readable, self._sock.recv, max_bytes)
        except _ClosedHere:
            return b""

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has taken all.

        Raises:
            OSError: the connection broke, or this end has closed it.
        """
        view = memoryview(data)
        while view:
            sent = await self._retry(self._wait_writable, self._sock.send, view)
            view = view[sent:]

    def write_eof(self) -> None:
        """No more from this end; only without TLS."""
        if not self._closed:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def is_quiet(self) -> bool:
        """Whether an idle connection still stands and nothing unasked has come."""
        if self._closed:
            return False
        try:
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def close(self) -> None:
        """A read that waits ends, a write that waits fails."""
        if self._closed:
            return
        self._closed = True
        loop, fd = asyncio.get_running_loop(), self._sock.fileno()
        loop.remove_reader(fd)
        loop.remove_writer(fd)
        if isinstance(self._sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._sock.unwrap()  # tells the other end; what it answers is not waited for
        self._sock.close()
        self._readable.wake()
        self._writable.wake()

    async def _retry(self, blocked: Callable[[], Awaitable[None]], call: Callable[..., T], *arguments: object) -> T:
        while not self._closed:
            try:
                return call(*arguments)
            except ssl.SSLWantWriteError:
                await self._wait_writable()
            except ssl.SSLWantReadError:
                await self._wait_readable()
            except BlockingIOError:
                await blocked()
        raise _ClosedHere(errno.EPIPE, "The connection has been closed here.")

    async def _wait_readable(self) -> None:
        loop, fd = asyncio.get_running_loop(), self._sock.fileno()
        loop.add_reader(fd, self._readable.wake)
        try:
            await self._readable.wait()
        finally:
            if not self._closed:
                loop.remove_reader(fd)

    async def _wait_writable(self) -> None:
        loop, fd = asyncio.get_running_loop(), self._sock.fileno()
        loop.add_writer(fd, self._writable.wake)
        try:
            await self._writable.wait()
        finally:
            if not self._closed:
                loop.remove_writer(fd)


class _ClosedHere(BrokenPipeError):
    """`close` was called meanwhile."""


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    keep_alive(
        sock,
        idle_seconds=KEEPALIVE_IDLE_SECONDS,
        interval_seconds=KEEPALIVE_INTERVAL_SECONDS,
        count=KEEPALIVE_COUNT,
    )
