"""The agent's way to its kube-apiserver: address, service account, connections that are used again."""

import asyncio
import json
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h11

from perijove_platform.agent.sockets import READ_BYTES, Socket

MAX_IDLE = 32
# Below the 90 s after which kube-apiserver closes a connection that is not used.
IDLE_SECONDS = 60.0
REQUEST_SECONDS = 15.0
MAX_HEAD_BYTES = 128 * 1024
MAX_ANSWER_BYTES = 8 * 1024 * 1024
Header = tuple[bytes, bytes]


class ApiError(Exception):
    """The kube-apiserver refused the agent's own request.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(Exception):
    """The kube-apiserver does not answer, or not as one."""


class HttpConnection:
    """HTTP/1.1 over a socket, one exchange after the other."""

    __slots__ = ("idle_since", "socket", "state")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.state = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.idle_since = 0.0

    async def send(self, event: h11.Event) -> None:
        """Raises `h11.LocalProtocolError` when the event does not fit the exchange, and `OSError`."""
        data = self.state.send(event)
        if data:
            await self.socket.write(data)

    async def head(self) -> h11.Response | h11.InformationalResponse:
        """The answer's head, or that of status 101.

        Raises:
            OSError, h11.RemoteProtocolError: none came.
        """
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    return event
            else:
                raise h11.RemoteProtocolError("the connection was closed before an answer came")

    async def body(self) -> AsyncIterator[bytes]:
        """The answer's body, without transfer coding.

        Raises:
            OSError, h11.RemoteProtocolError: it broke off.
        """
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    async def _next(self) -> object:
        while True:
            event = self.state.next_event()
            if event is not h11.NEED_DATA:
                return event
            self.state.receive_data(await self.socket.read(READ_BYTES))

    def renew(self) -> bool:
        """Whether it can be used again."""
        if self.state.our_state is not h11.DONE or self.state.their_state is not h11.DONE:
            return False
        self.state.start_next_cycle()
        return True


class ServiceAccount:
    """The files that Kubernetes keeps fresh in the pod."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = ""
        self._token_read: tuple[int, int] | None = None
        self._tls: ssl.SSLContext | None = None
        self._tls_read: tuple[int, int] | None = None

    def token(self) -> str:
        """The present token; read again when the file is another one.

        Raises:
            Unreachable: there is none.
        """
        try:
            version = _version_of(self._folder / "token")
            if version != self._token_read:
                self._token = (self._folder / "token").read_text().strip()
                self._token_read = version
        except OSError as error:
            raise Unreachable(f"The service account's token cannot be read: {error}.") from None
        return self._token

    def tls(self) -> ssl.SSLContext:
        """Trusts the cluster's own certificates and no others.

        Raises:
            Unreachable: there are none.
        """
        try:
            version = _version_of(self._folder / "ca.crt")
            if self._tls is None or version != self._tls_read:
                context = ssl.create_default_context(cafile=str(self._folder / "ca.crt"))
                # Clusters' own certificates often lack the identifiers that Python asks for since 3.13.
                context.verify_flags &= ~ssl.VERIFY_X509_STRICT
                self._tls, self._tls_read = context, version
        except OSError as error:  # `ssl.SSLError` is one, too
            raise Unreachable(f"The cluster's certificates cannot be read: {error}.") from None
        return self._tls


def _version_of(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_ino


class ApiServer:
    """The kube-apiserver, as the agent's service account reaches it.

    Attributes:
        authority: for the ``host`` header.
    """

    def __init__(self, host: str, port: int, account: ServiceAccount) -> None:
        self._host = host
        self._port = port
        self._account = account
        self._idle: deque[HttpConnection] = deque()
        address = f"[{host}]" if ":" in host else host
        self.authority = (address if port == 443 else f"{address}:{port}").encode()

    async def connect(self, *, fresh: bool = False) -> HttpConnection:
        """An idle connection, or a new one.

        Args:
            fresh: a new one in any case.

        Raises:
            Unreachable: the kube-apiserver cannot be dialled.
        """
        while self._idle and not fresh:
            connection = self._idle.pop()
            if time.monotonic() - connection.idle_since < IDLE_SECONDS and connection.socket.is_quiet():
                return connection
            connection.socket.close()
        try:
            return HttpConnection(await Socket.dial(self._host, self._port, tls=self._account.tls()))
        except ssl.SSLError as error:
            raise Unreachable(f"The kube-apiserver's certificate or TLS is not as it should be: {error}.") from None
        except OSError as error:
            raise Unreachable(f"The kube-apiserver cannot be reached: {error or type(error).__name__}.") from None

    def release(self, connection: HttpConnection) -> None:
        """Give back a connection; it is closed when its exchange is not over."""
        if not connection.renew():
            connection.socket.close()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        while len(self._idle) > MAX_IDLE or time.monotonic() - self._idle[0].idle_since > IDLE_SECONDS:
            self._idle.popleft().socket.close()

    def credentials(self) -> Header:
        """The header that carries the agent's own token: to be sent here and nowhere else.

        Raises:
            Unreachable: there is no token.
        """
        return b"authorization", b"Bearer " + self._account.token().encode()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().socket.close()

    async def request(self, method: str, path: str, *, body: Any = None, content_type: str = "application/json") -> Any:
        """One request of the agent's own, and the JSON that answers it.

        Raises:
            ApiError: it was refused.
            Unreachable: it was not answered.
        """
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                status, answer = await self._exchange(method, path, body, content_type)
        except TimeoutError:
            raise Unreachable(f"The kube-apiserver did not answer within {REQUEST_SECONDS:.0f} s.") from None
        except (OSError, h11.ProtocolError) as error:
            raise Unreachable(f"The kube-apiserver broke off: {error or type(error).__name__}.") from None
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            value = None
        if status >= 300 or value is None:
            said = value.get("message") if isinstance(value, dict) else None
            raise ApiError(status, str(said or f"HTTP status {status}")[:1000])
        return value

    async def _exchange(self, method: str, path: str, body: Any, content_type: str) -> tuple[int, bytes]:
        content = b"" if body is None else json.dumps(body).encode()
        headers: list[Header] = [
            (b"host", self.authority),
            (b"accept", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            self.credentials(),
        ]
        if content:
            headers.append((b"content-type", content_type.encode()))
        connection = await self.connect()
        try:
            await connection.send(h11.Request(method=method, target=path, headers=headers))
            if content:
                await connection.send(h11.Data(data=content))
            await connection.send(h11.EndOfMessage())
            head = await connection.head()
            answer = await _collect(connection.body())
        finally:
            self.release(connection)
        return head.status_code, answer


async def _collect(chunks: AsyncIterator[bytes]) -> bytes:
    collected = bytearray()
    async for chunk in chunks:
        collected += chunk
        if len(collected) > MAX_ANSWER_BYTES:
            raise h11.RemoteProtocolError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(collected)
