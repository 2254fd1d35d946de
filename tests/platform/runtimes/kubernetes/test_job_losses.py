"""A Job that goes without its owner's wish, an end that nobody records, a wish that another replica was told."""

from __future__ import annotations

from typing import cast
from unittest.mock import patch

import pytest
from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes import job_endings
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.jobs import KubernetesJobs
from perijove_platform.runtimes.kubernetes.objects import JOBS, SECRETS, WORKLOADS, get, name_of, uid_of

from .kubelet import Kubelet, workload_of
from .place import Place, eventually, gone, owned_secret


async def test_pausing_a_job_whose_job_has_gone_keeps_its_checkpoints(
    place: Place, client: KubernetesClient, kubelet: Kubelet
) -> None:
    spec = place.spec()
    job_id = await place.submit(spec)
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)

    place.wishes[job_id] = "pause"
    await client.delete(JOBS, job_id, place.namespace)
    await place.cluster.jobs.suspend(job_id)

    await place.until(job_id, JobState.PAUSED)
    assert place.runs.ended == []
    assert JobState.CANCELLED not in place.states(job_id)
    place.wishes[job_id] = "run"
    since = len(place.told[job_id])
    await place.submit(spec)
    await kubelet.end_deleted(pod)
    await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING, since=since)
    assert place.runs.begun == [job_id, job_id]
    assert place.runs.ended == []


async def test_a_job_that_is_deleted_by_hand_is_made_again(
    place: Place, client: KubernetesClient, kubelet: Kubelet
) -> None:
    job_id = await place.submit()
    first = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)
    since = len(place.told[job_id])

    await client.delete(JOBS, job_id, place.namespace)

    said = "its Job was deleted in the cluster and is made again; goes on from its last checkpoint"
    await place.until(job_id, JobState.ADMITTED, said, since=since)
    told = [update.interruption for update in place.told[job_id][since:]]
    # Its workload may be seen to go before the Job itself.
    assert set(told[told.index("its Job was deleted in the cluster and is made again") :]) == {said.partition(";")[0]}
    job = await client.get(JOBS, job_id, place.namespace)
    await owned_secret(client, job)
    await kubelet.end_deleted(first)
    second = await kubelet.run(job_id)
    assert uid_of(second) != uid_of(first)
    running = await place.until(job_id, JobState.RUNNING, since=since)
    assert running.reason is None
    await kubelet.finish(second)
    await place.until(job_id, JobState.SUCCEEDED)
    assert place.runs.ended == []
    assert JobState.CANCELLED not in place.states(job_id)


async def test_a_job_that_is_deleted_again_and_again_fails(place: Place, client: KubernetesClient) -> None:
    job_id = await place.submit()
    await place.until(job_id, JobState.ADMITTED)
    view, deleted = cast(KubernetesJobs, place.cluster.jobs).view, {""}

    def next_job() -> str:
        """Which states do not tell."""
        job = view.job(job_id)
        return "" if job is None else uid_of(job)

    for _ in range(4):
        await eventually(lambda: next_job() not in deleted)
        deleted.add(next_job())
        assert await client.delete(JOBS, job_id, place.namespace)

    failed = await place.until(job_id, JobState.FAILED, "its Job was deleted in the cluster, for the 4th time")

    assert failed.code == "job_deleted"


async def test_a_job_that_another_replica_has_ended_is_not_made_again(place: Place, client: KubernetesClient) -> None:
    job_id = await place.submit()
    await place.until(job_id, JobState.ADMITTED)
    begun = list(place.runs.begun)
    del place.wishes[job_id]

    await client.delete(JOBS, job_id, place.namespace)

    other = await place.submit()
    await place.until(other, JobState.ADMITTED)
    assert place.runs.begun == [*begun, other]
    assert JobState.FAILED not in place.states(job_id)


@pytest.mark.parametrize("wish_seconds", [0.0, 0.5])
async def test_another_replica_pauses_and_resumes(
    place: Place, client: KubernetesClient, kubelet: Kubelet, wish_seconds: float
) -> None:
    place.wish_seconds = wish_seconds
    job_id = await place.submit()
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)
    workload = await workload_of(client, await client.get(JOBS, job_id, place.namespace))

    async def set_active(active: bool) -> None:
        await client.patch(WORKLOADS, name_of(workload), {"spec": {"active": active}}, place.namespace)

    since = len(place.told[job_id])
    place.wishes[job_id] = "pause"
    await set_active(False)
    await place.until(job_id, JobState.RUNNING, "stopping", since=since)
    await kubelet.end_deleted(pod)
    await place.until(job_id, JobState.PAUSED, since=since)
    assert JobState.QUEUED not in [update.state for update in place.told[job_id][since:]]

    since = len(place.told[job_id])
    place.wishes[job_id] = "run"
    await set_active(True)
    await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING, since=since)
    again = await client.get(WORKLOADS, name_of(workload), place.namespace)
    assert again["spec"]["active"] is True


async def test_an_end_is_told_until_it_is_recorded(place: Place, kubelet: Kubelet) -> None:
    handed_over = place.runs.handed_over
    failures = 2

    async def away(job_id: str) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError("the database does not answer")
        await handed_over(job_id)

    with (
        patch.object(place.runs, "handed_over", away),
        patch.multiple(job_endings, _RECORDED_SECONDS=0.1, _RETRY_SECONDS=0.1, _KEPT_SECONDS=0.2),
    ):
        job_id = await place.submit()
        await kubelet.finish(await kubelet.run(job_id))

        def told() -> int:
            return [update.state for update in place.told.get(job_id, [])].count(JobState.SUCCEEDED)

        await eventually(lambda: told() >= 3)
        del place.wishes[job_id]
        await eventually(lambda: job_id in place.runs.ended)
        before = told()
        assert before <= told() <= before + 1


async def test_what_fails_on_our_side_is_tried_again(place: Place) -> None:
    begin = place.runs.begin
    failures = 2

    async def away(cluster: str, spec: object) -> object:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError("the database does not answer")
        return await begin(cluster, spec)  # type: ignore[arg-type]

    with patch.object(place.runs, "begin", away):
        job_id = await place.submit()
        await place.until(job_id, JobState.ADMITTED)


async def test_a_secret_that_a_crash_has_left_alone(place: Place, client: KubernetesClient) -> None:
    """The platform was killed before it could say whose the Secret is, or before it could make the Job."""
    spec, lone = place.spec(), place.spec()
    await place.until(await place.submit(spec), JobState.ADMITTED)
    await place.stop()
    merge = {"metadata": {"ownerReferences": None}}
    orphan = await client.patch(SECRETS, spec.job_id, merge, place.namespace)
    assert get(orphan, "metadata", "ownerReferences") is None
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": lone.job_id, "namespace": place.namespace, "labels": get(orphan, "metadata", "labels")},
    }
    await client.apply(SECRETS, manifest)
    place.told.clear()

    await place.start()
    await place.submit(spec)
    place.wishes[lone.job_id] = "cancel"
    await place.cluster.jobs.submit(lone)
    await place.cluster.jobs.cancel(lone.job_id)

    await place.until(lone.job_id, JobState.CANCELLED)
    await gone(client, place.namespace, lone.job_id, SECRETS)
    await owned_secret(client, await client.get(JOBS, spec.job_id, place.namespace))
