"""A small HTTPS server that takes the part of a kube-apiserver for the agent's tests.

A STAND-IN: sockets, TLS and HTTP are real, Kubernetes is not. The real one is used in `tests/cluster/`.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def values(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]


def status(code: int, message: str) -> tuple[int, Any]:
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


@dataclass
class KubeApiServer:
    """See the module.

    Attributes:
        tokens: that it takes.
        secrets: data (not encoded) by name.
        namespaces: by name, each with its labels.
        pods: by namespace and name.
        forbidden: whether writing Secrets is.
        connections: how many there have been.
    """

    tokens: set[str] = field(default_factory=lambda: {"service-account"})
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    namespaces: dict[str, dict[str, str]] = field(default_factory=lambda: {"kube-system": {}})
    pods: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    forbidden: bool = False
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    port: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def serve(self, tls: ssl.SSLContext) -> AsyncIterator["KubeApiServer"]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, ssl=tls, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.close_connections()

    def close_connections(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, h11.RemoteProtocolError, asyncio.CancelledError):
                await _Connection(self, reader, writer).run()
        finally:
            self._writers.discard(writer)
            self.open_connections -= 1
            writer.transport.abort()

    def answer(self, request: Seen) -> tuple[int, Any]:
        """To what is not streamed."""
        url = urlsplit(request.target)
        parts = url.path.strip("/").split("/")
        if url.path == "/version":
            return 200, {"gitVersion": "v1.34.4"}
        if parts[:3] == ["api", "v1", "namespaces"] and len(parts) == 6:
            if parts[4] == "secrets":
                return self._secret(request, parts[5], "dryRun=All" in url.query)
            pod = self.pods.get((parts[3], parts[5]))
            return (200, pod) if pod else status(404, f'pods "{parts[5]}" not found')
        if parts[:3] == ["api", "v1", "namespaces"] and len(parts) == 4:
            labels = self.namespaces.get(parts[3])
            if labels is None:
                return status(404, f'namespaces "{parts[3]}" not found')
            return 200, {"metadata": {"name": parts[3], "labels": labels, "uid": f"uid-of-{parts[3]}"}}
        return 200, {"kind": "Anything", "method": request.method, "sha256": hashlib.sha256(request.body).hexdigest()}

    def _secret(self, request: Seen, name: str, dry_run: bool) -> tuple[int, Any]:
        if request.method == "PATCH":
            if self.forbidden:
                return status(403, f'secrets "{name}" is forbidden')
            data = {key: base64.b64decode(value).decode() for key, value in json.loads(request.body)["data"].items()}
            if not dry_run:
                self.secrets[name] = data
        if name not in self.secrets and request.method == "GET":
            return status(404, f'secrets "{name}" not found')
        data = self.secrets.get(name, {})
        return 200, {"data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


class _Connection:
    def __init__(self, server: KubeApiServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._http = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        while True:
            event = await self._next()
            if not isinstance(event, h11.Request):
                return
            headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            request = Seen(event.method.decode(), event.target.decode(), headers)
            self._server.seen.append(request)
            if await self._respond(request):
                return
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _respond(self, request: Seen) -> bool:
        """Whether the connection is used up."""
        url = urlsplit(request.target)
        query = parse_qs(url.query)
        if request.values("authorization") != [f"Bearer {token}" for token in self._server.tokens]:
            await self._document(*status(401, "Unauthorized"))
        elif url.path == "/upgrade":
            await self._upgrade(request)
            return True
        elif url.path == "/early":
            await self._document(*status(413, "too large"))
            return True
        elif url.path == "/broken":
            await self._send(h11.Response(status_code=200, headers=[("content-length", "1000")]))
            await self._send(h11.Data(data=b"half"))
            return True
        elif url.path == "/big":
            async for _ in self._body():
                pass
            await self._big(int(query["bytes"][0]), query.get("line") == ["1"])
        elif url.path == "/echo":
            await self._echo()
        elif url.path == "/wait":
            await self._send(h11.Response(status_code=200, headers=[("transfer-encoding", "chunked")]))
            await self._reader.read()
            return True
        else:
            async for chunk in self._body():
                request.body += chunk
            await self._document(*self._server.answer(request))
        return False

    async def _upgrade(self, request: Seen) -> None:
        protocol = request.values("upgrade")[0]
        headers = [("connection", "Upgrade"), ("upgrade", protocol), ("x-protocol", "v5.channel.k8s.io")]
        await self._send(h11.InformationalResponse(status_code=101, headers=headers))
        self._writer.write(b"welcome ")
        while data := await self._reader.read(65536):
            self._writer.write(data)
            await self._writer.drain()
            if data == b"bye":
                return

    async def _big(self, size: int, line: bool) -> None:
        await self._send(h11.Response(status_code=200, headers=[("transfer-encoding", "chunked")]))
        chunk = b"x" * 65536 if line else bytes(range(256)) * 256
        for start in range(0, size, len(chunk)):
            await self._send(h11.Data(data=chunk[: size - start]))
        await self._send(h11.EndOfMessage())

    async def _echo(self) -> None:
        await self._send(h11.Response(status_code=200, headers=[("transfer-encoding", "chunked")]))
        async for chunk in self._body():
            await self._send(h11.Data(data=chunk))
        await self._send(h11.EndOfMessage())

    async def _document(self, code: int, value: Any) -> None:
        content = json.dumps(value).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(content)))]
        await self._send(h11.Response(status_code=code, headers=headers))
        if self._server.seen[-1].method != "HEAD":
            await self._send(h11.Data(data=content))
        await self._send(h11.EndOfMessage())

    async def _body(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(65536))
        return event

    async def _send(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()


__all__ = ["KubeApiServer", "Seen", "status"]
