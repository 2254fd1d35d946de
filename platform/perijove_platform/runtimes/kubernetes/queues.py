"""Quotas as Kueue's objects: flavors by what nodes have, a queue for each project, one that holds what is left.

Every project has a ClusterQueue. With a quota of its own it holds that; without one it holds nothing and borrows what
the cohort has left. What no project's quota names is held by the *pool*, a ClusterQueue that serves nobody, so that the
whole cohort can never use more than the nodes have for jobs: without what pods that stay, such as a daemon's, ask for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from perijove_platform.clusters.quantities import Quantity, parse
from perijove_platform.clusters.quotas import ProjectQuota, default_cohort
from perijove_platform.runtimes.kubernetes import manifests
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import Conflict, Denied, KubernetesError, NotFound, Unreachable
from perijove_platform.runtimes.kubernetes.inventory import DEFAULT_ACCELERATOR, Inventory, inventory
from perijove_platform.runtimes.kubernetes.manifests import (
    DEFAULT_FLAVOR,
    MANAGED_BY,
    ORGANIZATION,
    PROJECT,
    Flavor,
    QueueShare,
    cluster_queue_name,
)
from perijove_platform.runtimes.kubernetes.objects import (
    CLUSTER_QUEUES,
    LOCAL_QUEUES,
    NAMESPACES,
    NETWORK_POLICIES,
    NODES,
    PODS,
    PRIORITY_CLASSES,
    RESOURCE_FLAVORS,
    ROLE_BINDINGS,
    Object,
    ResourceType,
    get,
    label_of,
    name_of,
    namespace_of,
    object_name,
)
from perijove_platform.runtimes.kubernetes.pod_requests import ACTIVE_PODS, asked, kept_requests, lasting
from perijove_platform.runtimes.kubernetes.watch import Change, Reflector, synced

logger = logging.getLogger(__name__)

QuotaOf = Callable[[str], Awaitable[ProjectQuota | None]]
"""What a project may use of the cluster, by its id; ``None`` for all that there is."""
Held = dict[tuple[str, str], Quantity]
"""By flavor's name and resource name."""
PODS_SECONDS = 60.0
"""After which a change of what lasting pods ask for is followed, together with all others until then."""
_SETTLE_SECONDS = 0.5
_RETRY_SECONDS = 5.0


class NotOurs(Exception):
    """An object that has to be ours was made by somebody else; the message says which."""


class ClusterQueues:
    """Keeps the queues of one cluster as the quotas and the nodes want them.

    Args:
        organization_id: whose cluster it is.
        quota_of: asked again after each `quotas_changed`.
    """

    def __init__(self, client: KubernetesClient, organization_id: str, quota_of: QuotaOf) -> None:
        self._client = client
        self._organization_id = organization_id
        self._quota_of = quota_of
        self._applied: dict[tuple[str, str | None, str], Object] = {}
        self._projects: set[str] = set()
        self._open: set[str] = set()
        self._wanted = asyncio.Event()
        self._lock = asyncio.Lock()
        self._inventory = inventory(())
        self._pods_due: asyncio.TimerHandle | None = None
        self.nodes = Reflector(client, NODES, keep=kept_node, on_change=self._on_node)
        self.pods = Reflector(client, PODS, fields=ACTIVE_PODS, keep=kept_requests, on_change=self._on_pod)
        self.cluster_queues = Reflector(client, CLUSTER_QUEUES)
        self.flavors = Reflector(client, RESOURCE_FLAVORS, labels=f"{MANAGED_BY}=perijove")
        self.local_queues = Reflector(
            client, LOCAL_QUEUES, labels=f"{MANAGED_BY}=perijove", on_change=self._on_local_queue
        )

    @property
    def accelerator(self) -> str:
        """What `Resources.gpus` counts in this cluster: the kind of which it has the most."""
        return next(iter(self._inventory.accelerators), DEFAULT_ACCELERATOR)

    def takes(self, pod: Object) -> bool:
        """Whether a node of the cluster could run a job's pod if no other job was there."""
        return self._inventory.takes(pod)

    def reflectors(self) -> Sequence[Reflector]:
        return (self.nodes, self.pods, self.cluster_queues, self.flavors, self.local_queues)

    def quotas_changed(self) -> None:
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled: apply what the nodes and the quotas want, after each change of them."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_SETTLE_SECONDS)
            self._wanted.clear()
            try:
                await self._reconcile()
            except Unreachable:
                await self._client.transport.wait_reachable()
                await asyncio.sleep(_SETTLE_SECONDS)
                self._wanted.set()
            except (KubernetesError, NotOurs) as error:
                logger.warning("The queues of a cluster cannot be set up: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                self._wanted.set()
            except Exception:
                logger.exception("The queues of a cluster cannot be set up")
                await asyncio.sleep(_RETRY_SECONDS)
                self._wanted.set()

    async def ensure_project(self, project_id: str) -> None:
        """The project's namespace and queue, made when it has none.

        Raises:
            NotOurs: a namespace or queue of that name is somebody else's.
            failures.KubernetesError, failures.Unreachable: try again.
        """
        if project_id in self._projects - self._open:
            return
        await synced(self.reflectors())
        async with self._lock:
            if project_id in self._projects - self._open:
                return
            await self._ensure_namespace(project_id)
            await self._apply_shares({*self._known(), project_id}, only=project_id)
            await self._apply(LOCAL_QUEUES, manifests.local_queue(project_id))
            self._projects.add(project_id)
        self._wanted.set()

    def forget_project(self, project_id: str) -> None:
        """Somebody has deleted its namespace: it has to be made anew."""
        self._projects.discard(project_id)
        name = manifests.namespace_name(project_id)
        for key in [key for key in self._applied if name in key[1:]]:
            del self._applied[key]

    async def ensure_priority(self, priority: int) -> None:
        """The class of a priority. Two clusters' platforms may share it: its value follows from its name."""
        if manifests.priority_class_name(priority) is not None:
            await self._apply(PRIORITY_CLASSES, manifests.priority_class(priority))

    async def _ensure_namespace(self, project_id: str) -> None:
        name = manifests.namespace_name(project_id)
        try:
            owner = label_of(await self._client.get(NAMESPACES, name), PROJECT)
        except NotFound:
            owner = project_id
        if owner != project_id:
            raise NotOurs(f"the namespace {name} of the cluster is not this project's; an administrator has to look")
        await self._apply(NAMESPACES, manifests.namespace(project_id))
        await self._apply(ROLE_BINDINGS, manifests.role_binding(project_id))
        await self._close_network(project_id)

    async def _close_network(self, project_id: str) -> None:
        """Let nobody else's pods reach the project's; an agent that is older than this has no right to say so."""
        try:
            await self._apply(NETWORK_POLICIES, manifests.network_policy(project_id))
        except Denied:
            if project_id not in self._open:
                logger.warning("Upgrade the agent's chart: it may not close the network of project %s", project_id)
            self._open.add(project_id)
        else:
            self._open.discard(project_id)

    async def _reconcile(self) -> None:
        await synced(self.reflectors())
        async with self._lock:
            await self._apply_shares(self._known())
            served = {project for queue in self.local_queues if (project := label_of(queue, PROJECT)) is not None}
            for project in sorted(self._projects - served):
                await self._apply(LOCAL_QUEUES, manifests.local_queue(project), again=True)

    def _known(self) -> set[str]:
        """The organization's projects that have a queue here."""
        found = {
            project
            for queue in self.cluster_queues
            if label_of(queue, ORGANIZATION) == self._organization_id and (project := _project_of(queue)) is not None
        }
        return found | self._projects

    async def _apply_shares(self, projects: set[str], only: str | None = None) -> None:
        """The flavors, the pool and the queues of these projects, or of one of them."""
        quotas: dict[str, ProjectQuota] = {}
        for project_id in sorted(projects):
            if (quota := await self._quota_of(project_id)) is not None:
                quotas[project_id] = quota
        self._inventory = inventory(self.nodes, self.pods)
        flavors = flavors_of(self._inventory, self.flavors, quotas)
        for flavor in flavors:
            await self._apply(RESOURCE_FLAVORS, manifests.resource_flavor(flavor))
        held = held_by_quotas(self._inventory, flavors, quotas)
        shares = [pool_share(self._organization_id, self._inventory, held)]
        for project_id in sorted(projects) if only is None else [only]:
            quota, named = quotas.get(project_id), held.get(project_id, {})
            shares.append(project_share(self._organization_id, project_id, self._inventory, quota, named))
        for share in shares:
            self._check_ours(share)
            await self._apply(CLUSTER_QUEUES, manifests.cluster_queue(share, flavors))

    def _check_ours(self, share: QueueShare) -> None:
        found = self.cluster_queues.find("", share.name)
        ours = ("perijove", share.organization_id, share.project_id)
        if found is not None and tuple(label_of(found, name) for name in (MANAGED_BY, ORGANIZATION, PROJECT)) != ours:
            raise NotOurs(f"the ClusterQueue {share.name} of the cluster is not ours; an administrator has to look")

    async def _apply(self, type: ResourceType, manifest: dict[str, Any], *, again: bool = False) -> None:
        key = (type.kind, namespace_of(manifest), name_of(manifest))
        if again or self._applied.get(key) != manifest:
            try:
                await self._client.apply(type, manifest)
            except Conflict:
                await self._client.apply(type, manifest)  # two of us at once: the second sees what the first did
            self._applied[key] = manifest

    def _on_node(self, change: Change) -> None:
        if _shape(change.old) != _shape(change.new):
            self._wanted.set()

    def _on_pod(self, change: Change) -> None:
        """Pods that stay are replaced now and then, by which two of them have room for a while: nobody's quota is to
        follow each such step."""
        if self._pods_due is None and asked(lasting(change.old)) != asked(lasting(change.new)):
            self._pods_due = asyncio.get_running_loop().call_later(PODS_SECONDS, self._look_at_pods)

    def _look_at_pods(self) -> None:
        self._pods_due = None
        self._wanted.set()

    def _on_local_queue(self, change: Change) -> None:
        if change.new is None and label_of(change.old or {}, PROJECT) in self._projects:
            self._wanted.set()


def flavors_of(found: Inventory, applied: Iterable[Object], quotas: Mapping[str, ProjectQuota]) -> list[Flavor]:
    """Those of the nodes, those of nodes that have gone (they may come back), and one for what only quotas name."""
    flavors = {flavor.name: flavor for flavor in found.flavors}
    for item in applied:
        name = name_of(item)
        resources = get(item, "metadata", "annotations", manifests.FLAVOR_RESOURCES, default="")
        if name not in flavors and resources:
            flavors[name] = Flavor(
                name=name,
                resources=tuple(resources.split(",")),
                node_labels=get(item, "spec", "nodeLabels", default={}),
                tolerations=get(item, "spec", "tolerations", default=()),
            )
    covered = {resource for flavor in flavors.values() for resource in flavor.resources}
    for resource in sorted({resource for quota in quotas.values() for resource in quota.resources} - covered):
        name = object_name("perijove", "any", resource[:40])
        flavors[name] = Flavor(name=name, resources=(resource,))
    default = flavors.pop(DEFAULT_FLAVOR)
    return [default, *(flavors[name] for name in sorted(flavors))]


def held_by_quotas(found: Inventory, flavors: Sequence[Flavor], quotas: Mapping[str, ProjectQuota]) -> dict[str, Held]:
    """What each project's quota holds of which flavor, by the project's id.

    Of a resource that has several flavors, a quota takes the one of which most is left first, since a job's devices are
    all of one flavor, and of the next ones what is missing then. What is more than all nodes have, as for nodes that
    are yet to be made, is of the flavor that has most.
    """
    left = dict(found.totals)
    held: dict[str, Held] = {}
    for project_id, quota in sorted(quotas.items()):
        mine = held[project_id] = {}
        for resource, amount in quota.resources.items():
            keys = [(flavor.name, resource) for flavor in flavors if resource in flavor.resources]
            rest = parse(amount)
            for key in sorted(keys, key=lambda key: left.get(key, Quantity()), reverse=True):
                mine[key] = min(rest, left.get(key, Quantity()))
                rest, left[key] = rest - mine[key], left.get(key, Quantity()) - mine[key]
            if keys:
                most = max(keys, key=lambda key: found.totals.get(key, Quantity()))
                mine[most] += rest
    return held


def project_share(
    organization_id: str, project_id: str, found: Inventory, quota: ProjectQuota | None, held: Held
) -> QueueShare:
    """A project's queue.

    What a quota does not name is not limited by it: the pool lends it, or where there is no pool the queue has as much
    of it as the nodes.

    Args:
        held: of `held_by_quotas`, what the quota holds.
    """
    pooled = default_cohort(organization_id)
    cohort = pooled if quota is None else quota.cohort
    nominal = dict(held)
    if quota is not None and cohort != pooled:
        nominal |= {key: total for key, total in found.totals.items() if key[1] not in quota.resources}
    return QueueShare(
        name=cluster_queue_name(project_id),
        organization_id=organization_id,
        nominal={key: str(amount) for key, amount in nominal.items()},
        cohort=None if cohort is None else cohort_name(cohort),
        project_id=project_id,
    )


def pool_share(organization_id: str, found: Inventory, held: Mapping[str, Held]) -> QueueShare:
    """What the nodes have beyond all quotas, for the organization's cohort.

    Args:
        held: of `held_by_quotas`.
    """
    left = dict(found.totals)
    for mine in held.values():
        for key, amount in mine.items():
            left[key] = max(Quantity(), left.get(key, Quantity()) - amount)
    return QueueShare(
        name=object_name("perijove", organization_id, "pool"),
        organization_id=organization_id,
        nominal={key: str(amount) for key, amount in left.items()},
        cohort=cohort_name(default_cohort(organization_id)),
        project_id=None,
    )


def cohort_name(cohort: str) -> str:
    return object_name(cohort)


def kept_node(node: Object) -> Object:
    """A node without the list of images that it has, which is most of it."""
    status = {name: value for name, value in get(node, "status", default={}).items() if name != "images"}
    return {**node, "status": status}


def _shape(node: Object | None) -> object:
    if node is None:
        return None
    return (get(node, "status", "allocatable"), get(node, "metadata", "labels"), get(node, "spec", "taints"))


def _project_of(queue: Object) -> str | None:
    return label_of(queue, PROJECT) if label_of(queue, MANAGED_BY) == "perijove" else None
