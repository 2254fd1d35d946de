"""Who waits for what, and what platforms that share a cluster leave alone, on a real control plane."""

from __future__ import annotations

from pathlib import Path

from perijove_platform.clusters.quotas import ProjectQuota
from perijove_platform.runtimes.base import JobState, JobUpdate
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.manifests import cluster_queue_name
from perijove_platform.runtimes.kubernetes.objects import CLUSTER_QUEUES, DEPLOYMENTS, get

from .control_plane import LoopbackTunnels
from .kubelet import Kubelet
from .place import Place, eventually


async def test_the_one_job_that_has_what_another_waits_for(place: Place) -> None:
    first = await place.submit(place.spec(cpus=2))
    await place.until(first, JobState.ADMITTED)
    second = await place.submit(place.spec(cpus=1))

    await place.until(second, JobState.QUEUED, f"waiting for 1 CPU: none is free, next release by job {first}")


async def test_the_job_that_says_that_it_ends_first(place: Place, kubelet: Kubelet) -> None:
    slow, fast = [await place.submit(place.spec(cpus=1)) for _ in range(2)]
    for job_id in (slow, fast):
        await kubelet.run(job_id)
        await place.until(job_id, JobState.RUNNING)
    third = await place.submit(place.spec(cpus=1))
    waits = await place.until(third, JobState.QUEUED, "waiting for 1 CPU: none is free")
    assert "next release" not in str(waits.reason)

    for number, (job_id, seconds) in enumerate(((slow, 3600), (fast, 60)), start=1):
        report = {"type": "metrics", "step": 1, "eta_seconds": seconds}
        await place.runs.reports.put(JobUpdate(job_id=job_id, report=report, number=number))

    await eventually(lambda: str(place.told[third][-1].reason).endswith(f"next release by job {fast}"))


async def test_the_queues_of_another_organization_are_left_alone(
    place: Place, tunnels: LoopbackTunnels, client: KubernetesClient, tmp_path: Path
) -> None:
    other = Place(tunnels, tmp_path / "other")
    other.quota = ProjectQuota(resources={"cpu": "1", "memory": "1Gi"}, cohort="team")
    await other.start()
    try:
        await other.until(await other.submit(), JobState.ADMITTED)
        before = await client.get(CLUSTER_QUEUES, cluster_queue_name(other.project))
        await place.until(await place.submit(), JobState.ADMITTED)

        place.quota = ProjectQuota(resources={"cpu": "4", "memory": "4Gi"}, cohort=None)
        place.cluster.quotas_changed()
        queue = cluster_queue_name(place.project)
        await place.until(await place.submit(place.spec(cpus=2)), JobState.ADMITTED)

        after = await client.get(CLUSTER_QUEUES, cluster_queue_name(other.project))
        assert (await client.get(CLUSTER_QUEUES, queue))["metadata"]["labels"][
            "perijove.dev/organization"
        ] == place.organization
        assert after["spec"] == before["spec"]
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
    finally:
        await other.stop()


async def test_kueue_s_version_follows_its_deployment(place: Place, client: KubernetesClient) -> None:
    labels = {"control-plane": "controller-manager"}

    async def deploy(image: str) -> None:
        container = {"name": "manager", "image": image}
        await client.apply(
            DEPLOYMENTS,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "kueue-controller-manager", "namespace": "kueue-system"},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                },
            },
        )

    def version() -> str | None:
        return place.reports[-1].components.get("kueue") if place.reports else None

    await eventually(lambda: version() == "")
    await deploy("registry.example:5000/kueue/kueue:v0.18.2@sha256:" + "0" * 64)
    await eventually(lambda: version() == "v0.18.2")
    await deploy("registry.example:5000/kueue/kueue:v0.19.0")
    await eventually(lambda: version() == "v0.19.0")
    deployment = await client.get(DEPLOYMENTS, "kueue-controller-manager", "kueue-system")
    assert get(deployment, "spec", "replicas") == 0
    await client.delete(DEPLOYMENTS, "kueue-controller-manager", "kueue-system")
    await eventually(lambda: version() == "")
