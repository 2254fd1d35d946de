"""What a kubelet would say of pods, and what a test looks for among their owners."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.objects import (
    JOBS,
    NODES,
    PODS,
    WORKLOADS,
    Object,
    ResourceType,
    get,
    name_of,
    namespace_of,
    owner_uid,
    uid_of,
)

from .place import UPDATE_SECONDS


class Kubelet:
    """Plays the kubelet of a node: says of pods what a test wants. A fake; the real one is in `tests/cluster`."""

    def __init__(self, client: KubernetesClient) -> None:
        self.client = client

    async def join(self, name: str, allocatable: Mapping[str, str], labels: Mapping[str, str] | None = None) -> None:
        metadata = {"name": name, "labels": dict(labels or {})}
        await self.client.apply(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        status = {"allocatable": allocatable, "capacity": allocatable, "conditions": [ready]}
        await self.client.patch(NODES, name, {"status": status}, subresource="status")

    async def leave(self, name: str) -> None:
        await self.client.delete(NODES, name)

    async def pod_of(self, job_id: str) -> Object:
        """The newest pod of a job, once there is one that has not ended."""
        try:
            async with asyncio.timeout(UPDATE_SECONDS):
                while True:
                    found = [
                        pod
                        for pod in await self._labelled(PODS, job_id)
                        if get(pod, "status", "phase") not in ("Succeeded", "Failed")
                        and get(pod, "metadata", "deletionTimestamp") is None
                    ]
                    if found:
                        return found[-1]
                    await asyncio.sleep(0.05)
        except TimeoutError:
            there = [await self._labelled(JOBS, job_id), [item async for item in self._workloads()]]
            raise AssertionError(f"{job_id} has no pod: {json.dumps(there, indent=1)}") from None

    async def _labelled(self, type: ResourceType, job_id: str) -> list[Object]:
        listed = self.client.list(type, labels=f"perijove.dev/job={job_id}")
        return [item async for page in listed for item in page.items]

    async def _workloads(self) -> AsyncIterator[Object]:
        async for page in self.client.list(WORKLOADS):
            for item in page.items:
                yield {"name": name_of(item), "status": item.get("status")}

    async def say(self, pod: Object, phase: str, state: Mapping[str, Any], **status: Any) -> None:
        """Write a pod's status, its one container in `state`."""
        container = {"name": "job", "image": "x", "imageID": "", "ready": "running" in state, "restartCount": 0}
        ready = {"type": "Ready", "status": "True" if "running" in state else "False"}
        told = {
            "phase": phase,
            "conditions": [ready, *status.pop("conditions", [])],
            "containerStatuses": [{**container, "state": state}],
            "startTime": "2026-11-21T08:00:00Z",
            **status,
        }
        await self.client.patch(PODS, name_of(pod), {"status": told}, namespace_of(pod), "status")

    async def run(self, job_id: str) -> Object:
        pod = await self.pod_of(job_id)
        if get(pod, "spec", "nodeName") is None:  # else the API server removes it at once when it is deleted
            await self._bind(pod)
        await self.say(pod, "Running", {"running": {"startedAt": "2026-11-21T08:00:00Z"}})
        return pod

    async def _bind(self, pod: Object) -> None:
        path = PODS.path(namespace_of(pod), name_of(pod), "binding")
        target = {"apiVersion": "v1", "kind": "Node", "name": "node0"}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name_of(pod)}, "target": target}
        headers = (("content-type", "application/json"),)
        async with self.client.transport.exchange("POST", path, headers, json.dumps(binding).encode()) as exchange:
            answer = b"".join([chunk async for chunk in exchange.chunks])
        assert exchange.status == 201, answer

    async def finish(self, pod: Object, code: int = 0, message: str = "", reason: str | None = None) -> None:
        ended = {
            "exitCode": code,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "message": message,
            "startedAt": "2026-11-21T08:00:00Z",
            "finishedAt": "2026-11-21T08:00:09Z",
        }
        await self.say(pod, "Failed" if code else "Succeeded", {"terminated": ended})

    async def end_deleted(self, pod: Object) -> None:
        """Wait until the pod is being deleted, and end it then, as a kubelet does."""
        async with asyncio.timeout(UPDATE_SECONDS):
            while True:
                found = await self.client.get(PODS, name_of(pod), namespace_of(pod))
                if get(found, "metadata", "deletionTimestamp") is not None:
                    break
                await asyncio.sleep(0.05)
        await self.client.delete(PODS, name_of(pod), namespace_of(pod), grace_seconds=0, uid=uid_of(pod))


async def workload_of(client: KubernetesClient, job: Object) -> Object:
    async with asyncio.timeout(UPDATE_SECONDS):
        while True:
            async for page in client.list(WORKLOADS, namespace_of(job)):
                for workload in page.items:
                    if owner_uid(workload, JOBS.kind) == uid_of(job):
                        return workload
            await asyncio.sleep(0.05)
