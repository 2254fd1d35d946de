"""Both neighbours of the tunnel for its tests: a platform's end, a relay that can be cut, certificates.

`PlatformEnd` is a STAND-IN for the platform in one point only: it knows its agents' credentials by heart. The server,
the WebSocket, the channel, the registry of links and the handshake are the real ones.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
import uvicorn
from perijove_platform.agent.service import Agent
from perijove_platform.server import _listening
from perijove_platform.sessions.channel import ServerChannel
from perijove_platform.sessions.links import DialledTwice, LinkRegistry, TooManyLinks
from perijove_platform.tunnel import ChannelClosed, CloseCode, Link, ProtocolError
from perijove_platform.tunnel.handshake import Hello, Welcome, receive_hello
from perijove_platform.tunnel.websocket import UVICORN_OPTIONS
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

CLUSTER = "cluster"
RunAgent = Callable[..., contextlib.AbstractAsyncContextManager[Agent]]


class Certificates:
    """An authority of its own and a server's certificate for loopback, as files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        leaf = authority.issue_cert("localhost", "127.0.0.1", "::1")
        self.ca, self.chain, self.key = folder / "ca.crt", folder / "tls.crt", folder / "tls.key"
        authority.cert_pem.write_to_path(self.ca)
        leaf.private_key_and_cert_chain_pem.write_to_path(self.chain)
        leaf.private_key_pem.write_to_path(self.key)

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)


class TcpRelay:
    """Passes bytes on, until it is cut; each connection goes to the next address of `targets`."""

    def __init__(self, *targets: tuple[str, int]) -> None:
        self.targets = list(targets)
        self.accepting = True
        self.connections = 0
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "TcpRelay":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Every connection ends at once, and what is on its way is lost."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        target = self.targets[self.connections % len(self.targets)]
        if not self.accepting:
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection(*target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, there_writer}
        self._open |= ends
        try:
            await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end, which is then that of both."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


class _QuietServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own proxies are not what the tests dial through."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class PlatformEnd:
    """See the module. Its streams are opened by `link().begin` or `.open`.

    Attributes:
        tokens: registration tokens that can still be used.
        credentials: that are good; `None` takes any.
        uids: of the Kubernetes clusters that credentials are bound to.
        hellos: all that came.
    """

    replica: str = "replica-a"
    replicas: tuple[str, ...] = ()
    tokens: set[str] = field(default_factory=set)
    credentials: set[str] | None = None
    uids: dict[str, str] = field(default_factory=dict)
    hellos: list[Hello] = field(default_factory=list)
    duplicates: int = 0
    refusals: int = 0
    grace_seconds: float = 30.0
    certificates: Certificates | None = None
    port: int = 0

    def __post_init__(self) -> None:
        self.links = self._registry()

    def _registry(self) -> LinkRegistry:
        return LinkRegistry(lambda _: None, grace_seconds=self.grace_seconds)

    def forget(self) -> None:
        """What a restart of the platform does to its links."""
        self.links.close()
        self.links = self._registry()

    def link(self) -> Link:
        found = self.links.choose(CLUSTER)
        assert found is not None, "no agent is connected"
        return found

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["PlatformEnd"]:
        routes = [
            Route("/v1/agent/registration", self._register, methods=["POST"]),
            WebSocketRoute("/v1/agent/link", self._accept),
        ]
        tls = {}
        if self.certificates is not None:
            tls = {"ssl_certfile": self.certificates.chain, "ssl_keyfile": self.certificates.key}
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, access_log=False, **UVICORN_OPTIONS, **tls)
        self.server = _QuietServer(config)
        with _listening("127.0.0.1", self.port) as listener:
            self.port = listener.getsockname()[1]
            serving = asyncio.create_task(self.server.serve(sockets=[listener]))
            await until(lambda: self.server.started or serving.done())
            try:
                yield self
            finally:
                self.links.close()
                self.server.should_exit = True
                await serving

    async def _register(self, request: Request) -> JSONResponse:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            self.refusals += 1
            return JSONResponse({"error": {"message": "This registration token was used."}}, 401)
        self.tokens.remove(token)
        credential = f"pjagent-for-{token}"
        self.credentials = {*(self.credentials or ()), credential}
        return JSONResponse({"cluster_id": CLUSTER, "cluster": "one", "credential": credential}, 201)

    async def _accept(self, websocket: WebSocket) -> None:
        credential = websocket.headers.get("authorization", "").removeprefix("Bearer ")
        if self.credentials is not None and credential not in self.credentials:
            self.refusals += 1
            refusal = JSONResponse({"error": {"message": "This agent's credential was revoked."}}, 401)
            await websocket.send_denial_response(refusal)
            return
        await websocket.accept()
        channel = ServerChannel(websocket)
        try:
            hello = await receive_hello(channel)
            self.hellos.append(hello)
            uid = hello.kubernetes.uid if hello.kubernetes else None
            if self.uids.get(credential, uid) != uid:
                self.refusals += 1
                await channel.close(CloseCode.OTHER_CLUSTER, "This credential is another cluster's.")
                return
            links = self.links
            held, resumed = await links.claim(CLUSTER, hello.agent, hello.link)
            replicas = self.replicas or (self.replica,)
            received = held.link.received
            welcome = Welcome(link=held.id, received=received, resumed=resumed, replica=self.replica, replicas=replicas)
            await channel.send_text(welcome.to_json())
            await links.serve(held, channel, hello.received if resumed else 0)
        except DialledTwice:
            self.duplicates += 1
            await channel.close(CloseCode.DUPLICATE)
        except TooManyLinks as error:
            await channel.close(CloseCode.TOO_MANY_LINKS, str(error))
        except (ChannelClosed, ProtocolError, TimeoutError):
            await channel.close()


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition, as long as a busy machine may need."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
