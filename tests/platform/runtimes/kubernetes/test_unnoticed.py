"""A Job that Kueue has left alone, on a real control plane with Kueue."""

from __future__ import annotations

from unittest.mock import patch

from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes import manifests, unnoticed
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.objects import JOBS, NAMESPACES, Object, get

from .control_plane import PASSED_OVER
from .place import Place, once


async def test_a_job_that_kueue_has_left_alone_is_shown_to_it_again(place: Place, client: KubernetesClient) -> None:
    await place.stop()
    with patch.object(unnoticed, "UNNOTICED_SECONDS", 0.5):
        await place.start()
    namespace = manifests.namespace(place.project)
    labels = {"labels": {**namespace["metadata"]["labels"], PASSED_OVER: "yes"}}
    await client.apply(NAMESPACES, {**namespace, "metadata": {**namespace["metadata"], **labels}})
    # As somebody else's label, which the platform does not take away.
    await client.patch(NAMESPACES, place.namespace, {"metadata": {"labels": {PASSED_OVER: "still"}}})

    job_id = await place.submit()
    await place.until(job_id, JobState.QUEUED, "waiting for Kueue to take the job up")

    def shown_twice(job: Object) -> bool:
        return int(get(job, "metadata", "annotations", manifests.SHOWN, default="0")) >= 2

    await once(shown_twice, client, JOBS, job_id, place.namespace)
    assert JobState.ADMITTED not in place.states(job_id)
    await client.patch(NAMESPACES, place.namespace, {"metadata": {"labels": {PASSED_OVER: None}}})
    await place.until(job_id, JobState.ADMITTED)
