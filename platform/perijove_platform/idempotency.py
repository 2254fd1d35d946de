"""`Idempotency-Key`: a POST that is sent again does nothing again and is answered with the first answer.

After the IETF draft "The Idempotency-Key HTTP Header Field". What is kept is the JSON answer of a request that
succeeded; one that failed, or that a crash cut off, leaves its key free, and so does one whose answer holds a secret
(`Cache-Control: no-store`). The inference routes create nothing, so there the header changes nothing.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perijove_platform import errors
from perijove_platform.database import Base, Database, Owned, now
from perijove_platform.ids import new_id
from perijove_platform.rbac import Authenticator, Caller

logger = logging.getLogger(__name__)

KEEP_SECONDS = 24 * 3600
MAX_KEY = 255
MAX_BODY = 1024 * 1024
WAIT_SECONDS = 60.0
LEASE_SECONDS = 60
_PRUNE_EVERY = 100
_DRAIN_BYTES = 64 * 1024 * 1024
_INFERENCE = ("/v1/chat/", "/v1/completions", "/v1/embeddings", "/v1/responses")


class IdempotencyRow(Owned, Base):
    """One key of one caller for one route.

    Attributes:
        digest: of caller, method, path and key.
        request: digest of what was sent.
        owner: the run of the platform that works on it; `status` is ``None`` meanwhile.
        lease_until: past it, another run may take over.
    """

    __tablename__ = "idempotency_keys"

    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    request: Mapped[str] = mapped_column(sa.String(64))
    owner: Mapped[str] = mapped_column(sa.String(64))
    lease_until: Mapped[int] = mapped_column(sa.BigInteger)
    status: Mapped[int | None]
    content_type: Mapped[str | None] = mapped_column(sa.String(255))
    body: Mapped[bytes | None] = mapped_column(sa.LargeBinary)


class _Refused(Exception):
    """The key itself cannot be honoured; the application has not been called."""

    def __init__(self, error: errors.ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class IdempotencyMiddleware:
    """Wraps the application; reads `database` and `authenticator` from the application's state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._owner = new_id("run_")
        self._running: dict[str, asyncio.Event] = {}
        self._claims = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key_of(scope)
        caller = await _caller_of(scope) if key is not None else None
        if key is None or caller is None:
            await self._app(scope, receive, send)
            return
        request, receive = await _fingerprint(scope, receive)
        try:
            await self._handle(key, request, caller, scope, receive, send)
        except _Refused as refused:
            await _drain(receive)
            await errors.respond(refused.error)(scope, receive, send)

    async def _handle(self, key: str, request: str, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        if not 0 < len(key) <= MAX_KEY or not key.isprintable():
            message = f"'Idempotency-Key' has 1 to {MAX_KEY} printable characters. A UUID is a good one."
            raise _Refused(errors.BadRequest(message, param="Idempotency-Key"))
        database: Database = scope["app"].state.database
        named = "\n".join((caller.project_id, caller.user_id, scope["method"], scope["path"], key))
        digest = hashlib.sha256(named.encode()).hexdigest()
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            known = await self._claim(database, digest, request, caller)
            if known is None:
                await self._run(database, digest, scope, receive, send)
                return
            if known.request != request:
                message = (
                    "This Idempotency-Key was used for a different request on this route. "
                    "Take a new key for a new request; send the same content to repeat one."
                )
                raise _Refused(errors.Unprocessable(message, param="Idempotency-Key", code="idempotency_key_reused"))
            if known.status is not None:
                await _drain(receive)
                await _replay(known)(scope, receive, send)
                return
            await self._wait(digest, deadline)

    async def _wait(self, digest: str, deadline: float) -> None:
        """Until the first request with this key has ended, here or in another replica."""
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            message = "The first request with this Idempotency-Key is still running. Send it again later."
            raise _Refused(errors.Conflict(message, param="Idempotency-Key", headers={"Retry-After": "10"}))
        event = self._running.get(digest)
        if event is None:
            # Another replica has it, and nothing tells when it ends.
            await asyncio.sleep(min(left, 0.5))
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), left)

    async def _claim(self, database: Database, digest: str, request: str, caller: Caller) -> IdempotencyRow | None:
        """``None`` when the request is ours to run now, else what is known of the key."""
        # On SQLite there is one platform: a row of an earlier run is what a crash left.
        alone = database.engine.dialect.name == "sqlite"
        try:
            async with database.write() as session:
                row = await session.get(IdempotencyRow, digest, with_for_update=True)
                if row is not None:
                    crashed = row.status is None and row.owner != self._owner and (alone or row.lease_until < now())
                    if not crashed and row.created_at > now() - KEEP_SECONDS:
                        return row
                    await session.delete(row)
                    await session.flush()
                self._claims += 1
                if self._claims % _PRUNE_EVERY == 0:
                    old = IdempotencyRow.created_at <= now() - KEEP_SECONDS
                    await session.execute(sa.delete(IdempotencyRow).where(old))
                session.add(
                    IdempotencyRow(
                        digest=digest,
                        organization_id=caller.organization_id,
                        project_id=caller.project_id,
                        created_by=caller.user_id,
                        request=request,
                        owner=self._owner,
                        lease_until=now() + LEASE_SECONDS,
                    )
                )
        except IntegrityError:
            # Another replica was faster by a moment.
            async with database.read() as session:
                return await session.get(IdempotencyRow, digest)
        return None

    async def _run(self, database: Database, digest: str, scope: Scope, receive: Receive, send: Send) -> None:
        recorder = _Recorder(send)
        done = self._running[digest] = asyncio.Event()
        kept = False
        try:
            async with self._leased(database, digest):
                await self._app(scope, receive, recorder)
            if recorder.recorded:
                await self._keep(database, digest, recorder)
                kept = True
        finally:
            if not kept:
                await asyncio.shield(self._forget(database, digest))
            del self._running[digest]
            done.set()
        await recorder.release()

    @asynccontextmanager
    async def _leased(self, database: Database, digest: str) -> AsyncIterator[None]:
        renewing = asyncio.create_task(self._renew(database, digest))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self, database: Database, digest: str) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            async with database.write() as session:
                mine = sa.update(IdempotencyRow).where(IdempotencyRow.digest == digest)
                await session.execute(mine.values(lease_until=now() + LEASE_SECONDS))

    async def _keep(self, database: Database, digest: str, recorder: "_Recorder") -> None:
        async with database.write() as session:
            await session.execute(
                sa.update(IdempotencyRow)
                .where(IdempotencyRow.digest == digest)
                .values(status=recorder.status, content_type=recorder.content_type, body=bytes(recorder.body))
            )

    async def _forget(self, database: Database, digest: str) -> None:
        try:
            async with database.write() as session:
                await session.execute(
                    sa.delete(IdempotencyRow).where(
                        IdempotencyRow.digest == digest, IdempotencyRow.owner == self._owner
                    )
                )
        except SQLAlchemyError:
            # The key stays taken until its lease ends or the platform starts again.
            logger.exception("An Idempotency-Key could not be freed")


class _Recorder:
    """Holds a small JSON answer of a success back until it is kept; every other answer passes at once."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self.status = 0
        self.content_type = ""
        self.body = bytearray()
        self.recorded = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = Headers(raw=message["headers"])
            self.content_type = headers.get("content-type", "")
            json_answer = 200 <= self.status < 300 and self.content_type.startswith("application/json")
            if json_answer and "no-store" not in headers.get("cache-control", ""):
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self.body += message.get("body", b"")
            if message.get("more_body"):
                if len(self.body) > MAX_BODY:
                    await self._pass_on(more=True)
                return
            self.recorded = len(self.body) <= MAX_BODY
            if not self.recorded:
                await self._pass_on(more=False)
            return
        await self._send(message)

    async def _pass_on(self, *, more: bool) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self._send(start)
            await self._send({"type": "http.response.body", "body": bytes(self.body), "more_body": more})

    async def release(self) -> None:
        """Send what was held back."""
        await self._pass_on(more=False)


def _key_of(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].startswith(_INFERENCE):
        return None
    return Headers(scope=scope).get("idempotency-key")


async def _caller_of(scope: Scope) -> Caller | None:
    """Who asks; ``None`` leaves the refusal to the route."""
    kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        return None
    authenticator: Authenticator = scope["app"].state.authenticator
    return await authenticator.authenticate(token.strip())


async def _fingerprint(scope: Scope, receive: Receive) -> tuple[str, Receive]:
    """A digest of the request, and a `receive` that gives what was read for it again.

    Of a small JSON body its content; of anything else, since it is not held, its query, type and length.
    """
    headers = Headers(scope=scope)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    length = headers.get("content-length", "")
    digest = hashlib.sha256(json.dumps([scope["query_string"].decode("latin-1"), kind, length]).encode())
    if kind != "application/json" or not length.isdecimal() or int(length) > MAX_BODY:
        return digest.hexdigest(), receive
    read: list[Message] = []
    while True:
        message = await receive()
        read.append(message)
        digest.update(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    read.reverse()

    async def again() -> Message:
        return read.pop() if read else await receive()

    return digest.hexdigest(), again


async def _drain(receive: Receive) -> None:
    """Take a bounded rest of the body, so that a client that still sends gets to read the answer."""
    left = _DRAIN_BYTES
    while left > 0:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
        left -= len(message.get("body", b""))


def _replay(row: IdempotencyRow) -> Response:
    headers = {"Idempotent-Replayed": "true", "content-type": row.content_type or "application/json"}
    return Response(row.body or b"", status_code=row.status or 200, headers=headers)
