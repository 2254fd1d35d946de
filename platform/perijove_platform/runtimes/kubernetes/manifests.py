"""The objects of a project and of a cluster, as they are applied; a job's own are in `job_manifests`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perijove_platform.runtimes.kubernetes.objects import (
    CLUSTER_QUEUES,
    LOCAL_QUEUES,
    NAMESPACES,
    NETWORK_POLICIES,
    PRIORITY_CLASSES,
    RESOURCE_FLAVORS,
    ROLE_BINDINGS,
    ResourceType,
    object_name,
)

MANAGED_BY = "app.kubernetes.io/managed-by"
PROJECT = "perijove.dev/project"
JOB = "perijove.dev/job"
CLUSTER = "perijove.dev/cluster"
SHOWN = "perijove.dev/shown"
"""Annotation of a Job: how often it was shown to Kueue again."""
ORGANIZATION = "perijove.dev/organization"
"""Of ClusterQueues: two platforms that share a cluster each keep those of their own organizations."""
OWNED = {MANAGED_BY: "perijove"}
LOCAL_QUEUE = "perijove"
NETWORK_POLICY = "perijove"
AGENT_PODS = {"app.kubernetes.io/part-of": "perijove", "app.kubernetes.io/component": "agent"}
"""Labels of the agent's pods, which the chart gives them."""
PROJECT_ROLE = "perijove-project-member"
DEFAULT_FLAVOR = "perijove-default"
FLAVOR_RESOURCES = "perijove.dev/resources"
"""Annotation of a ResourceFlavor: what it gives, which its specification does not say."""
_LOWEST_PRIORITY = -(2**31)


@dataclass(frozen=True, kw_only=True)
class Flavor:
    """A kind of node, as Kueue's ResourceFlavor.

    Attributes:
        resources: that it gives, as ``nvidia.com/gpu``.
        node_labels: of the nodes that have it.
        tolerations: of the taints that these nodes have.
    """

    name: str
    resources: Sequence[str]
    node_labels: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class QueueShare:
    """What a ClusterQueue holds.

    Attributes:
        nominal: Kubernetes quantities by flavor's name and resource name; 0 where it has none.
        cohort: whose members lend it what they do not use; ``None`` for a queue that is on its own.
        project_id: whose LocalQueues it serves; ``None`` for one that serves nobody and only lends.
    """

    name: str
    organization_id: str
    nominal: Mapping[tuple[str, str], str]
    cohort: str | None
    project_id: str | None


def namespace_name(project_id: str) -> str:
    return object_name("perijove", project_id)


def cluster_queue_name(project_id: str) -> str:
    return object_name("perijove", project_id)


def priority_class_name(priority: int) -> str | None:
    """``None`` for priority 0, which is that of a workload without a class."""
    if priority == 0:
        return None
    return f"perijove-priority-{priority}" if priority > 0 else f"perijove-priority-minus-{-priority}"


def namespace(project_id: str) -> dict[str, Any]:
    labels = {
        **OWNED,
        PROJECT: project_id,
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    return _object(NAMESPACES, namespace_name(project_id), labels=labels)


def local_queue(project_id: str) -> dict[str, Any]:
    return _object(
        LOCAL_QUEUES,
        LOCAL_QUEUE,
        namespace_name(project_id),
        labels={**OWNED, PROJECT: project_id},
        spec={"clusterQueue": cluster_queue_name(project_id)},
    )


def role_binding(project_id: str) -> dict[str, Any]:
    """What the project's people may do in its namespace, when they come by kubectl."""
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": f"perijove:project:{project_id}"}
    return {
        **_object(
            ROLE_BINDINGS, PROJECT_ROLE, namespace_name(project_id), labels={**OWNED, PROJECT: project_id}, spec=None
        ),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": PROJECT_ROLE},
        "subjects": [group],
    }


def network_policy(project_id: str) -> dict[str, Any]:
    """Pods of the project are reached by one another and by the agent, which no pod of a project can pass for."""
    agents = {
        "namespaceSelector": {"matchExpressions": [{"key": PROJECT, "operator": "DoesNotExist"}]},
        "podSelector": {"matchLabels": AGENT_PODS},
    }
    return _object(
        NETWORK_POLICIES,
        NETWORK_POLICY,
        namespace_name(project_id),
        labels={**OWNED, PROJECT: project_id},
        spec={"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}, agents]}]},
    )


def cluster_queue(share: QueueShare, flavors: Sequence[Flavor]) -> dict[str, Any]:
    """Jobs of higher priority stop those of lower in the same project, and take back what others had borrowed."""
    labels = {**OWNED, ORGANIZATION: share.organization_id}
    spec: dict[str, Any] = {
        "resourceGroups": _resource_groups(share, flavors),
        "queueingStrategy": "BestEffortFIFO",
        "preemption": {"withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any"},
    }
    if share.cohort is not None:
        spec["cohortName"] = share.cohort
        # Kueue stops a job for one that has to borrow only where this is allowed. The threshold keeps it from doing
        # so in another project's queue: priorities are the project's own.
        spec["preemption"]["borrowWithinCohort"] = {
            "policy": "LowerPriority",
            "maxPriorityThreshold": _LOWEST_PRIORITY,
        }
    if share.project_id is not None:
        labels[PROJECT] = share.project_id
        spec["namespaceSelector"] = {"matchLabels": {PROJECT: share.project_id}}
    return _object(CLUSTER_QUEUES, share.name, labels=labels, spec=spec)


def _resource_groups(share: QueueShare, flavors: Sequence[Flavor]) -> list[dict[str, Any]]:
    """Flavors that give the same resources belong to one group, in which Kueue tries one after another."""
    groups: dict[tuple[str, ...], list[Flavor]] = {}
    for flavor in flavors:
        groups.setdefault(tuple(flavor.resources), []).append(flavor)
    return [
        {
            "coveredResources": list(resources),
            "flavors": [
                {
                    "name": flavor.name,
                    "resources": [
                        {"name": resource, "nominalQuota": share.nominal.get((flavor.name, resource), "0")}
                        for resource in resources
                    ],
                }
                for flavor in members
            ],
        }
        for resources, members in groups.items()
    ]


def resource_flavor(flavor: Flavor) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if flavor.node_labels:
        spec["nodeLabels"] = dict(flavor.node_labels)
    if flavor.tolerations:
        spec["tolerations"] = [dict(toleration) for toleration in flavor.tolerations]
    found = _object(RESOURCE_FLAVORS, flavor.name, labels=OWNED, spec=spec)
    found["metadata"]["annotations"] = {FLAVOR_RESOURCES: ",".join(flavor.resources)}
    return found


def priority_class(priority: int) -> dict[str, Any]:
    name = priority_class_name(priority)
    if name is None:
        raise ValueError("priority 0 needs no class")
    return {
        **_object(PRIORITY_CLASSES, name, labels=OWNED, spec=None),
        "value": priority,
        "description": f"Jobs of Perijove with priority {priority}",
    }


def _object(
    type: ResourceType,
    name: str,
    namespace: str | None = None,
    *,
    labels: Mapping[str, str],
    spec: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": dict(labels)}
    if namespace is not None:
        metadata["namespace"] = namespace
    found: dict[str, Any] = {"apiVersion": type.api_version, "kind": type.kind, "metadata": metadata}
    if spec is not None:
        found["spec"] = dict(spec)
    return found
