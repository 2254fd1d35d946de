"""What is remembered of a job's pods, in whatever order they are told of.

The API server here is a fake that gives lists and watches as the real one does; the real one is in `test_job_faults`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.objects import JOBS, PODS, Object, ResourceType
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues
from perijove_platform.runtimes.kubernetes.transport import Exchange, Headers
from perijove_platform.runtimes.kubernetes.view import JobsView

from .transports import AlwaysReachable

JOB_ID = "ftjob-1"
DISK = "The node was low on resource: memory."
EVICTED = "evicted: The node was low on resource: memory"


class FakeApi(AlwaysReachable):
    """Lists what there is of each kind and tells what happens to it after, as a `Transport`."""

    def __init__(self, **listed: list[Object]) -> None:
        self._listed = listed
        self._news: dict[str, asyncio.Queue[bytes]] = {}

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: str, path: str, headers: Headers = (), body: bytes = b""
    ) -> AsyncIterator[Exchange]:
        found = urlsplit(path)
        kind = found.path.rpartition("/")[2]
        yield Exchange(200, {}, self._watch(kind) if "watch=" in found.query else self._list(kind))

    async def _list(self, kind: str) -> AsyncIterator[bytes]:
        yield json.dumps({"metadata": {"resourceVersion": "1"}, "items": self._listed.get(kind, [])}).encode()

    async def _watch(self, kind: str) -> AsyncIterator[bytes]:
        while True:
            yield await self._of(kind).get()

    def tell(self, type: ResourceType, what: str, item: Object) -> None:
        self._of(type.plural).put_nowait(json.dumps({"type": what, "object": item}).encode() + b"\n")

    def _of(self, kind: str) -> asyncio.Queue[bytes]:
        return self._news.setdefault(kind, asyncio.Queue())


class Shown:
    """A view of what the fake tells."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        client = KubernetesClient(api)
        self.told = asyncio.Event()

        async def no_quota(project: str) -> None:
            return None

        self.view = JobsView(client, "c", ClusterQueues(client, "org-1", no_quota), lambda job_id: self.told.set())

    async def tell(self, type: ResourceType, what: str, item: Object) -> None:
        """Once the view has taken it."""
        self.told.clear()
        self.api.tell(type, what, item)
        await self.told.wait()

    def eviction(self) -> str | None:
        seen = self.view.seen(JOB_ID)
        assert seen is not None
        return seen.eviction


@contextlib.asynccontextmanager
async def shown(*pods: Object, job: Object | None = None) -> AsyncIterator[Shown]:
    found = Shown(FakeApi(jobs=[job or job_since(0)], pods=list(pods)))
    following = [asyncio.create_task(reflector.run()) for reflector in found.view.reflectors()]
    try:
        async with asyncio.timeout(60):
            await found.view.synced()
            yield found
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def at(minute: int) -> str:
    return f"2026-11-21T08:{minute:02}:00Z"


def job_since(minute: int | None, uid: str = "j") -> dict[str, Any]:
    """The Job, which runs since then or is suspended."""
    metadata = {"name": JOB_ID, "namespace": "n", "uid": uid, "labels": {"perijove.dev/job": JOB_ID}}
    status = {} if minute is None else {"startTime": at(minute)}
    return {"metadata": metadata, "spec": {"suspend": minute is None}, "status": status}


def pod(name: str, minute: int, phase: str, *, evicted: int | None = None, owner: str = "j") -> dict[str, Any]:
    """One of its pods, made in that minute."""
    metadata = {
        "name": name,
        "namespace": "n",
        "uid": name,
        "creationTimestamp": at(minute),
        "labels": {"perijove.dev/job": JOB_ID},
        "ownerReferences": [{"kind": "Job", "uid": owner, "controller": True}],
        "resourceVersion": f"{name}-{phase}-{evicted}",
    }
    status: dict[str, Any] = {"phase": phase}
    if evicted is not None:
        target = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
        status |= {"message": DISK, "conditions": [{**target, "lastTransitionTime": at(evicted)}]}
    return {"metadata": metadata, "status": status}


async def test_an_eviction_is_remembered_until_another_pod_runs() -> None:
    async with shown(pod("a", 1, "Running")) as found:
        assert found.eviction() is None
        await found.tell(PODS, "MODIFIED", pod("a", 1, "Failed", evicted=2))
        assert found.eviction() == EVICTED
        await found.tell(PODS, "ADDED", pod("b", 2, "Pending"))
        await found.tell(PODS, "DELETED", pod("a", 1, "Failed", evicted=2))
        assert found.eviction() == EVICTED
        await found.tell(PODS, "MODIFIED", pod("b", 2, "Running"))
        assert found.eviction() is None


async def test_a_pod_that_goes_after_the_next_one_runs_was_not_evicted_anew() -> None:
    async with shown(pod("a", 1, "Failed", evicted=2), pod("b", 2, "Running")) as found:
        await found.tell(PODS, "DELETED", pod("a", 1, "Failed", evicted=2))
        assert found.eviction() is None
        await found.tell(PODS, "MODIFIED", pod("b", 2, "Failed"))
        await found.tell(PODS, "ADDED", pod("c", 3, "Pending"))
        assert found.eviction() is None


@pytest.mark.parametrize("turn", [list, lambda pods: pods[::-1]])
async def test_the_order_of_a_list_says_nothing(turn: Callable[[list[Object]], list[Object]]) -> None:
    async with shown(*turn([pod("a", 1, "Failed", evicted=2), pod("b", 2, "Running")])) as found:
        assert found.eviction() is None
        await found.tell(PODS, "DELETED", pod("b", 2, "Running"))
        assert found.eviction() is None


async def test_an_eviction_before_the_last_pause_is_over() -> None:
    """Of the pods before the pause, a new process finds only the one that was evicted."""
    async with shown(pod("a", 1, "Failed", evicted=2), job=job_since(None)) as found:
        assert found.eviction() is None
        await found.tell(JOBS, "MODIFIED", job_since(5))
        assert found.eviction() is None
        await found.tell(PODS, "ADDED", pod("b", 5, "Pending", evicted=6))
        assert found.eviction() == EVICTED


async def test_a_pod_of_the_former_job_is_not_the_new_one_s() -> None:
    async with shown(pod("a", 1, "Running", evicted=2, owner="former")) as found:
        assert found.eviction() is None


async def test_nothing_is_left_of_a_job_that_has_gone() -> None:
    async with shown(pod("a", 1, "Running")) as found:
        await found.tell(JOBS, "DELETED", job_since(0))
        await found.tell(PODS, "MODIFIED", pod("a", 1, "Failed", evicted=2))
        await found.tell(PODS, "DELETED", pod("a", 1, "Failed", evicted=2))
        assert JOB_ID not in [text for kept in vars(found.view).values() if isinstance(kept, dict) for text in kept]
