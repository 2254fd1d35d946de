"""How requests get to an API server: through the tunnel, or straight to it.

`TunnelTransport` is what the platform uses. `DirectTransport` is for an operator who runs the platform inside the
cluster, and for tests.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from perijove_platform.errors import Unavailable
from perijove_platform.runtimes.kubernetes.base import Tunnels
from perijove_platform.runtimes.kubernetes.failures import Unreachable
from perijove_platform.tunnel import StreamReset

if TYPE_CHECKING:
    import httpx

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Exchange:
    """An answer whose body is still coming.

    Attributes:
        headers: by lower-case name.
        chunks: the body; raises `Unreachable` where it breaks off.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Transport(Protocol):
    """One API server."""

    def exchange(
        self, method: str, path: str, headers: Headers = (), body: bytes = b""
    ) -> AbstractAsyncContextManager[Exchange]:
        """Send a request and give the answer once its head is there. Leaving the context ends it.

        Args:
            path: with query.

        Raises:
            Unreachable: the server does not answer.
        """
        ...

    def reachable(self) -> bool:
        """Whether there is a way to the server, as far as is known."""
        ...

    async def wait_reachable(self) -> None: ...

    async def close(self) -> None: ...


class TunnelTransport:
    """Requests as streams of the target kind ``kubernetes``, in the agent's own name."""

    def __init__(self, tunnels: Tunnels, cluster_id: str) -> None:
        self._tunnels = tunnels
        self._cluster_id = cluster_id
        self._connected = asyncio.Event()

    def reachable(self) -> bool:
        return self._connected.is_set()

    async def wait_reachable(self) -> None:
        await self._connected.wait()

    def set_connected(self, connected: bool) -> None:
        """What `Tunnels.watch` says of the cluster."""
        if connected:
            self._connected.set()
        else:
            self._connected.clear()

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: str, path: str, headers: Headers = (), body: bytes = b""
    ) -> AsyncIterator[Exchange]:
        sent = [list(header) for header in headers]
        if body:
            sent.append(["content-length", str(len(body))])
        target = {"kind": "kubernetes", "method": method, "path": path, "headers": sent}
        try:
            stream = await self._tunnels.open(self._cluster_id, target)
        except (StreamReset, Unavailable) as error:
            raise Unreachable(str(error)) from error
        try:
            try:
                if body:
                    await stream.write(body)
                stream.finish()
                await stream.wait_opened()
            except StreamReset as error:
                raise Unreachable(error.message) from error
            told = stream.info.get("headers") or []
            yield Exchange(
                status=int(stream.info.get("status") or 502),
                headers={str(name).lower(): str(value) for name, value in told},
                chunks=_stream_chunks(stream.read),
            )
        finally:
            stream.reset()

    async def close(self) -> None:
        """Nothing: the tunnel is others'."""


class _Read(Protocol):
    async def __call__(self) -> bytes: ...


async def _stream_chunks(read: _Read) -> AsyncIterator[bytes]:
    try:
        while chunk := await read():
            yield chunk
    except StreamReset as error:
        raise Unreachable(error.message) from error


class DirectTransport:
    """Requests straight to an API server that can be dialled; see `kubeconfig.connect`.

    Args:
        token_file: read anew for each request, since Kubernetes replaces a pod's token while it runs.
    """

    def __init__(self, client: httpx.AsyncClient, *, token_file: str | None = None) -> None:
        self._client = client
        self._token_file = token_file

    def reachable(self) -> bool:
        return True

    async def wait_reachable(self) -> None:
        return

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: str, path: str, headers: Headers = (), body: bytes = b""
    ) -> AsyncIterator[Exchange]:
        import httpx

        sent = list(headers)
        if self._token_file is not None:
            sent.append(("authorization", f"Bearer {await asyncio.to_thread(_read, self._token_file)}"))
        try:
            async with self._client.stream(method, path, headers=sent, content=body) as response:
                yield Exchange(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    chunks=_response_chunks(response),
                )
        except httpx.TransportError as error:
            raise Unreachable(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        await self._client.aclose()


async def _response_chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    import httpx

    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except httpx.TransportError as error:
        raise Unreachable(str(error) or type(error).__name__) from error


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()
