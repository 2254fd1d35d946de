"""An API server in memory: a fake, for tests that play all controllers and need no programs of a test bed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Any

from perijove_platform.runtimes.kubernetes.client import KubernetesClient, Page, Propagation, WatchEvent
from perijove_platform.runtimes.kubernetes.failures import NotFound
from perijove_platform.runtimes.kubernetes.objects import Object, ResourceType, get, name_of, namespace_of
from perijove_platform.runtimes.kubernetes.transport import Exchange, Headers

from .transports import AlwaysReachable


class NoTransport(AlwaysReachable):
    """There is nothing on the way."""

    def exchange(
        self, method: str, path: str, headers: Headers = (), body: bytes = b""
    ) -> AbstractAsyncContextManager[Exchange]:
        raise AssertionError(f"{method} {path}")


class FakeApiServer(KubernetesClient):
    """Lists, watches and writes; of selectors it knows those of labels. Nobody acts on what is written but the test.

    Attributes:
        writes: each apply and patch: the kind, the name and what was written.
    """

    def __init__(self) -> None:
        super().__init__(NoTransport())
        self.writes: list[tuple[str, str, Object]] = []
        self._objects: dict[tuple[str, str | None, str], dict[str, Any]] = {}
        self._events: list[tuple[str, WatchEvent]] = []
        self._news = asyncio.Event()

    def put(self, type: ResourceType, item: Object) -> Object:
        """The object as it is now, whatever it was."""
        key = (type.plural, namespace_of(item), name_of(item))
        version = str(len(self._events) + 1)
        metadata = {"uid": f"uid-{key}", **item["metadata"], "resourceVersion": version}
        told = "MODIFIED" if key in self._objects else "ADDED"
        self._objects[key] = {**item, "metadata": metadata}
        self._tell(type, told, self._objects[key])
        return self._objects[key]

    def remove(self, type: ResourceType, name: str, namespace: str | None = None) -> None:
        self._tell(type, "DELETED", self._objects.pop((type.plural, namespace, name)))

    def find(self, type: ResourceType, name: str, namespace: str | None = None) -> Object | None:
        return self._objects.get((type.plural, namespace, name))

    def _tell(self, type: ResourceType, told: str, item: Object) -> None:
        self._events.append((type.plural, WatchEvent(told, item)))
        self._news.set()
        self._news = asyncio.Event()

    async def list(
        self,
        type: ResourceType,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        page_size: int = 500,
    ) -> AsyncGenerator[Page]:
        found = [item for (plural, *_), item in self._objects.items() if plural == type.plural]
        yield Page([item for item in found if _selected(item, labels)], str(len(self._events)), False)

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
        told = int(resource_version)
        while True:
            news = self._news
            for plural, event in self._events[told:]:
                if plural == type.plural and _selected(event.object, labels):
                    yield event
                told += 1
            if told == len(self._events):
                await news.wait()

    async def get(self, type: ResourceType, name: str, namespace: str | None = None) -> Object:
        if (found := self.find(type, name, namespace)) is None:
            raise NotFound(404, "NotFound", f"{type.plural} {name} not found")
        return found

    async def apply(self, type: ResourceType, manifest: Object, *, force: bool = True) -> Object:
        self.writes.append((type.kind, name_of(manifest), manifest))
        before = self.find(type, name_of(manifest), namespace_of(manifest)) or {}
        return self.put(type, _merged(before, manifest))

    async def patch(
        self, type: ResourceType, name: str, patch: Object, namespace: str | None = None, subresource: str | None = None
    ) -> Object:
        self.writes.append((type.kind, name, patch))
        return self.put(type, _merged(self._objects[type.plural, namespace, name], patch))

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
        if self.find(type, name, namespace) is None:
            return False
        self.remove(type, name, namespace)
        return True


def _selected(item: Object, labels: str | None) -> bool:
    pairs = [pair.partition("=") for pair in (labels or "").split(",") if pair]
    return all(get(item, "metadata", "labels", name) == value for name, _, value in pairs)


def _merged(before: Object, patch: Object) -> dict[str, Any]:
    merged = dict(before)
    for name, value in patch.items():
        merged[name] = _merged(merged.get(name) or {}, value) if isinstance(value, dict) else value
    return merged
