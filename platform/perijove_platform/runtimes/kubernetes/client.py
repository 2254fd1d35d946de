"""The Kubernetes API, as much of it as this package uses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from perijove_platform.runtimes.kubernetes.failures import (
    Invalid,
    NotFound,
    ServerFailed,
    Unreachable,
    error_of,
    status_error,
)
from perijove_platform.runtimes.kubernetes.objects import PODS, Object, ResourceType, get, name_of, namespace_of
from perijove_platform.runtimes.kubernetes.transport import Headers, Transport

FIELD_MANAGER = "perijove"
Propagation = Literal["Foreground", "Background", "Orphan"]
Query = Mapping[str, str | int | bool | None]

_PAGE = 200
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_MAX_EVENT_BYTES = 16 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024
_ACCEPT: Headers = (("accept", "application/json"),)


@dataclass(frozen=True)
class Page:
    """Some of a list's objects.

    Attributes:
        resource_version: of the whole list, from which a watch goes on.
        more: whether another page follows.
    """

    items: list[Object]
    resource_version: str
    more: bool


@dataclass(frozen=True)
class WatchEvent:
    """One line of a watch; `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class KubernetesClient:
    """Requests to one API server. Every method raises `failures.KubernetesError` or `failures.Unreachable`.

    Args:
        timeout_seconds: of a request that is not a stream.
    """

    def __init__(self, transport: Transport, *, timeout_seconds: float = 30.0) -> None:
        self.transport = transport
        self._timeout = timeout_seconds

    async def get(self, type: ResourceType, name: str, namespace: str | None = None) -> Object:
        return await self.read(type.path(namespace, name))

    async def read(self, path: str) -> Object:
        """Any path that answers with a JSON object, as ``/version``."""
        return await self._json("GET", path)

    async def list(
        self,
        type: ResourceType,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        page_size: int = _PAGE,
    ) -> AsyncGenerator[Page]:
        """The objects, page by page, all as of one moment.

        Raises:
            Gone: the pages took too long to read; begin again.
        """
        token: str | None = None
        while True:
            query: dict[str, str | int | bool | None] = {
                "labelSelector": labels,
                "fieldSelector": fields,
                "limit": page_size,
                "continue": token,
            }
            found = await self._json("GET", _with_query(type.path(namespace), query))
            token = get(found, "metadata", "continue") or None
            version = str(get(found, "metadata", "resourceVersion", default=""))
            yield Page(list(get(found, "items", default=())), version, token is not None)
            if token is None:
                return

    async def apply(self, type: ResourceType, manifest: Object, *, force: bool = True) -> Object:
        """Server-side apply: make the object, or make those of its fields that `manifest` names so.

        Args:
            force: take over fields that another manager owns, instead of raising `Conflict`.
        """
        path = type.path(namespace_of(manifest), name_of(manifest))
        query: Query = {"fieldManager": FIELD_MANAGER, "force": force}
        return await self._json("PATCH", _with_query(path, query), manifest, "application/apply-patch+yaml")

    async def patch(
        self, type: ResourceType, name: str, patch: Object, namespace: str | None = None, subresource: str | None = None
    ) -> Object:
        """A JSON merge patch."""
        path = _with_query(type.path(namespace, name, subresource), {"fieldManager": FIELD_MANAGER})
        return await self._json("PATCH", path, patch, "application/merge-patch+json")

    async def delete(
        self,
        type: ResourceType,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> bool:
        """Delete an object; false when there is none.

        Args:
            grace_seconds: that a pod has to end; ``None`` leaves what it asks for itself.
            uid: only the object that has it: another one of that name stays.
        """
        options: dict[str, Any] = {"propagationPolicy": propagation}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._json("DELETE", type.path(namespace, name), options, "application/json")
        except NotFound:
            return False
        return True

    async def watch(
        self,
        type: ResourceType,
        resource_version: str,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        seconds: int = 300,
        silence_seconds: float = 150.0,
    ) -> AsyncGenerator[WatchEvent]:
        """What happens after `resource_version`, with bookmarks, until the server ends the watch.

        Args:
            seconds: after which the server is asked to end it.
            silence_seconds: without even a bookmark, after which it counts as broken.

        Raises:
            Gone: that version is no longer kept.
        """
        query: Query = {
            "watch": True,
            "allowWatchBookmarks": True,
            "resourceVersion": resource_version,
            "labelSelector": labels,
            "fieldSelector": fields,
            "timeoutSeconds": seconds,
        }
        chunks = self.stream(_with_query(type.path(namespace), query), silence_seconds=silence_seconds)
        async with aclosing(chunks), aclosing(_lines(chunks, _MAX_EVENT_BYTES)) as lines:
            async for line in lines:
                event = _object(line)
                item = get(event, "object", default={})
                if event.get("type") == "ERROR":
                    raise status_error(item)
                yield WatchEvent(str(event.get("type")), item)

    async def log(
        self,
        pod: str,
        namespace: str,
        *,
        container: str | None = None,
        follow: bool = False,
        since: str | None = None,
        timestamps: bool = True,
    ) -> AsyncGenerator[bytes]:
        """A container's log in chunks as they come, not in lines.

        Args:
            since: a time as Kubernetes writes it; API servers look at whole seconds only.

        Raises:
            Invalid: the container has not begun yet.
        """
        query: Query = {"container": container, "follow": follow, "timestamps": timestamps, "sinceTime": since}
        async with aclosing(self.stream(_with_query(PODS.path(namespace, pod, "log"), query))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def stream(self, path: str, *, silence_seconds: float | None = None) -> AsyncGenerator[bytes]:
        """The chunks of an answer, for as long as it lasts."""
        async with self.transport.exchange("GET", path, (("accept", "*/*"),)) as exchange:
            if exchange.status >= 400:
                body = await _gather(exchange.chunks, _MAX_ERROR_BYTES)
                raise error_of(exchange.status, body, exchange.headers.get("retry-after"))
            chunks = aiter(exchange.chunks)
            while True:
                try:
                    async with asyncio.timeout(silence_seconds):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise Unreachable(f"nothing was heard for {silence_seconds:.0f} s") from None
                yield chunk

    async def _json(
        self, method: str, path: str, body: Object | None = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        headers = _ACCEPT if body is None else (*_ACCEPT, ("content-type", content_type))
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self.transport.exchange(method, path, headers, data) as exchange,
            ):
                answer = await _gather(exchange.chunks, _MAX_ANSWER_BYTES)
        except TimeoutError:
            raise Unreachable(f"the API server did not answer within {self._timeout:.0f} s") from None
        if exchange.status >= 400:
            raise error_of(exchange.status, answer, exchange.headers.get("retry-after"))
        return _object(answer)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise ServerFailed(502, "", f"the API server's answer is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ServerFailed(502, "", "the API server's answer is not a JSON object")
    return found


async def _gather(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            raise Invalid(502, "", f"the API server's answer has more than {limit} bytes")
    return b"".join(parts)


async def _lines(chunks: AsyncIterator[bytes], limit: int) -> AsyncGenerator[bytes]:
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line = b"".join((*held, end))
            held, size = [], 0
            if line:
                yield line
        if rest:
            held.append(rest)
            size += len(rest)
            if size > limit:
                raise Invalid(502, "", f"an event of a watch has more than {limit} bytes")


def _with_query(path: str, query: Query) -> str:
    wanted = [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in query.items()
        if value is not None and value is not False and value != ""
    ]
    return f"{path}?{urlencode(wanted)}" if wanted else path
