"""kubectl's way into a cluster: `/v1/sessions/{cluster}` is a Kubernetes API server, streamed both ways."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.datastructures import Headers as RequestHeaders
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from perijove_platform.errors import ApiError
from perijove_platform.rbac import Caller
from perijove_platform.runtimes.kubernetes.manifests import namespace_name
from perijove_platform.sessions.kubernetes import (
    Headers,
    answer_head,
    project_namespace,
    request_headers,
    response_headers,
    status_object,
    switching_head,
    verb_of,
    warning,
)
from perijove_platform.sessions.requests import KEY_ENDED
from perijove_platform.sessions.upgrade import PREFIX, Connection, RawConnection, connection_of
from perijove_platform.tunnel import Stream, StreamReset

logger = logging.getLogger(__name__)

_NO_SUCH_CLUSTER = "There is no cluster '{}'. `perijove kubeconfig` writes the address of one that you can use."
_NO_SESSION = (
    "The session token is missing, not valid or expired, or its API key was revoked. `perijove kube-token` gives one; "
    "kubectl asks by itself."
)
_NOT_YOURS = "There is no namespace '{}' for you. That of your project is '{}'."
_STATUSES = {
    "bad_target": 400,
    KEY_ENDED: 401,
    "cluster_unreachable": 503,
    "link_lost": 503,
    "too_many_streams": 503,
    "dial_failed": 502,
}
_CLIENT_GONE = 499
"""What the audit log says of a request whose client has gone before the answer. No such status is ever sent."""


@dataclass(frozen=True)
class Session:
    """Who uses the proxy.

    Attributes:
        cluster: the only one that the token is good for; ``None`` for any of the caller's organization.
    """

    caller: Caller
    cluster: str | None


class Gate(Protocol):
    """What the proxy asks: who it is, whether the cluster is theirs, the way there and back, and to remember it."""

    async def session_of(self, token: str) -> Session | None: ...

    async def may_use(self, session: Session, cluster_id: str) -> bool: ...

    async def open(self, caller: Caller, cluster_id: str, target: Mapping[str, Any]) -> Stream: ...

    def done(self, stream: Stream) -> None: ...

    async def record(self, caller: Caller, *, cluster: str, verb: str, path: str, status: int) -> None: ...


class _Failed(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _GoneAway(Exception):
    """The client closed its connection."""


class KubernetesProxy:
    """An ASGI application; its gate is `app.state.sessions`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gate: Gate = scope["app"].state.sessions
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        raw = raw.removeprefix(scope.get("root_path", "").encode())
        if not raw.startswith(PREFIX):  # slashes that are encoded: the route matches what they stand for
            raise HTTPException(404)
        await _Exchange(gate, raw.removeprefix(PREFIX).decode("latin-1"), scope, receive, send).run()


class _Exchange:
    """One request and its answer.

    Args:
        place: the cluster and the path there, still percent-encoded.
    """

    def __init__(self, gate: Gate, place: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._gate = gate
        self._scope = scope
        self._receive = receive
        self._send = send
        self._connection: Connection | None = connection_of(scope)
        self._method: str = scope["method"]
        self._cluster, _, rest = place.partition("/")
        self._path = "/" + rest

    @property
    def _upgrades(self) -> bool:
        return self._connection is not None and self._connection.upgrade is not None

    async def run(self) -> None:
        session: Session | None = None
        try:
            session = await self._session()
            stream = await self._open(session)
            try:
                await self._pass_on(stream, session)
            finally:
                self._gate.done(stream)
        except _Failed as failure:
            if session is not None:
                await self._remember(session, failure.status)
            await self._fail(failure)
        except _GoneAway:
            pass

    async def _session(self) -> Session:
        kind, _, token = RequestHeaders(scope=self._scope).get("authorization", "").partition(" ")
        session = await self._gate.session_of(token.strip()) if kind.lower() == "bearer" else None
        if session is None:
            raise _Failed(401, _NO_SESSION)
        return session

    async def _remember(self, session: Session, status: int) -> None:
        query: bytes = self._scope.get("query_string", b"")
        verb = verb_of(self._method, self._path, query)
        await self._gate.record(session.caller, cluster=self._cluster, verb=verb, path=self._path, status=status)

    async def _open(self, session: Session) -> Stream:
        if not await self._gate.may_use(session, self._cluster):
            raise _Failed(404, _NO_SUCH_CLUSTER.format(self._cluster))
        query: bytes = self._scope.get("query_string", b"")
        target = {
            "kind": "kubernetes",
            "method": self._method,
            "path": self._path + ("?" + query.decode("latin-1") if query else ""),
            "headers": request_headers(self._scope["headers"], upgrade=self._upgrades),
            "as": impersonation(session.caller),
        }
        try:
            return await self._gate.open(session.caller, self._cluster, target)
        except ApiError as error:
            raise _Failed(error.status, error.message) from None
        except StreamReset as error:
            raise _Failed(_STATUSES.get(error.code, 502), error.message) from None

    async def _pass_on(self, stream: Stream, session: Session) -> None:
        upload = asyncio.create_task(self._upload(stream))
        try:
            status, headers = await self._head(stream, session, upload)
            if status == 403:
                self._hide_others(session)
            await self._remember(session, status)
            if status == 101 and self._upgrades:
                await _stop(upload)
                await self._switch(stream, headers)
            else:
                await self._answer(stream, status, headers)
            if stream.failure is not None and stream.failure.code == KEY_ENDED:
                await self._remember(session, 401)
        finally:
            await _stop(upload)

    def _hide_others(self, session: Session) -> None:
        """What Kubernetes keeps from a person in another project's namespace is, to them, not there."""
        namespace, own = project_namespace(self._path), namespace_name(session.caller.project_id)
        if namespace is not None and namespace != own:
            raise _Failed(404, _NOT_YOURS.format(namespace, own))

    async def _head(self, stream: Stream, session: Session, upload: "asyncio.Task[None]") -> tuple[int, Headers]:
        """The answer's status and headers, when the cluster has answered."""
        try:
            await stream.wait_opened()
        except StreamReset as error:
            if upload.done():
                if isinstance(upload.exception(), _GoneAway):
                    await self._remember(session, _CLIENT_GONE)
                upload.result()
            raise _Failed(_STATUSES.get(error.code, 502), error.message) from None
        try:
            return answer_head(stream.info, upgrade=self._upgrades)
        except ValueError as error:
            raise _Failed(502, f"The cluster's agent passed on what is no answer: {error}.") from None

    async def _upload(self, stream: Stream) -> None:
        """Send the request's body, then wait for the client's going and end the stream."""
        more = not self._upgrades
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                stream.reset("cancelled", "The client closed its connection.")
                raise _GoneAway
            if more:
                with contextlib.suppress(StreamReset):
                    await stream.write(event.get("body", b""))
                more = bool(event.get("more_body"))
                if not more:
                    stream.finish()

    async def _answer(self, stream: Stream, status: int, headers: Headers) -> None:
        try:
            start = {"type": "http.response.start", "status": status, "headers": response_headers(headers)}
            await self._send(start)
            while chunk := await stream.read():
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        except StreamReset as error:
            self._break_off(error)
            return
        await self._send({"type": "http.response.body", "body": b""})

    def _break_off(self, error: StreamReset) -> None:
        """Cut the connection: what was sent is not the whole answer."""
        if error.code == "cancelled":  # by the client, which is not there any more
            return
        if self._connection is None:
            raise error
        logger.info("The answer to %s %s broke off: %s", self._method, self._path, error.message)
        self._connection.abort()

    async def _switch(self, stream: Stream, headers: Headers) -> None:
        assert self._connection is not None
        try:
            raw = self._connection.take(switching_head(headers))
        except ConnectionError:
            raise _GoneAway from None
        await _relay(raw, stream)

    async def _fail(self, failure: _Failed) -> None:
        body = status_object(failure.status, failure.message)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"warning", warning(failure.message)),
        ]
        if failure.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await self._send({"type": "http.response.start", "status": failure.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def impersonation(caller: Caller) -> dict[str, Any]:
    """Whom Kubernetes takes the caller for."""
    return {
        "user": f"perijove:{caller.user_id}",
        "groups": [f"perijove:project:{caller.project_id}", f"perijove:organization:{caller.organization_id}"],
        "extra": {"perijove.dev/email": [caller.user_name]},
    }


async def _relay(raw: RawConnection, stream: Stream) -> None:
    """Bytes both ways until either end is done."""

    async def up() -> None:
        while data := await raw.read():
            await stream.write(data)

    async def down() -> None:
        while data := await stream.read():
            await raw.write(data)

    pumps = [asyncio.create_task(up()), asyncio.create_task(down())]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        raw.close()


async def _stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
