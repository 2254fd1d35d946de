"""Jobs that have quota and cannot start, on a real control plane; the test plays the kubelet and the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.job_timers import JobTimers

from .kubelet import Kubelet
from .place import Place, gone

UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available.",
}


def waiting(reason: str, message: str = "") -> Mapping[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("state", "conditions", "reason"),
    [
        (waiting("ImagePullBackOff", "trainer:1: not found"), [], "trainer:1: there is no such image"),
        (waiting("ContainerCreating"), [UNSCHEDULABLE], "unschedulable: 0/1 nodes are available"),
    ],
)
async def test_it_fails_after_a_while_and_frees_its_quota(
    place: Place, client: KubernetesClient, kubelet: Kubelet, state: Any, conditions: list[Any], reason: str
) -> None:
    spec = place.spec(cpus=2)
    job_id = await place.submit(spec)
    pod = await kubelet.pod_of(job_id)
    await place.stop()
    place.start_seconds = 1  # not before it has a pod, which may be long in coming
    await place.start()
    await place.submit(spec)
    second = await place.submit(place.spec(cpus=2))
    await place.until(second, JobState.QUEUED, "waiting for 2 CPUs")

    await kubelet.say(pod, "Pending", state, conditions=conditions)

    await place.until(job_id, JobState.ADMITTED, reason)
    failed = await place.until(job_id, JobState.FAILED, "given up after 1 s")
    assert failed.code == "not_started"
    assert reason in str(failed.reason)
    await gone(client, place.namespace, job_id)
    await place.until(second, JobState.ADMITTED)


async def test_a_name_of_no_image_fails_at_once(place: Place, client: KubernetesClient, kubelet: Kubelet) -> None:
    job_id = await place.submit()

    await kubelet.say(await kubelet.pod_of(job_id), "Pending", waiting("InvalidImageName"))

    failed = await place.until(job_id, JobState.FAILED, "'trainer:1' is not the name of an image")
    assert failed.code == "invalid_image"
    await gone(client, place.namespace, job_id)


async def test_only_what_lasts_counts() -> None:
    ended: list[str] = []
    limit = JobTimers(0.2, ended.append)
    limit.look("pulls", False)
    limit.look("heals", True)
    limit.look("stays", True)
    limit.look("heals", False)
    limit.look("stays", True)
    async with asyncio.timeout(60):
        while not ended:
            await asyncio.sleep(0.01)
    limit.look("late", True)
    limit.stop()
    await asyncio.sleep(0.3)
    assert ended == ["stays"]
