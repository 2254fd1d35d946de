"""What runs in a cluster, as its watches tell: the report that `ClustersService.record_status` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class NodeCondition:
    """As in a Node's `status.conditions`; `status` is ``True``, ``False`` or ``Unknown``."""

    type: str
    status: str
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """One node.

    Attributes:
        schedulable: false while it is cordoned.
        allocatable: Kubernetes quantities by resource name, what pods can have of it.
        used: what its pods that have not ended request.
        accelerator: type of its accelerators, as ``NVIDIA-H100-80GB-HBM3`` or ``tpu-v5-lite-podslice``.
    """

    name: str
    ready: bool
    schedulable: bool = True
    kubelet_version: str | None = None
    accelerator: str | None = None
    conditions: Sequence[NodeCondition] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)
    used: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AcceleratorStatus:
    """GPUs or TPUs of one type.

    Attributes:
        type: as in `NodeStatus.accelerator`.
        resource: under which pods request them, as ``nvidia.com/gpu``.
        total: devices on all nodes.
        used: devices that pods hold.
    """

    type: str
    resource: str
    total: int
    used: int


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """A ClusterQueue of Kueue.

    Attributes:
        project_id: whose it is; ``None`` for one that is not ours.
        active: whether Kueue admits from it; `reason` says why not.
        pending: workloads that wait.
        admitted: workloads that hold quota.
        quota: nominal, by resource name.
        used: of the quota, by resource name.
    """

    name: str
    project_id: str | None = None
    active: bool = True
    reason: str | None = None
    pending: int = 0
    admitted: int = 0
    quota: Mapping[str, str] = field(default_factory=dict)
    used: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StatusReport:
    """A whole cluster, at one moment.

    Attributes:
        kubernetes_version: as the API server tells, ``v1.34.4``.
        components: versions by name, as ``{"agent": "0.1.0", "kueue": "v0.18.2"}``; an empty version is one that is
            there but does not tell.
        problems: what an operator should know, in words, beyond what the nodes and queues say.
    """

    kubernetes_version: str
    nodes: Sequence[NodeStatus] = ()
    accelerators: Sequence[AcceleratorStatus] = ()
    queues: Sequence[QueueStatus] = ()
    components: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()
