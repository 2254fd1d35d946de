"""Rows and reports as the API returns them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Literal

from perijove_platform.clusters.quantities import Quantity, QuantityError, totals
from perijove_platform.clusters.schemas import (
    Accelerator,
    Cluster,
    ClusterCapacity,
    ClusterSummary,
    CredentialState,
    Node,
    NodeCounts,
    Queue,
    Quota,
    RegistrationTokenState,
)
from perijove_platform.clusters.status import StatusReport
from perijove_platform.clusters.store import ClusterRow, CredentialRow, QuotaRow, RegistrationTokenRow
from perijove_platform.database import now
from perijove_platform.runtimes import base

MAX_NODES = 1000
"""Nodes that are kept with their details, the first by name; all are counted."""
MAX_QUEUES = 1000
MAX_PROBLEMS = 20
STRANGER_SECONDS = 300
"""For which a stranger is a problem after it was last refused; it dials at least twice a minute."""
_STRANGER = (
    "an agent in another Kubernetes cluster, into which this one's was copied, shows its credential and is refused: "
    "remove it there, or register that cluster by a token of its own"
)
_SHOWN_NODES = 3
_NANO_PER_MILLI = 10**6


def summary_of(report: StatusReport) -> ClusterSummary:
    """What a list of clusters shows of a report."""
    queues = sorted(report.queues, key=lambda queue: queue.name)[:MAX_QUEUES]
    return ClusterSummary(
        kubernetes_version=report.kubernetes_version,
        nodes=NodeCounts(total=len(report.nodes), ready=sum(node.ready for node in report.nodes)),
        capacity=_capacity(report),
        accelerators=[
            Accelerator(**asdict(found), free=max(0, found.total - found.used)) for found in report.accelerators
        ],
        queues=[Queue.model_validate(queue, from_attributes=True) for queue in queues],
        component_versions=dict(report.components),
        problems=_problems(report)[:MAX_PROBLEMS],
    )


def nodes_of(report: StatusReport) -> list[Node]:
    """What one cluster's page shows of a report, besides."""
    nodes = sorted(report.nodes, key=lambda node: node.name)[:MAX_NODES]
    return [Node.model_validate(node, from_attributes=True) for node in nodes]


def has_stranger(row: ClusterRow) -> bool:
    """Whether an agent with the cluster's credential dials from another Kubernetes cluster."""
    return row.stranger_at is not None and row.stranger_at > now() - STRANGER_SECONDS


def public_cluster(row: ClusterRow, status: tuple[dict[str, Any], int] | None) -> Cluster:
    """A registered cluster.

    Args:
        status: the summary that is kept of it, and when it was reported.
    """
    summary, reported_at = status or ({}, None)
    reason = row.state_reason
    problems = [*([_STRANGER] if has_stranger(row) else []), *summary.get("problems", ())]
    if row.state == "connected" and problems:
        reason = "; ".join(problems)
    versions = dict(summary.get("component_versions", {}))
    if row.agent_versions:
        versions["agent"] = ", ".join(row.agent_versions)
    return Cluster.model_validate(
        {
            **summary,
            "problems": problems,
            "component_versions": versions,
            "agents": row.agents,
            "agent_versions": row.agent_versions,
            "id": row.id,
            "kind": "kubernetes",
            "name": row.name,
            "description": row.description,
            "state": row.state,
            "state_reason": reason,
            "created_at": row.created_at,
            "created_by": row.created_by,
            "last_contact_at": row.last_contact_at,
            "reported_at": reported_at,
        }
    )


async def public_local(cluster: base.Cluster) -> Cluster:
    """The platform's own machine."""
    capacity = ClusterCapacity.model_validate(asdict(await cluster.capacity()))
    return Cluster(
        id=cluster.name,
        kind="local",
        name=cluster.name,
        state="connected",
        last_contact_at=now(),
        capacity=capacity,
        reported_at=now(),
    )


def public_token(row: RegistrationTokenRow) -> RegistrationTokenState:
    return RegistrationTokenState(
        hint=row.hint,
        state="used" if row.used_at is not None else _validity(row.revoked_at, row.expires_at),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


def public_credential(row: CredentialRow) -> CredentialState:
    return CredentialState(
        hint=row.hint,
        state=_validity(row.revoked_at, row.expires_at),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


def public_quota(row: QuotaRow) -> Quota:
    return Quota(
        cluster_id=row.cluster_id,
        project_id=row.project_id,
        resources=row.resources,
        cohort=row.cohort,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )


def _validity(revoked_at: int | None, expires_at: int | None) -> Literal["valid", "expired", "revoked"]:
    if revoked_at is not None:
        return "revoked"
    return "expired" if expires_at is not None and expires_at <= now() else "valid"


def _capacity(report: StatusReport) -> ClusterCapacity:
    has = _totals(node.allocatable for node in report.nodes)
    used = _totals(node.used for node in report.nodes)

    def free(resource: str) -> Quantity:
        return max(Quantity(), has.get(resource, Quantity()) - used.get(resource, Quantity()))

    devices = sum(found.total for found in report.accelerators)
    held = sum(found.used for found in report.accelerators)
    return ClusterCapacity(
        cpus=_cpus(has.get("cpu", Quantity())),
        cpus_free=_cpus(free("cpu")),
        memory_bytes=has.get("memory", Quantity()).value,
        memory_free_bytes=free("memory").value,
        gpus=devices,
        gpus_free=max(0, devices - held),
    )


def _cpus(quantity: Quantity) -> float:
    return quantity.nano // _NANO_PER_MILLI / 1000


def _totals(amounts: Iterable[Mapping[str, str]]) -> Mapping[str, Quantity]:
    """The sums; an amount that is no quantity, which Kubernetes would not have taken, counts as nothing."""
    found: dict[str, Quantity] = {}
    for amount in amounts:
        try:
            for resource, quantity in totals([amount]).items():
                found[resource] = found.get(resource, Quantity()) + quantity
        except QuantityError:
            continue
    return found


def _problems(report: StatusReport) -> list[str]:
    problems = list(report.problems)
    if not report.nodes:
        problems.append("the cluster has no nodes")
    if unready := [node.name for node in report.nodes if not node.ready]:
        problems.append(f"{len(unready)} of {len(report.nodes)} nodes are not ready: {_some(unready)}")
    if cordoned := [node.name for node in report.nodes if node.ready and not node.schedulable]:
        problems.append(f"{len(cordoned)} of {len(report.nodes)} nodes are cordoned: {_some(cordoned)}")
    for queue in report.queues:
        if not queue.active and queue.project_id is not None:
            problems.append(f"queue {queue.name} admits nothing: {queue.reason or 'Kueue does not say why'}")
    return problems


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN_NODES]) + (", …" if len(names) > _SHOWN_NODES else "")
