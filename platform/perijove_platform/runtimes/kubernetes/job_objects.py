"""What is done to a job's objects in the cluster: made, stopped, started again, deleted. Each may be done twice."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace

from perijove_platform.runtimes.base import JobSpec
from perijove_platform.runtimes.job_runs import JobRuns
from perijove_platform.runtimes.kubernetes import job_manifests
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import AlreadyExists, Conflict, NotFound
from perijove_platform.runtimes.kubernetes.job_manifests import (
    PodSettings,
    job_name,
    labels_of,
    plan_of,
    secret_values,
)
from perijove_platform.runtimes.kubernetes.manifests import JOB, SHOWN, namespace_name
from perijove_platform.runtimes.kubernetes.objects import (
    JOBS,
    PODS,
    SECRETS,
    WORKLOADS,
    Object,
    get,
    label_of,
    name_of,
    namespace_of,
    owner_uid,
    uid_of,
)
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues

logger = logging.getLogger(__name__)


class JobObjects:
    """Every method raises `failures.KubernetesError` and `failures.Unreachable`."""

    def __init__(
        self, client: KubernetesClient, cluster_id: str, queues: ClusterQueues, runs: JobRuns, pods: PodSettings
    ) -> None:
        self._client = client
        self._cluster_id = cluster_id
        self._queues = queues
        self._runs = runs
        self._pods = pods

    async def begin(self, spec: JobSpec) -> Mapping[str, str]:
        """The files of the job's Secret, for `make`; once for each Job, since earlier ones stop working.

        Raises:
            errors.ApiError: it cannot run here; says why.
        """
        plan = plan_of(spec, self._pods)
        values = secret_values(spec)
        if not plan.ours and not plan.fetches:
            return values  # it asks the platform for nothing
        run = spec if plan.ours else replace(spec, config={})
        return {**values, **await self._runs.begin(self._cluster_id, run)}

    async def make(self, spec: JobSpec, files: Mapping[str, str]) -> None:
        """The job's Secret and its suspended Job.

        Raises:
            queues.NotOurs: the project's place in the cluster is somebody else's.
        """
        plan = plan_of(spec, self._pods)
        await self._queues.ensure_project(spec.project_id)
        await self._queues.ensure_priority(spec.priority)
        manifest = job_manifests.job(
            spec, plan, self._pods, cluster_id=self._cluster_id, accelerator=self._queues.accelerator
        )
        labels, namespace = labels_of(spec, self._cluster_id), namespace_name(spec.project_id)
        # The Secret first, then whose it is: a Job that has been found after a crash has its Secret.
        try:
            await self._client.apply(
                SECRETS, job_manifests.secret(None, job_name(spec.job_id), files, labels, namespace)
            )
        except NotFound:
            self._queues.forget_project(spec.project_id)
            raise
        try:
            made = await self._client.apply(JOBS, manifest, force=False)
        except (AlreadyExists, Conflict):
            made = await self._client.get(JOBS, job_name(spec.job_id), namespace)
        await self._client.apply(SECRETS, job_manifests.secret(made, name_of(made), files, labels, namespace))

    async def pods(self, job: Object) -> list[Object]:
        """Of all its attempts, as they are now."""
        pages = self._client.list(PODS, namespace_of(job), labels=f"{JOB}={label_of(job, JOB)}")
        return [pod async for page in pages for pod in page.items if owner_uid(pod, JOBS.kind) == uid_of(job)]

    async def own_secret(self, job: Object) -> None:
        """Let a Job's Secret go with it, which whoever made both may not have come to say."""
        owned = job_manifests.secret(job, name_of(job), {}, {}, namespace_of(job) or "")
        owners = {"metadata": {"ownerReferences": owned["metadata"]["ownerReferences"]}}
        with contextlib.suppress(NotFound):
            await self._client.patch(SECRETS, name_of(job), owners, namespace_of(job))

    async def show(self, job: Object) -> None:
        """Change the Job in a way that means nothing, so that whoever watches it looks at it again."""
        shown = int(get(job, "metadata", "annotations", SHOWN, default="0")) + 1
        with contextlib.suppress(NotFound):
            annotations = {"metadata": {"annotations": {SHOWN: str(shown)}}}
            await self._client.patch(JOBS, name_of(job), annotations, namespace_of(job))

    async def delete_secret(self, spec: JobSpec) -> None:
        """The Secret of a job that has no Job, in case that it has one."""
        await self._client.delete(SECRETS, job_name(spec.job_id), namespace_name(spec.project_id))

    async def set_active(self, workload: Object, active: bool) -> None:
        """Let Kueue stop the job's pods, or queue it anew."""
        if (get(workload, "spec", "active", default=True) is not False) != active:
            await self._client.patch(WORKLOADS, name_of(workload), {"spec": {"active": active}}, namespace_of(workload))

    async def delete(self, job: Object, *, at_once: bool) -> None:
        """The Job with its pods and its Secret.

        Args:
            at_once: its pods are to end now; the Job stays visible until they have.
        """
        namespace = namespace_of(job)
        await self._client.delete(
            JOBS, name_of(job), namespace, propagation="Foreground" if at_once else "Background", uid=uid_of(job)
        )
        await self._client.delete(SECRETS, name_of(job), namespace)
