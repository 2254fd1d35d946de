"""A small https server that answers a few paths as Kubernetes' API does, so that real kubectl can talk to it.

It is a STAND-IN: the real kube-apiserver is used in `tests/cluster/`. Raw, since an exec over SPDY is beyond ASGI.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

_POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "web", "namespace": "default", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    "status": {"phase": "Running", "containerStatuses": []},
}
_RESOURCES = [
    {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list", "watch"]},
    {"name": "pods/log", "singularName": "", "namespaced": True, "kind": "Pod", "verbs": ["get"]},
    {"name": "pods/exec", "singularName": "", "namespaced": True, "kind": "PodExecOptions", "verbs": ["create", "get"]},
]
_DOCUMENTS: dict[str, Any] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.4"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": _RESOURCES},
    "/api/v1/namespaces/default/pods": {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [_POD]},
    "/api/v1/namespaces/default/pods/web": _POD,
}


class Request:
    """A request's head, and its connection."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = head.decode().strip().split("\r\n")
        self.method, target, _ = first.split(" ")
        self.path, _, self.query = target.partition("?")
        self.headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        self.named = dict(self.headers)
        self.reader = reader
        self.writer = writer

    async def body(self) -> AsyncIterator[bytes]:
        if "content-length" in self.named:
            left = int(self.named["content-length"])
            while left and (data := await self.reader.read(min(left, 65536))):
                left -= len(data)
                yield data
        elif self.named.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()


class StandInApiServer:
    """See the module.

    Attributes:
        requests: what arrived.
        lines: of the log that is followed; it ends with ``None``.
        hold: the echo after an upgrade waits for it before it reads, and so does the answer about a pod ``slow``.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate, key)
        self.port = 0
        self.requests: list[Request] = []
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.hold = asyncio.Event()
        self.hold.set()

    async def __aenter__(self) -> "StandInApiServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                request = Request(await reader.readuntil(b"\r\n\r\n"), reader, writer)
                self.requests.append(request)
                if "upgrade" in request.named:
                    await self._upgrade(request)
                    break
                await self._answer(request)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            writer.close()

    async def _answer(self, request: Request) -> None:
        digest = hashlib.sha256()
        async for data in request.body():
            digest.update(data)
        if request.path.endswith(("/log", "/broken")):
            await self._stream(request, breaks=request.path.endswith("/broken"))
            return
        status, document = 200, _DOCUMENTS.get(request.path)
        if request.path.endswith("/slow"):
            await self.hold.wait()
        if request.path == "/echo":
            document = {"sha256": digest.hexdigest(), "headers": request.headers, "query": request.query}
        if "/secrets/" in request.path:
            status, document = 403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "is forbidden"}
        if document is None:
            status = 404
            document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"}
            document["message"] = f'no "{request.path}" here'
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        head += "connection: keep-alive\r\nx-hop: 1\r\n\r\n"
        request.writer.write(head.encode() + (b"" if request.method == "HEAD" else body))
        await request.writer.drain()

    async def _stream(self, request: Request, *, breaks: bool) -> None:
        request.writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        while (line := await self.lines.get()) is not None:
            request.writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            await request.writer.drain()
        if breaks:
            request.writer.transport.abort()
            raise ConnectionResetError
        request.writer.write(b"0\r\n\r\n")

    async def _upgrade(self, request: Request) -> None:
        wanted = request.named["upgrade"]
        if request.path == "/echo-refused":
            request.writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\n\r\nno exec for you")
            await request.writer.drain()
            return
        lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", f"Upgrade: {wanted}"]
        if wanted.lower() == "websocket":
            key = request.named["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            lines += [f"Sec-WebSocket-Accept: {accept}", "Sec-WebSocket-Protocol: v5.channel.k8s.io"]
        request.writer.write("\r\n".join([*lines, "", ""]).encode())
        if request.path.endswith("/exec"):
            await self._exec(request)
            return
        while True:
            await self.hold.wait()
            data = await request.reader.read(65536)
            if not data:
                break
            request.writer.write(data)
            await request.writer.drain()

    async def _exec(self, request: Request) -> None:
        """What a container says over `v5.channel.k8s.io`: a line, then that it ended well."""
        success = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}).encode()
        for message in (b"\x01said in the container\n", b"\x03" + success):
            request.writer.write(bytes([0x82, len(message)]) + message)
        request.writer.write(bytes([0x88, 2]) + (1000).to_bytes(2, "big"))
        await request.writer.drain()
        await request.reader.read(65536)
