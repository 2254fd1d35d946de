"""Clusters on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import AfterValidator, BaseModel, Field

from perijove_platform.clusters.quotas import Quantities, checked_cohort, checked_resources
from perijove_platform.schemas import Request, Response

ClusterState = Literal["registering", "connected", "lost", "revoked"]
DAY = 86_400
_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
LOCAL = "local"
Description = Annotated[str, Field(max_length=1024)]
TokenLifetime = Annotated[int, Field(ge=60, le=30 * DAY, description="How long the registration token is valid.")]


def _checked_name(name: str) -> str:
    if name == LOCAL:
        raise ValueError("'local' is the platform's own machine; take another name")
    return name


class ClusterCreate(Request):
    """The name is a DNS label: lower-case letters, digits and hyphens, at most 63."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=_LABEL), AfterValidator(_checked_name)]
    description: Description | None = None
    token_expires_in_seconds: TokenLifetime = DAY


class ClusterUpdate(Request):
    """What of a cluster can be changed. Its name cannot: jobs go by it."""

    description: Description | None


class RegistrationTokenCreate(Request):
    expires_in_seconds: TokenLifetime = DAY


class ClusterCapacity(Response):
    """What the place has and what is free of it; memory and disk in bytes, null where that is not known."""

    cpus: float
    cpus_free: float | None = None
    memory_bytes: int
    memory_free_bytes: int
    gpus: int = Field(description="GPUs, TPUs and other accelerators of every type.")
    gpus_free: int
    disk_free_bytes: int | None = None


class Accelerator(Response):
    """GPUs or TPUs of one type."""

    type: str
    resource: str = Field(description="Under which pods request them, as nvidia.com/gpu.")
    total: int
    used: int
    free: int


class Queue(Response):
    """A ClusterQueue of Kueue; `project_id` is null for one that is not the platform's."""

    name: str
    project_id: str | None
    active: bool
    reason: str | None
    pending: int
    admitted: int
    quota: dict[str, str]
    used: dict[str, str]


class NodeCondition(Response):
    type: str
    status: str
    reason: str | None
    message: str | None


class Node(Response):
    """A node; what it has and what its pods request are Kubernetes quantities."""

    name: str
    ready: bool
    schedulable: bool
    kubelet_version: str | None
    accelerator: str | None
    conditions: list[NodeCondition]
    allocatable: dict[str, str]
    used: dict[str, str]


class NodeCounts(Response):
    total: int
    ready: int


class ClusterSummary(Response):
    """What runs in a cluster, as last reported."""

    kubernetes_version: str | None = None
    nodes: NodeCounts | None = None
    capacity: ClusterCapacity | None = None
    accelerators: list[Accelerator] = Field(default_factory=list)
    queues: list[Queue] = Field(default_factory=list)
    component_versions: dict[str, str] = Field(
        default_factory=dict,
        description="By name, as agent and kueue; an empty version is of one that is there and does not tell.",
    )
    problems: list[str] = Field(default_factory=list, description="What keeps it from being healthy, in words.")


class Cluster(ClusterSummary):
    """A place where jobs run. Of one that is not connected, the summary is what it last reported."""

    id: str
    object: Literal["cluster"] = "cluster"
    kind: Literal["local", "kubernetes"]
    name: str
    description: str | None = None
    state: ClusterState
    state_reason: str | None = None
    created_at: int | None = None
    created_by: str | None = None
    last_contact_at: int | None = None
    agents: int = Field(default=0, description="That are connected now.")
    agent_versions: list[str] = Field(
        default_factory=list, description="Of the agents that are connected, or were when the last one went."
    )
    reported_at: int | None = Field(default=None, description="When what follows from the cluster's report was so.")


class RegistrationTokenState(Response):
    """The newest registration token, without its secret."""

    hint: str
    state: Literal["valid", "used", "expired", "revoked"]
    created_at: int
    created_by: str
    expires_at: int
    used_at: int | None


class CredentialState(Response):
    """The newest credential of an agent, without its secret."""

    hint: str
    state: Literal["valid", "expired", "revoked"]
    created_at: int
    expires_at: int | None
    last_used_at: int | None


class ClusterDetail(Cluster):
    """One cluster, with its nodes (the first 1,000 by name) and how its agent comes in."""

    node_list: list[Node] = Field(default_factory=list)
    registration_token: RegistrationTokenState | None = None
    credential: CredentialState | None = None


class RegistrationToken(Response):
    """A new registration token; `token` is shown this once."""

    object: Literal["cluster.registration_token"] = "cluster.registration_token"
    cluster_id: str
    token: str
    expires_at: int


class ClusterCreated(Cluster):
    """A new cluster, with the token by which its agent joins."""

    registration_token: RegistrationToken


class AgentCredential(Response):
    """What an agent shows from now on; `credential` is shown this once."""

    object: Literal["cluster.credential"] = "cluster.credential"
    cluster_id: str
    cluster: str = Field(description="The cluster's name.")
    credential: str


class QuotaPut(Request):
    """What is set aside for a project on a cluster.

    Projects in one cohort lend each other what they do not use, so a project may get more; the default cohort is the
    organization's, which also has what no quota sets aside. With null the project is in none: it gets what is named
    here and no more, and what is not named it cannot request.
    """

    resources: Annotated[Quantities, AfterValidator(checked_resources)]
    cohort: Annotated[str | None, AfterValidator(checked_cohort)] = None


class QuotaListParams(BaseModel):
    after: Annotated[str | None, Query(max_length=256, description="The project after which the page starts.")] = None
    limit: Annotated[int, Query(ge=1, le=100)] = 20


class Quota(Response):
    object: Literal["cluster.quota"] = "cluster.quota"
    cluster_id: str
    project_id: str
    resources: dict[str, str]
    cohort: str | None
    updated_at: int
    updated_by: str
