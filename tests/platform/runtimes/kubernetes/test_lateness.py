"""Answers that come late, and a watch that is behind another one, on a real control plane with Kueue."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes import jobs
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.objects import JOBS, PODS, SECRETS, Object, ResourceType
from perijove_platform.runtimes.kubernetes.watch import Reflector

from .kubelet import Kubelet
from .place import Place, owned_secret


async def test_a_job_that_is_deleted_before_it_is_known_to_be_made(place: Place, client: KubernetesClient) -> None:
    apply, go_on = KubernetesClient.apply, asyncio.Event()

    async def late(self: KubernetesClient, type: ResourceType, manifest: Object, *, force: bool = True) -> Object:
        if type is SECRETS and "ownerReferences" in manifest["metadata"]:
            await go_on.wait()
        return await apply(self, type, manifest, force=force)

    with patch.object(KubernetesClient, "apply", late):
        job_id = await place.submit()
        await place.until(job_id, JobState.ADMITTED)
        assert await client.delete(JOBS, job_id, place.namespace)
        told = await place.until(job_id, JobState.QUEUED, "its Job was deleted in the cluster and is made again")
        go_on.set()

        await place.until(job_id, JobState.ADMITTED, since=place.told[job_id].index(told))

    await owned_secret(client, await client.get(JOBS, job_id, place.namespace))
    assert place.runs.begun == [job_id, job_id]


async def test_a_cancelled_job_whose_deletion_takes_long(place: Place, kubelet: Kubelet) -> None:
    job_id = await place.submit()
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)
    delete = KubernetesClient.delete

    async def late(self: KubernetesClient, type: ResourceType, name: str, *args: Any, **more: Any) -> bool:
        await asyncio.sleep(0.5)
        return await delete(self, type, name, *args, **more)

    with patch.object(KubernetesClient, "delete", late), patch.object(jobs, "_CANCEL_SECONDS", 0.1):
        await place.cluster.jobs.cancel(job_id)
        # Its pod takes its time, which may not hold up the state.
        await place.until(job_id, JobState.CANCELLED)

    await kubelet.end_deleted(pod)


async def test_the_jobs_end_is_seen_before_that_of_its_pod(place: Place, kubelet: Kubelet) -> None:
    job_id = await place.submit()
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)
    apply = Reflector._apply

    def behind(self: Reflector, type: str, item: Object) -> None:
        if self.type is not PODS:
            apply(self, type, item)

    with patch.object(Reflector, "_apply", behind):
        await kubelet.finish(pod, 137, reason="OOMKilled")
        failed = await place.until(job_id, JobState.FAILED)

    assert (failed.code, failed.reason) == ("out_of_memory", "out of memory (limit 256 MiB)")
