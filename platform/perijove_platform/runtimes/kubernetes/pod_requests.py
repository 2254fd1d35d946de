"""What pods ask for, of whomever they are: all that is kept of those that are not our jobs'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perijove_platform.clusters.quantities import Quantity, QuantityError, parse, totals
from perijove_platform.runtimes.kubernetes.objects import Object, get, name_of, uid_of

ACTIVE_PODS = "status.phase!=Succeeded,status.phase!=Failed"
"""Field selector of the pods that have what they ask for."""
_LASTING = frozenset({"DaemonSet", "Node", "ReplicaSet", "ReplicationController", "StatefulSet"})
"""Kinds whose pods are made again when they end; those of a node are its static ones."""


def kept_requests(pod: Object) -> Object:
    """Of a pod of whomever: where it is, what it asks for, and whether it stays."""
    owners = get(pod, "metadata", "ownerReferences", default=())
    return {
        "metadata": {
            "name": name_of(pod),
            "namespace": get(pod, "metadata", "namespace"),
            "uid": uid_of(pod),
            "resourceVersion": get(pod, "metadata", "resourceVersion"),
        },
        "node": get(pod, "spec", "nodeName"),
        "requests": {resource: str(amount) for resource, amount in pod_requests(pod).items()},
        "lasting": any(owner.get("controller") and owner.get("kind") in _LASTING for owner in owners),
    }


def asked(kept: Object | None) -> tuple[str | None, dict[str, Quantity]]:
    """The node's name, ``None`` for a pod that waits for one, and what it asks for by resource name."""
    return get(kept, "node"), {name: parse(text) for name, text in get(kept, "requests", default={}).items()}


def lasting(kept: Object | None) -> Object | None:
    """The pod, if it is on a node to stay: no queue can wait for its end."""
    return kept if get(kept, "lasting") and get(kept, "node") is not None else None


def by_node(kept: Iterable[Object]) -> dict[str, dict[str, Quantity]]:
    """What these pods ask for together, by node and resource name."""
    used: dict[str, dict[str, Quantity]] = {}
    for pod in kept:
        node, amounts = asked(pod)
        if node is not None:
            mine = used.setdefault(node, {})
            for resource, amount in amounts.items():
                mine[resource] = mine.get(resource, Quantity()) + amount
    return used


def pod_requests(pod: Mapping[str, object]) -> dict[str, Quantity]:
    """Kubernetes' own sum: of what runs at the same time, and no less than what an earlier container needs."""
    running = _sum(get(pod, "spec", "containers", default=()))
    first: dict[str, Quantity] = {}
    for container in get(pod, "spec", "initContainers", default=()):
        wants = _sum([container])
        if get(container, "restartPolicy") == "Always":
            running = {name: running.get(name, Quantity()) + wants.get(name, Quantity()) for name in {*running, *wants}}
        for name, amount in wants.items():
            first[name] = max(first.get(name, Quantity()), amount)
    for name, amount in first.items():
        running[name] = max(running.get(name, Quantity()), amount)
    return running


def _sum(containers: Iterable[Object]) -> dict[str, Quantity]:
    try:
        return totals([get(container, "resources", "requests", default={}) for container in containers])
    except QuantityError:
        return {}
