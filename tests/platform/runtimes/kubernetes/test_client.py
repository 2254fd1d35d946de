"""The client and the reflector against a real API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml
from perijove_platform.ids import new_id
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import (
    Conflict,
    Denied,
    Gone,
    Invalid,
    NotFound,
    Overloaded,
    ServerFailed,
    Unreachable,
    error_of,
)
from perijove_platform.runtimes.kubernetes.kubeconfig import KubeconfigError, connect
from perijove_platform.runtimes.kubernetes.objects import NAMESPACES, SECRETS, ResourceType, name_of
from perijove_platform.runtimes.kubernetes.transport import Exchange, Headers, Transport, TunnelTransport
from perijove_platform.runtimes.kubernetes.watch import Change, Reflector

from .control_plane import START_SECONDS, ControlPlane, LoopbackTunnels
from .transports import AlwaysReachable

SELECTOR = "test=client"
WAIT_SECONDS = 60


def secret(namespace: str, name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {"test": "client"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


@pytest.fixture
async def namespace(client: KubernetesClient) -> AsyncIterator[str]:
    name = f"test-{new_id()}"
    await client.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await client.delete(NAMESPACES, name)


@pytest.fixture(params=["direct", "tunnel"])
def either(request: pytest.FixtureRequest, client: KubernetesClient, tunnels: LoopbackTunnels) -> KubernetesClient:
    if request.param == "direct":
        return client
    transport = TunnelTransport(tunnels, "cluster")
    transport.set_connected(True)
    return KubernetesClient(transport)


async def test_objects_are_made_changed_and_deleted(either: KubernetesClient, namespace: str) -> None:
    made = await either.apply(SECRETS, secret(namespace, "one", a="1"))
    patched = await either.patch(SECRETS, "one", {"metadata": {"annotations": {"note": "x"}}}, namespace)

    assert made["metadata"]["uid"] == patched["metadata"]["uid"]
    assert (await either.get(SECRETS, "one", namespace))["data"] == {"a": "MQ=="}
    assert await either.delete(SECRETS, "one", namespace)
    assert not await either.delete(SECRETS, "one", namespace)


async def test_a_large_object_passes(either: KubernetesClient, namespace: str) -> None:
    """Larger than what a stream may send before it has been accepted."""
    made = await either.apply(SECRETS, secret(namespace, "large", a="x" * 700_000))

    assert len(made["data"]["a"]) > 900_000


async def test_lists_come_in_pages(either: KubernetesClient, namespace: str) -> None:
    for number in range(7):
        await either.apply(SECRETS, secret(namespace, f"s{number}"))

    pages = [page async for page in either.list(SECRETS, namespace, labels=SELECTOR, page_size=3)]

    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert [page.more for page in pages] == [True, True, False]
    assert len({page.resource_version for page in pages}) == 1


async def test_refusals_are_exceptions(either: KubernetesClient, namespace: str) -> None:
    with pytest.raises(NotFound) as missing:
        await either.get(SECRETS, "none", namespace)
    assert (missing.value.status, missing.value.reason) == (404, "NotFound")
    with pytest.raises(NotFound):
        await either.get(ResourceType("none.dev", "v1", "None", "nones"), "x", namespace)
    with pytest.raises(Invalid):
        await either.apply(SECRETS, secret(namespace, "Not_A_Name"))
    await either.apply(SECRETS, secret(namespace, "one"))
    with pytest.raises(Conflict):
        await either.delete(SECRETS, "one", namespace, uid="another")


async def test_whose_field_it_is(client: KubernetesClient, namespace: str) -> None:
    await client.patch(NAMESPACES, namespace, {"metadata": {"labels": {"owner": "somebody"}}})
    mine = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"owner": "me"}}}

    async with client.transport.exchange(
        "PATCH",
        f"/api/v1/namespaces/{namespace}?fieldManager=somebody-else",
        (("content-type", "application/merge-patch+json"),),
        b'{"metadata": {"labels": {"owner": "somebody-else"}}}',
    ) as exchange:
        assert exchange.status == 200
    with pytest.raises(Conflict):
        await client.apply(NAMESPACES, mine, force=False)
    assert (await client.apply(NAMESPACES, mine))["metadata"]["labels"]["owner"] == "me"


async def test_a_watch_tells_what_happens(either: KubernetesClient, namespace: str) -> None:
    version = [page.resource_version async for page in either.list(SECRETS, namespace)][-1]
    await either.apply(SECRETS, secret(namespace, "one"))
    await either.patch(SECRETS, "one", {"metadata": {"annotations": {"note": "x"}}}, namespace)
    await either.delete(SECRETS, "one", namespace)

    told: list[tuple[str, str]] = []
    async with (
        asyncio.timeout(WAIT_SECONDS),
        aclosing(either.watch(SECRETS, version, namespace, labels=SELECTOR)) as events,
    ):
        async for event in events:
            if event.type != "BOOKMARK":
                told.append((event.type, name_of(event.object)))
            if event.type == "DELETED":
                break

    assert told == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]


async def test_nobody_answers(tmp_path: Path) -> None:
    transport = connect(_kubeconfig(tmp_path, {"server": "https://127.0.0.1:1"}, {"token": "x"}))

    with pytest.raises(Unreachable):
        await KubernetesClient(transport).read("/version")


async def test_a_credential_that_nobody_knows(control_plane: ControlPlane, tmp_path: Path) -> None:
    server = {"server": f"https://127.0.0.1:{control_plane.port}", "insecure-skip-tls-verify": True}
    transport = connect(_kubeconfig(tmp_path, server, {"token": "stranger"}))

    with pytest.raises(Denied):
        await KubernetesClient(transport).get(NAMESPACES, "default")


def test_a_kubeconfig_that_wants_a_plugin(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="plugin"):
        connect(_kubeconfig(tmp_path, {"server": "https://127.0.0.1:1"}, {"exec": {"command": "x"}}))


def test_an_answer_that_is_no_status() -> None:
    error = error_of(502, b"<html>bad gateway</html>")

    assert isinstance(error, ServerFailed)
    assert error.message == "<html>bad gateway</html>"


class Watched:
    """A reflector of the test's secrets, and what it told."""

    def __init__(self, client: KubernetesClient) -> None:
        self.changes: list[Change] = []
        self.reflector = Reflector(client, SECRETS, labels=SELECTOR, on_change=self.changes.append)
        self.running = asyncio.create_task(self.reflector.run())

    def names(self, namespace: str) -> set[str]:
        return {key.name for key in self.reflector.objects if key.namespace == namespace}

    async def until(self, found: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not found():
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])


@contextlib.asynccontextmanager
async def watched(client: KubernetesClient) -> AsyncIterator[Watched]:
    found = Watched(client)
    try:
        await asyncio.wait_for(found.reflector.synced.wait(), WAIT_SECONDS)
        yield found
    finally:
        await found.stop()


async def test_a_reflector_follows(either: KubernetesClient, namespace: str) -> None:
    await either.apply(SECRETS, secret(namespace, "before"))
    async with watched(either) as found:
        assert found.names(namespace) == {"before"}
        await either.apply(SECRETS, secret(namespace, "after"))
        await either.delete(SECRETS, "before", namespace)
        await found.until(lambda: found.names(namespace) == {"after"})

    mine = [change for change in found.changes if change.key.namespace == namespace]
    assert [(change.key.name, change.old is None, change.new is None) for change in mine] == [
        ("before", True, False),
        ("after", True, False),
        ("before", False, True),
    ]


class Interrupted(AlwaysReachable):
    """Another transport whose watches can be refused, as by an API server that has forgotten the version."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.refuse: int | None = None
        self.streams: list[asyncio.Task[Any] | None] = []

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: str, path: str, headers: Headers = (), body: bytes = b""
    ) -> AsyncIterator[Exchange]:
        async with self.inner.exchange(method, path, headers, body) as exchange:
            if "watch=true" in path and self.refuse is not None:
                code, self.refuse = self.refuse, None
                yield Exchange(code, {}, _nothing())
            else:
                yield exchange


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


@pytest.mark.parametrize("code", [410, 500])
async def test_a_reflector_lists_anew(client: KubernetesClient, namespace: str, code: int) -> None:
    transport = Interrupted(client.transport)
    transport.refuse = code
    await client.apply(SECRETS, secret(namespace, "before"))

    async with watched(KubernetesClient(transport)) as found:
        await client.apply(SECRETS, secret(namespace, "meanwhile"))
        await client.delete(SECRETS, "before", namespace)
        await found.until(lambda: found.names(namespace) == {"meanwhile"})
        await found.until(lambda: transport.refuse is None)
        await client.apply(SECRETS, secret(namespace, "after"))
        await found.until(lambda: found.names(namespace) == {"meanwhile", "after"})

    added = [change.key.name for change in found.changes if change.old is None and change.key.namespace == namespace]
    assert added == ["before", "meanwhile", "after"]


async def test_a_reflector_survives_the_api_server(
    control_plane: ControlPlane, client: KubernetesClient, namespace: str
) -> None:
    await client.apply(SECRETS, secret(namespace, "before"))
    async with watched(client) as found:
        with control_plane.away("kube-apiserver"):
            pass
        async with asyncio.timeout(START_SECONDS):
            while True:
                with contextlib.suppress(Unreachable, Overloaded, ServerFailed, Denied, NotFound):
                    await client.apply(SECRETS, secret(namespace, "after"))
                    break
                await asyncio.sleep(0.1)
        await found.until(lambda: found.names(namespace) == {"before", "after"})
    with pytest.raises(Gone):  # what happened before it was started, it does not know any more
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                with contextlib.suppress(Overloaded, ServerFailed):  # as long as it does not know what there is
                    async with aclosing(client.watch(SECRETS, "1", namespace)) as events:
                        async for event in events:
                            assert event.type == "never"
                await asyncio.sleep(0.1)


async def test_a_kind_that_is_not_there(client: KubernetesClient) -> None:
    """As Kueue's before it is installed: nobody waits for it."""
    reflector = Reflector(client, ResourceType("none.dev", "v1", "None", "nones"))
    running = asyncio.create_task(reflector.run())

    await asyncio.wait_for(reflector.synced.wait(), WAIT_SECONDS)

    assert (reflector.absent, reflector.objects) == (True, {})
    running.cancel()
    await asyncio.wait([running])


def _kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    path = folder / "kubeconfig"
    config = {
        "clusters": [{"name": "t", "cluster": cluster}],
        "users": [{"name": "t", "user": user}],
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
        "current-context": "t",
    }
    path.write_text(yaml.safe_dump(config))
    return path
