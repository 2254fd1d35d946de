"""What the nodes of a cluster have: CPUs, memory, and accelerators by type."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from perijove_platform.clusters.quantities import Quantity, QuantityError, parse
from perijove_platform.runtimes.kubernetes.manifests import DEFAULT_FLAVOR, Flavor
from perijove_platform.runtimes.kubernetes.objects import Object, condition, get, name_of, object_name
from perijove_platform.runtimes.kubernetes.pod_requests import by_node, lasting, pod_requests

BASE_RESOURCES = ("cpu", "memory")
DEFAULT_ACCELERATOR = "nvidia.com/gpu"
_ACCELERATORS = (
    "nvidia.com/gpu",
    "google.com/tpu",
    "amd.com/gpu",
    "gpu.intel.com/i915",
    "gpu.intel.com/xe",
    "habana.ai/gaudi",
    "aws.amazon.com/neuron",
    "aws.amazon.com/neuroncore",
)
_ACCELERATOR_PREFIXES = ("nvidia.com/mig-",)
_TYPE_LABELS: Mapping[str, Sequence[str]] = {
    "nvidia.com/": ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "k8s.amazonaws.com/accelerator"),
    "google.com/": ("cloud.google.com/gke-tpu-accelerator",),
    "amd.com/": ("amd.com/gpu.product-name", "beta.amd.com/gpu.product-name"),
    "gpu.intel.com/": ("gpu.intel.com/product",),
    "aws.amazon.com/": ("aws.amazon.com/neuron.instance-type", "node.kubernetes.io/instance-type"),
}
_NODE_TAINTS = "node.kubernetes.io/"


class Accelerator(NamedTuple):
    """A kind of device.

    Attributes:
        resource: under which pods request it.
        label: of the nodes that have it, which says its type; empty where nodes do not tell.
        type: as that label says, or the resource's name.
    """

    resource: str
    label: str
    type: str


class Room(NamedTuple):
    """What a node has for jobs.

    Attributes:
        left: by resource name.
    """

    node: Object
    left: Mapping[str, Quantity]

    def takes(self, pod: Object) -> bool:
        """Whether the pod could run there if no other job did; what Kubernetes itself has against the node passes."""
        chosen = get(pod, "spec", "nodeSelector", default={})
        return (
            all(get(self.node, "metadata", "labels", name) == value for name, value in chosen.items())
            and all(_tolerates(pod, taint) for taint in _job_taints(self.node))
            and all(amount <= self.left.get(name, Quantity()) for name, amount in pod_requests(pod).items())
        )


@dataclass(frozen=True)
class Inventory:
    """What there is of each flavor.

    Attributes:
        flavors: the default one first, then one for each kind of accelerator.
        totals: by flavor's name and resource name, over the nodes that take jobs, without what lasting pods have.
        accelerators: resource names, the one with the most devices first.
        rooms: of the nodes that take jobs.
    """

    flavors: Sequence[Flavor]
    totals: Mapping[tuple[str, str], Quantity]
    accelerators: Sequence[str]
    rooms: Sequence[Room]

    def takes(self, pod: Object) -> bool:
        """Whether any node could run the pod if no other job was there."""
        return any(room.takes(pod) for room in self.rooms)


def is_accelerator(resource: str) -> bool:
    return resource in _ACCELERATORS or resource.startswith(_ACCELERATOR_PREFIXES)


def accelerators_of(node: Object) -> dict[Accelerator, int]:
    """The devices that a node gives to pods, by kind."""
    found: dict[Accelerator, int] = {}
    for resource, text in get(node, "status", "allocatable", default={}).items():
        if is_accelerator(resource) and (count := _quantity(text).value) > 0:
            found[_kind(node, resource)] = count
    return found


def is_ready(node: Object) -> bool:
    return bool(get(condition(node, "Ready"), "status") == "True")


def inventory(nodes: Iterable[Object], pods: Iterable[Object] = ()) -> Inventory:
    """What jobs can be given. A node that is cordoned or does not answer still has what it has.

    Args:
        pods: all of the cluster, as `pod_requests.kept_requests` keeps them.
    """
    held = by_node(filter(lasting, pods))
    totals: dict[tuple[str, str], Quantity] = {}
    counts: dict[str, int] = {}
    found: dict[Accelerator, list[Object]] = {}
    rooms: list[Room] = []
    for node in nodes:
        devices = accelerators_of(node)
        if not devices and _keeps_jobs_away(node):
            continue
        left = _left(node, held.get(name_of(node), {}))
        rooms.append(Room(node, left))
        for resource in BASE_RESOURCES:
            _add(totals, DEFAULT_FLAVOR, resource, left.get(resource, Quantity()))
        for kind, count in devices.items():
            found.setdefault(kind, []).append(node)
            counts[kind.resource] = counts.get(kind.resource, 0) + count
            _add(totals, _flavor_name(kind), kind.resource, left[kind.resource])
    flavors = [Flavor(name=DEFAULT_FLAVOR, resources=BASE_RESOURCES)]
    flavors += [_flavor(kind, found[kind]) for kind in sorted(found)]
    return Inventory(flavors, totals, sorted(counts, key=lambda resource: (-counts[resource], resource)), rooms)


def _left(node: Object, held: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """What a node has for jobs, by resource name; never less than nothing."""
    return {
        resource: max(Quantity(), _quantity(text) - held.get(resource, Quantity()))
        for resource, text in get(node, "status", "allocatable", default={}).items()
    }


def _kind(node: Object, resource: str) -> Accelerator:
    for prefix, labels in _TYPE_LABELS.items():
        if resource.startswith(prefix):
            for label in labels:
                if type := get(node, "metadata", "labels", label):
                    return Accelerator(resource, label, str(type))
    return Accelerator(resource, "", resource)


def _flavor(kind: Accelerator, nodes: Sequence[Object]) -> Flavor:
    tolerations = {
        (str(taint.get("key")), str(taint.get("effect"))): {
            "key": str(taint.get("key")),
            "operator": "Exists",
            "effect": str(taint.get("effect")),
        }
        for node in nodes
        for taint in _job_taints(node)
    }
    return Flavor(
        name=_flavor_name(kind),
        resources=(kind.resource,),
        node_labels={kind.label: kind.type} if kind.label else {},
        tolerations=[tolerations[key] for key in sorted(tolerations)],
    )


def _flavor_name(kind: Accelerator) -> str:
    """The type in words; with a digest, since two types may read alike or be too long."""
    digest = hashlib.sha256("\n".join(kind).encode()).hexdigest()[:6]
    return object_name("perijove", kind.type[:40], digest)


def _job_taints(node: Object) -> list[Object]:
    """Those by which an administrator keeps a node for certain jobs; Kubernetes' own come and go."""
    return [
        taint
        for taint in get(node, "spec", "taints", default=())
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not str(taint.get("key")).startswith(_NODE_TAINTS)
    ]


def _tolerates(pod: Object, taint: Object) -> bool:
    return any(
        found.get("key") in (None, taint.get("key"))
        and found.get("effect") in (None, taint.get("effect"))
        and (found.get("operator") == "Exists" or (found.get("value") or "") == (taint.get("value") or ""))
        for found in get(pod, "spec", "tolerations", default=())
    )


def _keeps_jobs_away(node: Object) -> bool:
    return bool(_job_taints(node))


def _add(totals: dict[tuple[str, str], Quantity], flavor: str, resource: str, more: Quantity) -> None:
    totals[flavor, resource] = totals.get((flavor, resource), Quantity()) + more


def _quantity(text: object) -> Quantity:
    """What a node reports wrongly counts as nothing."""
    try:
        return parse(str(text))
    except QuantityError:
        return Quantity()
