"""What goes wrong around jobs on a real control plane with Kueue; the test plays the kubelet."""

from __future__ import annotations

import asyncio

from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.objects import (
    JOBS,
    PODS,
    condition,
    uid_of,
)

from .control_plane import ControlPlane, LoopbackTunnels
from .kubelet import Kubelet, workload_of
from .place import Place, eventually, gone


async def test_an_evicted_pod_is_made_anew(place: Place, client: KubernetesClient, kubelet: Kubelet) -> None:
    job_id = await place.submit()
    pod = await kubelet.run(job_id)
    await place.until(job_id, JobState.RUNNING)
    target = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "evicting"}
    ended = {
        "exitCode": 143,
        "reason": "Error",
        "startedAt": "2026-11-21T08:00:00Z",
        "finishedAt": "2026-11-21T08:00:09Z",
    }

    await kubelet.say(pod, "Failed", {"terminated": ended}, conditions=[target])

    told = await place.until(job_id, JobState.ADMITTED, "evicted: its node is being drained; goes on from its last")
    assert told.state is JobState.ADMITTED
    again = await kubelet.run(job_id)
    assert uid_of(again) != uid_of(pod)
    await kubelet.finish(again)
    await place.until(job_id, JobState.SUCCEEDED)
    assert JobState.FAILED not in place.states(job_id)


async def test_a_restart_adopts_what_is_wanted_and_ends_the_rest(
    place: Place, client: KubernetesClient, kubelet: Kubelet
) -> None:
    wanted, unwanted, paused, ends = [place.spec(cpus=0.5) for _ in range(4)]
    for spec in (wanted, unwanted, paused, ends):
        await place.submit(spec)
        await place.until(spec.job_id, JobState.ADMITTED)
    running = await kubelet.run(wanted.job_id)
    ending = await kubelet.run(ends.job_id)
    await place.until(ends.job_id, JobState.RUNNING)
    await place.stop()
    del place.wishes[unwanted.job_id]
    place.wishes[paused.job_id] = "pause"
    await kubelet.finish(ending)
    place.told.clear()

    await place.start()
    await place.submit(wanted)
    await place.submit(ends)

    await place.until(wanted.job_id, JobState.RUNNING)
    await place.until(ends.job_id, JobState.SUCCEEDED)
    await eventually(lambda: unwanted.job_id in place.runs.ended)
    await gone(client, place.namespace, unwanted.job_id)
    await place.until(paused.job_id, JobState.PAUSED)
    assert sorted(place.runs.begun) == sorted(spec.job_id for spec in (wanted, unwanted, paused, ends))
    assert uid_of(await client.get(PODS, running["metadata"]["name"], place.namespace)) == uid_of(running)
    await kubelet.finish(running)
    await place.until(wanted.job_id, JobState.SUCCEEDED)


async def test_the_api_server_is_away_for_a_while(
    place: Place, control_plane: ControlPlane, client: KubernetesClient, kubelet: Kubelet
) -> None:
    running = await place.submit(place.spec(cpus=1))
    pod = await kubelet.run(running)
    await place.until(running, JobState.RUNNING)

    with control_plane.away("kube-apiserver"):
        meanwhile = await place.submit(place.spec(cpus=1))
        await place.until(meanwhile, JobState.QUEUED, "waiting for the cluster's API server: ")

    await place.until(meanwhile, JobState.ADMITTED)
    await kubelet.finish(pod)
    await place.until(running, JobState.SUCCEEDED)
    assert place.runs.begun.count(meanwhile) == 1


async def test_kueue_is_away_for_a_while(place: Place, control_plane: ControlPlane, client: KubernetesClient) -> None:
    with control_plane.away("kueue"):
        job_id = await place.submit()
        await place.until(job_id, JobState.QUEUED, "waiting for Kueue to take the job up")

    await place.until(job_id, JobState.ADMITTED)
    workload = await workload_of(client, await client.get(JOBS, job_id, place.namespace))
    assert condition(workload, "Admitted") is not None


async def test_the_tunnel_is_cut_again_and_again(place: Place, tunnels: LoopbackTunnels, kubelet: Kubelet) -> None:
    async def cut() -> None:
        while True:
            await asyncio.sleep(0.15)
            await tunnels.cut()

    cutting = asyncio.create_task(cut())
    jobs = [await place.submit(place.spec(cpus=0.25)) for _ in range(8)]
    for job_id in jobs:
        await place.until(job_id, JobState.ADMITTED)
        await kubelet.finish(await kubelet.run(job_id))
    for job_id in jobs:
        await place.until(job_id, JobState.SUCCEEDED)
    cutting.cancel()

    assert tunnels.channels > 5
    assert sorted(place.runs.begun) == sorted(jobs)
