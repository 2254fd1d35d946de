"""What a cluster has, uses and runs, as a report that is pushed when it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from perijove_platform.clusters.quantities import Quantity, QuantityError, totals
from perijove_platform.clusters.status import (
    AcceleratorStatus,
    NodeCondition,
    NodeStatus,
    QueueStatus,
    StatusReport,
)
from perijove_platform.runtimes.base import Capacity
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import KubernetesError, Unreachable
from perijove_platform.runtimes.kubernetes.inventory import accelerators_of, is_ready
from perijove_platform.runtimes.kubernetes.manifests import MANAGED_BY, PROJECT
from perijove_platform.runtimes.kubernetes.objects import (
    DEPLOYMENTS,
    Object,
    condition,
    get,
    label_of,
    name_of,
)
from perijove_platform.runtimes.kubernetes.pod_requests import asked, by_node
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues
from perijove_platform.runtimes.kubernetes.watch import Change, Reflector

logger = logging.getLogger(__name__)

Record = Callable[[StatusReport], Awaitable[None]]
_EVERY_SECONDS = 1.0
KUEUE_DEPLOYMENT = "kueue-controller-manager"
_NODE_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


class CapacityWatch:
    """Reports a cluster each time its nodes, pods or queues change, at most once a second.

    Args:
        record: takes the reports.
        absent: whether the cluster lacks Kueue.
    """

    def __init__(
        self, client: KubernetesClient, queues: ClusterQueues, record: Record, absent: Callable[[], bool]
    ) -> None:
        self._client = client
        self._queues = queues
        self._record = record
        self._absent = absent
        queues.pods.listen(self._on_pod)
        self._kueue = Reflector(
            client,
            DEPLOYMENTS,
            fields=f"metadata.name={KUEUE_DEPLOYMENT}",
            keep=kept_image,
            on_change=lambda change: self._changed.set(),
        )
        self._changed = asyncio.Event()
        self.newest: StatusReport | None = None

    def reflectors(self) -> Sequence[Reflector]:
        return (self._kueue,)

    def changed(self) -> None:
        """Something else that the report tells has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        version = await self._version()
        await asyncio.gather(*(found.synced.wait() for found in self._queues.reflectors()))
        kubelets = self._kubelets()
        while True:
            self._changed.clear()
            if kubelets != (kubelets := self._kubelets()):
                version = await self._version()  # nodes follow a control plane that was upgraded
            try:
                self.newest = report_of(
                    version,
                    list(self._queues.nodes),
                    self._queues.pods,
                    list(self._queues.cluster_queues),
                    kueue=None if self._absent() else next((version_of(found) for found in self._kueue), ""),
                )
                await self._record(self.newest)
            except Exception:
                logger.exception("The report of a cluster cannot be taken")
            await asyncio.sleep(_EVERY_SECONDS)
            await self._changed.wait()

    def _kubelets(self) -> set[str | None]:
        return {get(node, "status", "nodeInfo", "kubeletVersion") for node in self._queues.nodes}

    async def _version(self) -> str:
        while True:
            await self._client.transport.wait_reachable()
            try:
                return str((await self._client.read("/version")).get("gitVersion", ""))
            except (KubernetesError, Unreachable) as error:
                logger.debug("The version of a cluster cannot be read: %s", error)
                await asyncio.sleep(_EVERY_SECONDS)

    def _on_pod(self, change: Change) -> None:
        if change.old is None or change.new is None or asked(change.old) != asked(change.new):
            self._changed.set()


def report_of(
    version: str, nodes: Sequence[Object], pods: Iterable[Object], queues: Sequence[Object], *, kueue: str | None
) -> StatusReport:
    """Everything about a cluster at one moment.

    Args:
        version: of Kubernetes.
        kueue: its version, empty where it does not tell; ``None`` where there is none.
    """
    used = by_node(pods)
    return StatusReport(
        kubernetes_version=version,
        nodes=[_node(node, used.get(name_of(node), {})) for node in nodes],
        accelerators=_accelerators(nodes, used),
        queues=[_queue(queue) for queue in queues],
        components={} if kueue is None else {"kueue": kueue},
        problems=[] if kueue is not None else ["the cluster has no Kueue, without which no job can run"],
    )


def kept_image(deployment: Object) -> Object:
    """Of a Deployment: its manager's image."""
    metadata = {name: get(deployment, "metadata", name) for name in ("name", "namespace", "uid", "resourceVersion")}
    containers = get(deployment, "spec", "template", "spec", "containers", default=())
    # Beside the manager there may be a proxy of its metrics.
    image = next((found.get("image") for found in containers if found.get("name") == "manager"), None)
    return {"metadata": metadata, "image": str(image or get(containers, 0, "image", default=""))}


def version_of(kept: Object) -> str:
    """The image's tag; empty where it has none."""
    _, colon, tag = str(kept["image"]).partition("@")[0].rpartition(":")
    return tag if colon and "/" not in tag else ""


def _node(node: Object, used: Mapping[str, Quantity]) -> NodeStatus:
    kinds = accelerators_of(node)
    conditions = [
        NodeCondition(
            type=type,
            status=str(found.get("status")),
            reason=get(found, "reason"),
            message=get(found, "message"),
        )
        for type in _NODE_CONDITIONS
        if (found := condition(node, type)) is not None
    ]
    return NodeStatus(
        name=name_of(node),
        ready=is_ready(node),
        schedulable=not get(node, "spec", "unschedulable", default=False),
        kubelet_version=get(node, "status", "nodeInfo", "kubeletVersion"),
        accelerator=next((kind.type for kind in kinds), None),
        conditions=conditions,
        allocatable={name: str(text) for name, text in get(node, "status", "allocatable", default={}).items()},
        used={name: str(amount) for name, amount in used.items()},
    )


def _accelerators(nodes: Sequence[Object], used: Mapping[str, Mapping[str, Quantity]]) -> list[AcceleratorStatus]:
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for node in nodes:
        for kind, count in accelerators_of(node).items():
            total, held = found.get((kind.type, kind.resource), (0, 0))
            mine = used.get(name_of(node), {}).get(kind.resource, Quantity()).value
            found[kind.type, kind.resource] = (total + count, held + mine)
    return [
        AcceleratorStatus(type=type, resource=resource, total=total, used=held)
        for (type, resource), (total, held) in sorted(found.items())
    ]


def _queue(queue: Object) -> QueueStatus:
    active = condition(queue, "Active")
    groups = get(queue, "spec", "resourceGroups", default=())
    flavors = [flavor for group in groups for flavor in get(group, "flavors", default=())]
    return QueueStatus(
        name=name_of(queue),
        project_id=label_of(queue, PROJECT) if label_of(queue, MANAGED_BY) == "perijove" else None,
        active=active is None or active.get("status") == "True",
        reason=None if active is None or active.get("status") == "True" else str(active.get("message") or ""),
        pending=int(get(queue, "status", "pendingWorkloads", default=0)),
        admitted=int(get(queue, "status", "admittedWorkloads", default=0)),
        quota=_by_resource(flavors, "nominalQuota"),
        used=_by_resource(get(queue, "status", "flavorsReservation", default=()), "total"),
    )


def _by_resource(flavors: Iterable[Object], field: str) -> dict[str, str]:
    try:
        found = totals(
            {str(get(resource, "name")): str(get(resource, field, default="0"))}
            for flavor in flavors
            for resource in get(flavor, "resources", default=())
        )
    except QuantityError:
        return {}
    return {name: str(amount) for name, amount in found.items()}


def capacity_of(report: StatusReport | None) -> Capacity:
    """What the nodes have and what is free of it; nothing before the first report. Disks are not known."""
    nodes = () if report is None else report.nodes
    accelerators = () if report is None else report.accelerators
    has, used = _total([node.allocatable for node in nodes]), _total([node.used for node in nodes])
    memory = has.get("memory", Quantity())
    devices, held = sum(kind.total for kind in accelerators), sum(kind.used for kind in accelerators)
    return Capacity(
        cpus=has.get("cpu", Quantity()).value,
        memory_bytes=memory.value,
        memory_free_bytes=max(0, (memory - used.get("memory", Quantity())).value),
        gpus=devices,
        gpus_free=max(0, devices - held),
        disk_free_bytes=0,
    )


def _total(amounts: Sequence[Mapping[str, str]]) -> dict[str, Quantity]:
    try:
        return totals(amounts)
    except QuantityError:
        return {}
