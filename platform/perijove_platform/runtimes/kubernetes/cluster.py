"""A Kubernetes cluster as a `Cluster`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from perijove_platform.clusters.registry import RegisteredCluster
from perijove_platform.errors import Unavailable
from perijove_platform.runtimes.base import Capacity, Endpoint, EngineUpdate, Jobs, ModelSpec, Serving
from perijove_platform.runtimes.job_runs import JobRuns
from perijove_platform.runtimes.kubernetes.base import Tunnels
from perijove_platform.runtimes.kubernetes.capacity import CapacityWatch, Record, capacity_of
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.job_endings import WishOf
from perijove_platform.runtimes.kubernetes.job_manifests import PodSettings
from perijove_platform.runtimes.kubernetes.job_timers import START_SECONDS
from perijove_platform.runtimes.kubernetes.jobs import KubernetesJobs
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues, QuotaOf
from perijove_platform.runtimes.kubernetes.transport import Transport, TunnelTransport
from perijove_platform.runtimes.kubernetes.watch import Change

logger = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class ClusterServices:
    """What the platform gives the runtime of one cluster.

    Attributes:
        wish_of: what the owner of a job wants.
        quota_of: what a project may use of this cluster.
        record: takes what the cluster shows of itself.
    """

    runs: JobRuns
    wish_of: WishOf
    quota_of: QuotaOf
    record: Record


class KubernetesCluster:
    """See `base.Cluster`. Nothing is opened before `start`, which waits for no agent.

    Args:
        registered: which cluster it is.
        tunnels: the way to it; ``None`` with a transport that needs none.
        jobs_dir: logs and results of jobs are kept in ``jobs_dir/<job id>``.
        start_seconds: for which a job may hold quota without being able to start, see `job_timers`.
    """

    def __init__(
        self,
        registered: RegisteredCluster,
        transport: Transport,
        services: ClusterServices,
        pods: PodSettings,
        jobs_dir: Path,
        *,
        tunnels: Tunnels | None = None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self.name = registered.name
        self._id = registered.id
        self._transport = transport
        self._tunnels = tunnels
        client = KubernetesClient(transport)
        self._queues = ClusterQueues(client, registered.organization_id, services.quota_of)
        self._jobs = KubernetesJobs(
            client,
            registered.id,
            self._queues,
            services.runs,
            services.wish_of,
            pods,
            jobs_dir,
            start_seconds=start_seconds,
        )
        self._capacity = CapacityWatch(client, self._queues, services.record, lambda: self._jobs.view.workloads.absent)
        self._queues.cluster_queues.listen(self._on_queue)
        self._queues.nodes.listen(self._on_node)
        self.jobs: Jobs = self._jobs
        self.serving: Serving = NoServing()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        reflectors = [*self._queues.reflectors(), *self._jobs.view.reflectors(), *self._capacity.reflectors()]
        work = [*(reflector.run() for reflector in reflectors), self._queues.run(), self._capacity.run()]
        if self._tunnels is not None and isinstance(self._transport, TunnelTransport):
            work.append(_follow_connection(self._tunnels, self._id, self._transport))
        self._tasks = [asyncio.create_task(one) for one in work]
        await self._jobs.start()

    async def stop(self) -> None:
        await self._jobs.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()

    async def capacity(self) -> Capacity:
        """As last seen; nothing before the cluster has been reached."""
        return capacity_of(self._capacity.newest)

    def quotas_changed(self) -> None:
        """A quota of this cluster has been set or removed."""
        self._queues.quotas_changed()

    def _on_queue(self, change: Change) -> None:
        self._capacity.changed()
        self._jobs.view.queue_changed(None)

    def _on_node(self, change: Change) -> None:
        self._capacity.changed()


def tunnelled(
    registered: RegisteredCluster,
    tunnels: Tunnels,
    services: ClusterServices,
    pods: PodSettings,
    jobs_dir: Path,
    *,
    start_seconds: float = START_SECONDS,
) -> KubernetesCluster:
    """A cluster whose agent dials the platform."""
    transport = TunnelTransport(tunnels, registered.id)
    return KubernetesCluster(
        registered, transport, services, pods, jobs_dir, tunnels=tunnels, start_seconds=start_seconds
    )


class NoServing:
    """`base.Serving` of a cluster that runs jobs only."""

    def use(self, spec: ModelSpec) -> AbstractAsyncContextManager[Endpoint]:
        return self._refuse(spec)

    @contextlib.asynccontextmanager
    async def _refuse(self, spec: ModelSpec) -> AsyncIterator[Endpoint]:
        raise Unavailable(
            f"Model '{spec.model_id}' cannot be served on this cluster, which runs jobs only. Serve it on 'local'.",
            code="serving_unavailable",
        )
        yield

    async def unload(self, model_id: str) -> None:
        """Nothing is loaded."""

    def engines(self) -> Sequence[EngineUpdate]:
        return ()

    async def watch(self) -> AsyncIterator[EngineUpdate]:
        await asyncio.Event().wait()
        for update in self.engines():
            yield update


async def _follow_connection(tunnels: Tunnels, cluster_id: str, transport: TunnelTransport) -> None:
    while True:
        transport.set_connected(tunnels.connected(cluster_id))
        try:
            async for changed, connected in tunnels.watch():
                if changed == cluster_id:
                    transport.set_connected(connected)
        except Exception:
            logger.exception("The connection of cluster %s cannot be followed", cluster_id)
        await asyncio.sleep(_RETRY_SECONDS)
