"""The `kubernetes` target: one HTTP exchange with the kube-apiserver, streamed both ways."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import h11

from perijove_platform.agent.apiserver import ApiServer, HttpConnection, Unreachable
from perijove_platform.agent.relay import relay
from perijove_platform.agent.requests import HOP_BY_HOP, BadTarget, KubernetesRequest, parse
from perijove_platform.agent.sockets import Socket
from perijove_platform.tunnel import Stream, StreamReset

# What may be sent a second time, when a connection that was used before turns out to be closed.
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
_END_HERE = frozenset(name.encode() for name in HOP_BY_HOP)


class _NotSent(Exception):
    """The connection was gone before it carried the request."""


class _Switched(NamedTuple):
    """A connection that has become another protocol's.

    Attributes:
        leading: what the kube-apiserver has sent of it already.
    """

    socket: Socket
    leading: bytes


class KubernetesTarget:
    """Opens streams to the kube-apiserver, adding the agent's token here and nowhere else."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    async def serve(self, stream: Stream, target: Mapping[str, Any]) -> None:
        """Carry the exchange to its end; a reset says why it could not be."""
        try:
            request = parse(target)
            del target  # there may be thousands of streams, for hours
            body = await self._first_of_body(stream, request)
            try:
                switched = await self._exchange(stream, request, body)
            except _NotSent:
                switched = await self._exchange(stream, request, body, fresh=True)
            if switched is not None:
                del request
                await relay(stream, switched.socket, leading=switched.leading, half_close=False)
        except StreamReset:
            raise
        except (BadTarget, h11.LocalProtocolError) as error:
            stream.reset("bad_target", str(error))
        except Unreachable as error:
            stream.reset("dial_failed", str(error))
        except (OSError, h11.RemoteProtocolError) as error:
            code = "target_lost" if stream.opened.done() else "dial_failed"
            stream.reset(code, f"The kube-apiserver broke off: {error or type(error).__name__}.")

    async def _first_of_body(self, stream: Stream, request: KubernetesRequest) -> bytes | None:
        """How the body begins; ``None`` when there is none."""
        asks_only = request.method in REPEATABLE and not request.chunked and request.content_length is None
        if request.upgrade is not None or request.content_length == 0 or asks_only:
            return None
        return await stream.read() or None

    async def _exchange(
        self, stream: Stream, request: KubernetesRequest, body: bytes | None, *, fresh: bool = False
    ) -> "_Switched | None":
        """Carry one exchange to its end, or to where the connection speaks another protocol."""
        connection = await self._server.connect(fresh=fresh)
        upload: asyncio.Task[None] | None = None
        switched: _Switched | None = None
        try:
            try:
                await connection.send(
                    h11.Request(method=request.method, target=request.path, headers=self._head(request, body))
                )
                if body is None:
                    await connection.send(h11.EndOfMessage())
                else:
                    upload = asyncio.create_task(_upload(stream, connection, body))
                head = await connection.head()
            except (OSError, h11.RemoteProtocolError) as error:
                if upload is not None and upload.done():
                    upload.result()
                elif connection.idle_since and body is None and request.method in REPEATABLE and not fresh:
                    raise _NotSent from error
                raise
            switched = await self._answer(stream, connection, head)
            return switched
        finally:
            if upload is not None:
                upload.cancel()
                await asyncio.gather(upload, return_exceptions=True)
            if switched is None:
                self._server.release(connection)

    def _head(self, request: KubernetesRequest, body: bytes | None) -> list[tuple[bytes, bytes]]:
        headers = [(b"host", self._server.authority), *request.headers, self._server.credentials()]
        if request.upgrade is not None:
            headers += [(b"connection", b"Upgrade"), (b"upgrade", request.upgrade)]
        if request.content_length is not None:
            headers.append((b"content-length", str(request.content_length).encode()))
        elif body is not None:
            headers.append((b"transfer-encoding", b"chunked"))
        elif request.method in ("POST", "PUT", "PATCH"):
            headers.append((b"content-length", b"0"))
        return headers

    async def _answer(
        self, stream: Stream, connection: HttpConnection, head: h11.Response | h11.InformationalResponse
    ) -> "_Switched | None":
        switched = head.status_code == 101
        headers = [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, value in head.headers
            if switched or name not in _END_HERE
        ]
        try:
            stream.accept({"status": head.status_code, "headers": headers})
        except ValueError:
            raise h11.RemoteProtocolError("the head of its answer is too large") from None
        if switched:
            return _Switched(connection.socket, connection.state.trailing_data[0])
        async for chunk in connection.body():
            await stream.write(chunk)
        stream.finish()
        return None


async def _upload(stream: Stream, connection: HttpConnection, first: bytes) -> None:
    """Send the body as it comes. A server that stops taking it may have answered already, which is read elsewhere."""
    data = first
    try:
        while data:
            await connection.send(h11.Data(data=data))
            data = await stream.read()
        await connection.send(h11.EndOfMessage())
    except (StreamReset, h11.LocalProtocolError):
        connection.socket.close()
        raise
    except OSError:
        return
