"""Jobs on a real control plane with Kueue; only the node's kubelet is played by the test (see `conftest`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from perijove_platform.clusters.quotas import ProjectQuota
from perijove_platform.runtimes.base import JobSpec, JobState, JobUpdate
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import NotFound
from perijove_platform.runtimes.kubernetes.manifests import NETWORK_POLICY, cluster_queue_name
from perijove_platform.runtimes.kubernetes.objects import (
    CLUSTER_QUEUES,
    JOBS,
    NAMESPACES,
    NETWORK_POLICIES,
    SECRETS,
    Object,
)

from .kubelet import Kubelet, workload_of
from .place import Place, eventually, gone, once, owned_secret


async def test_from_the_queue_to_the_end(place: Place, client: KubernetesClient, kubelet: Kubelet) -> None:
    job_id = await place.submit(place.spec(max_run_seconds=7200))
    await place.until(job_id, JobState.ADMITTED)
    job = await client.get(JOBS, job_id, place.namespace)
    await owned_secret(client, job)
    policy = await client.get(NETWORK_POLICIES, NETWORK_POLICY, place.namespace)
    workload = await workload_of(client, job)
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)
    await kubelet.finish(pod)
    await place.until(job_id, JobState.SUCCEEDED)

    assert place.states(job_id)[-3:] == [JobState.ADMITTED, JobState.RUNNING, JobState.SUCCEEDED]
    assert job["metadata"]["labels"]["perijove.dev/project"] == place.project
    assert policy["spec"]["podSelector"] == {} and policy["spec"]["policyTypes"] == ["Ingress"]
    assert [sorted(peer) for peer in policy["spec"]["ingress"][0]["from"]] == [
        ["podSelector"],
        ["namespaceSelector", "podSelector"],
    ]
    assert workload["spec"]["maximumExecutionTimeSeconds"] == 7200
    assert place.runs.begun == [job_id]
    assert "pjrun" not in json.dumps([job, workload, pod])
    assert await place.cluster.jobs.work_folder(job_id) == Path("/results") / job_id


async def test_the_second_waits_with_reason_and_place(place: Place, kubelet: Kubelet) -> None:
    first = await place.submit(place.spec(cpus=2))
    await place.until(first, JobState.ADMITTED)
    waiting = [await place.submit(place.spec(cpus=1.5)) for _ in range(2)]

    await place.until(waiting[0], JobState.QUEUED, "waiting for 1.5 CPUs: none is free")
    await place.until(waiting[1], JobState.QUEUED, "waiting for 1.5 CPUs: none is free")
    # Which one comes first is Kueue's to say: they are of the same second.
    await eventually(lambda: {place.told[job_id][-1].queue_position for job_id in waiting} == {1, 2})
    second, third = sorted(waiting, key=lambda job_id: place.told[job_id][-1].queue_position or 0)
    await kubelet.finish(await kubelet.run(first))
    await place.until(second, JobState.ADMITTED)
    reason = f"waiting for 1.5 CPUs: 0.5 are free, next release by job {second}"
    await eventually(lambda: place.told[third][-1].reason == reason)
    assert place.told[third][-1].queue_position == 1


async def test_more_than_the_quota(place: Place) -> None:
    job_id = await place.submit(place.spec(cpus=3))

    await place.until(job_id, JobState.QUEUED, "asks for 3 CPUs, and the project may use 2 CPUs at most")


async def test_a_job_of_higher_priority_stops_one_of_lower(place: Place, kubelet: Kubelet) -> None:
    low = await place.submit(place.spec(cpus=2))
    pod = await kubelet.run(low)
    await place.until(low, JobState.RUNNING)
    high = await place.submit(place.spec(cpus=2, priority=5))

    await eventually(lambda: "preempted by job" in str(place.told[low][-1].reason))
    await kubelet.end_deleted(pod)
    told = await place.until(low, JobState.QUEUED, f"preempted by job {high} of higher priority; goes on from its last")
    assert told.queue_position is not None
    await kubelet.finish(await kubelet.run(high))
    await place.until(high, JobState.SUCCEEDED)
    since = len(place.told[low])
    await kubelet.run(low)
    await place.until(low, JobState.RUNNING, since=since - 1)


async def test_pause_and_resume(place: Place, client: KubernetesClient, kubelet: Kubelet) -> None:
    spec = place.spec()
    job_id = await place.submit(spec)
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)

    await place.pause(job_id)
    await place.until(job_id, JobState.RUNNING, "stopping")
    await kubelet.end_deleted(pod)
    await place.until(job_id, JobState.PAUSED)
    workload = await workload_of(client, await client.get(JOBS, job_id, place.namespace))
    assert workload["spec"]["active"] is False

    since = len(place.told[job_id])
    await place.submit(spec)
    await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING, since=since)
    assert JobState.PAUSED not in [update.state for update in place.told[job_id][since:]]
    assert place.runs.begun == [job_id]


async def test_pause_of_a_job_that_waits(place: Place) -> None:
    first = await place.submit(place.spec(cpus=2))
    await place.until(first, JobState.ADMITTED)
    second = await place.submit(place.spec(cpus=2))
    await place.until(second, JobState.QUEUED, "waiting for 2 CPUs")

    await place.pause(second)

    await place.until(second, JobState.PAUSED)
    assert place.states(first)[-1] is not JobState.PAUSED


async def test_cancel(place: Place, client: KubernetesClient, kubelet: Kubelet) -> None:
    job_id = await place.submit()
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)

    await place.cluster.jobs.cancel(job_id)
    # Its pod takes its time, which may not hold up the state.
    await place.until(job_id, JobState.CANCELLED)
    assert (await client.get(JOBS, job_id, place.namespace))["metadata"].get("deletionTimestamp") is not None
    assert set(place.runs.ended) == {job_id}
    await kubelet.end_deleted(pod)
    await gone(client, place.namespace, job_id)
    with pytest.raises(NotFound):
        await client.get(SECRETS, job_id, place.namespace)


async def test_cancel_of_a_job_that_waits(place: Place, client: KubernetesClient) -> None:
    await place.until(await place.submit(place.spec(cpus=2)), JobState.ADMITTED)
    job_id = await place.submit(place.spec(cpus=2))
    await place.until(job_id, JobState.QUEUED, "waiting for 2 CPUs")

    await place.cluster.jobs.cancel(job_id)

    await place.until(job_id, JobState.CANCELLED)
    await gone(client, place.namespace, job_id)


async def test_out_of_memory(place: Place, kubelet: Kubelet) -> None:
    job_id = await place.submit()
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)
    message = json.dumps({"exit": None, "message": "", "memory_peak_bytes": 1 << 28})

    await kubelet.finish(pod, 137, message, "OOMKilled")

    await place.until(job_id, JobState.FAILED, "out of memory (limit 256 MiB, peak 256 MiB)")


async def test_the_program_s_own_words_explain_a_failure(place: Place, kubelet: Kubelet) -> None:
    job_id = await place.submit()
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)
    report = {"type": "error", "code": "diverged", "message": "The loss is not a number.", "param": None}
    await place.runs.reports.put(JobUpdate(job_id=job_id, report=report, number=1))

    await kubelet.finish(pod, 66)

    failed = await place.until(job_id, JobState.FAILED, "The loss is not a number.")
    assert [update.report for update in place.told[job_id] if update.report] == [report]
    assert place.told[job_id].index(failed) > 0


async def test_submitting_twice_makes_one_job(place: Place, client: KubernetesClient) -> None:
    spec = place.spec()
    await place.submit(spec)
    await place.submit(spec)
    await place.until(spec.job_id, JobState.ADMITTED)

    await place.submit(spec)

    assert place.runs.begun == [spec.job_id]
    jobs = [job async for page in client.list(JOBS, place.namespace) for job in page.items]
    assert [job["metadata"]["name"] for job in jobs] == [spec.job_id]


async def test_pods_satisfy_the_restricted_standard(place: Place, client: KubernetesClient, kubelet: Kubelet) -> None:
    """Its namespace enforces it: the API server itself has taken the pod."""
    job_id = await place.submit()
    pod = await kubelet.pod_of(job_id)
    namespace = await client.get(NAMESPACES, place.namespace)

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


async def test_several_completions(place: Place, kubelet: Kubelet) -> None:
    spec = place.spec(cpus=1, image="busybox:1", command=["true"], completions=3, parallelism=3)
    spec = JobSpec(**{**vars(spec), "program": "batch"})
    job_id = await place.submit(spec)

    for done in range(3):
        pod = await kubelet.run(job_id)
        await place.until(job_id, JobState.RUNNING, f"{done} of 3 done")
        await kubelet.finish(pod)

    await place.until(job_id, JobState.SUCCEEDED)


async def test_quotas_become_queues(place: Place, client: KubernetesClient, kubelet: Kubelet) -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    await kubelet.join("gpu0", {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "8", "pods": "110"}, labels)
    try:
        place.quota = None
        job_id = await place.submit(place.spec(cpus=1))
        await place.until(job_id, JobState.ADMITTED)  # it borrows what the organization's pool has
        own = cluster_queue_name(place.project)
        await _has(client, own, {"cpu": "0", "memory": "0", "nvidia.com/gpu": "0"})
        pool = f"perijove-{place.organization}-pool"
        assert _nominal(await client.get(CLUSTER_QUEUES, pool))["nvidia.com/gpu"] == "8"

        place.quota = ProjectQuota(resources={"cpu": "4", "nvidia.com/gpu": "2"}, cohort=None)
        place.cluster.quotas_changed()
        await _has(client, own, {"cpu": "4", "memory": "64Gi", "nvidia.com/gpu": "2"})
        assert _nominal(await client.get(CLUSTER_QUEUES, pool))["nvidia.com/gpu"] == "6"
        await eventually(lambda: any(kind.total == 8 for report in place.reports for kind in report.accelerators))
        report = place.reports[-1]
        assert [(kind.type, kind.total, kind.used) for kind in report.accelerators] == [("NVIDIA-H100-80GB-HBM3", 8, 0)]
        assert (await place.cluster.capacity()).gpus_free == 8
    finally:
        await kubelet.leave("gpu0")


async def test_a_job_that_no_image_is_set_for_fails_at_once(place: Place) -> None:
    spec = JobSpec(**{**vars(place.spec()), "program": "unheard-of"})

    job_id = await place.submit(spec)

    await place.until(job_id, JobState.FAILED, "No image is set for the program 'unheard-of'")


async def _has(client: KubernetesClient, queue: str, nominal: dict[str, str]) -> None:
    """Once a queue has these quotas, of which the pool's are set first."""
    await once(lambda found: _nominal(found) == nominal, client, CLUSTER_QUEUES, queue)


def _nominal(queue: Object) -> dict[str, str]:
    return {
        resource["name"]: resource["nominalQuota"]
        for group in queue["spec"]["resourceGroups"]
        for flavor in group["flavors"]
        for resource in flavor["resources"]
    }
