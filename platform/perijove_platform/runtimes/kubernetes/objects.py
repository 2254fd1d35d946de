"""Kubernetes objects as their JSON says, and the few ways in which they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Object = Mapping[str, Any]
_NOT_IN_NAMES = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True)
class ResourceType:
    """A kind of object and where the API server has it.

    Attributes:
        group: empty for the core group.
        plural: as in the path, ``jobs``.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Without `namespace`, a namespaced kind's objects of all namespaces."""
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/".join(parts)


KUEUE = "kueue.x-k8s.io"
NAMESPACES = ResourceType("", "v1", "Namespace", "namespaces", namespaced=False)
NODES = ResourceType("", "v1", "Node", "nodes", namespaced=False)
PODS = ResourceType("", "v1", "Pod", "pods")
SECRETS = ResourceType("", "v1", "Secret", "secrets")
EVENTS = ResourceType("", "v1", "Event", "events")
JOBS = ResourceType("batch", "v1", "Job", "jobs")
DEPLOYMENTS = ResourceType("apps", "v1", "Deployment", "deployments")
NETWORK_POLICIES = ResourceType("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
ROLE_BINDINGS = ResourceType("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
WORKLOADS = ResourceType(KUEUE, "v1beta2", "Workload", "workloads")
LOCAL_QUEUES = ResourceType(KUEUE, "v1beta2", "LocalQueue", "localqueues")
CLUSTER_QUEUES = ResourceType(KUEUE, "v1beta2", "ClusterQueue", "clusterqueues", namespaced=False)
COHORTS = ResourceType(KUEUE, "v1beta2", "Cohort", "cohorts", namespaced=False)
RESOURCE_FLAVORS = ResourceType(KUEUE, "v1beta2", "ResourceFlavor", "resourceflavors", namespaced=False)
PRIORITY_CLASSES = ResourceType(KUEUE, "v1beta2", "WorkloadPriorityClass", "workloadpriorityclasses", namespaced=False)


def get(value: Any, *path: str | int, default: Any = None) -> Any:
    """What lies at `path` of nested objects and lists; `default` where it is missing or null."""
    for part in path:
        if isinstance(part, int):
            value = value[part] if isinstance(value, Sequence) and -len(value) <= part < len(value) else None
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return default
    return value


def name_of(item: Object) -> str:
    return str(get(item, "metadata", "name", default=""))


def namespace_of(item: Object) -> str | None:
    found = get(item, "metadata", "namespace")
    return None if found is None else str(found)


def uid_of(item: Object) -> str:
    return str(get(item, "metadata", "uid", default=""))


def label_of(item: Object, label: str) -> str | None:
    found = get(item, "metadata", "labels", label)
    return None if found is None else str(found)


def owner_uid(item: Object, kind: str) -> str | None:
    """The uid of the controller of that kind."""
    for owner in get(item, "metadata", "ownerReferences", default=()):
        if owner.get("kind") == kind and owner.get("controller"):
            return str(owner.get("uid"))
    return None


def condition(item: Object | None, type: str) -> Object | None:
    """A condition of `status.conditions`, whatever its status."""
    for found in get(item, "status", "conditions", default=()):
        if isinstance(found, Mapping) and found.get("type") == type:
            return found
    return None


def true_condition(item: Object | None, *types: str) -> Object | None:
    """The first of these conditions that holds."""
    for type in types:
        found = condition(item, type)
        if found is not None and found.get("status") == "True":
            return found
    return None


def time_of(text: Any) -> datetime | None:
    """A time as Kubernetes writes it (RFC 3339, up to nanoseconds); ``None`` for anything else."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def created(item: Object) -> str:
    """When the object was made, in a form that sorts by time."""
    return str(get(item, "metadata", "creationTimestamp", default=""))


def object_name(*parts: str) -> str:
    """A name that Kubernetes takes, of ids of ours: ``object_name("perijove", "proj_1")`` is ``perijove-proj-1``.

    Raises:
        ValueError: it would have more than 63 characters, or none that a name may have.
    """
    words = (_NOT_IN_NAMES.sub("-", part.lower()).strip("-") for part in parts)
    name = "-".join(word for word in words if word)
    if not name or len(name) > 63:
        raise ValueError(f"no Kubernetes name can be made of {parts!r}")
    return name


def selector(labels: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """A label selector, or a field selector, that asks for all of these."""
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return ",".join(f"{label}={value}" for label, value in pairs)
