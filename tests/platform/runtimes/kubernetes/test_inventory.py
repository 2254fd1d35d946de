"""What nodes have, as flavors, quotas and reports."""

from typing import Any

import pytest
from perijove_platform.clusters.quotas import ProjectQuota
from perijove_platform.runtimes.kubernetes.capacity import capacity_of, report_of
from perijove_platform.runtimes.kubernetes.inventory import Inventory, inventory
from perijove_platform.runtimes.kubernetes.manifests import DEFAULT_FLAVOR, QueueShare, cluster_queue, resource_flavor
from perijove_platform.runtimes.kubernetes.objects import Object, object_name
from perijove_platform.runtimes.kubernetes.pod_requests import kept_requests
from perijove_platform.runtimes.kubernetes.queues import flavors_of, held_by_quotas, pool_share, project_share

GIB = 1 << 30


def node(
    name: str,
    allocatable: dict[str, str],
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    ready: str = "True",
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": ready}]},
    }


PRODUCT, TPU = "nvidia.com/gpu.product", "cloud.google.com/gke-tpu-accelerator"
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
AWAY = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
NODES = [
    node("control", {"cpu": "4", "memory": "8Gi"}, taints=[{"key": "node-role/control-plane", "effect": "NoSchedule"}]),
    node("cpu", {"cpu": "7500m", "memory": "30Gi"}),
    node("away", {"cpu": "8", "memory": "30Gi"}, taints=[AWAY]),
    node("h1", {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "8"}, {PRODUCT: "H100"}, [GPU_TAINT]),
    node("h2", {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "8"}, {PRODUCT: "H100"}),
    node("a1", {"cpu": "32", "memory": "256Gi", "nvidia.com/gpu": "4"}, {PRODUCT: "A10"}),
    node("t1", {"cpu": "96", "memory": "384Gi", "google.com/tpu": "4"}, {TPU: "v5e"}),
    node("empty", {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "0"}),
]  # fmt: skip


def shares(found: Inventory, quotas: dict[str, ProjectQuota]) -> dict[str | None, QueueShare]:
    """By project, and that of the pool; of a project without a quota, too."""
    held = held_by_quotas(found, flavors_of(found, (), quotas), quotas)
    queues: dict[str | None, QueueShare] = {None: pool_share("org-1", found, held)}
    for project in {"proj_1", *quotas}:
        queues[project] = project_share("org-1", project, found, quotas.get(project), held.get(project, {}))
    return queues


def test_a_flavor_for_each_kind_of_accelerator() -> None:
    found = inventory(NODES)

    default, *others = found.flavors
    assert (default.name, list(default.resources)) == (DEFAULT_FLAVOR, ["cpu", "memory"])
    assert [(tuple(flavor.resources), dict(flavor.node_labels)) for flavor in others] == [
        (("google.com/tpu",), {"cloud.google.com/gke-tpu-accelerator": "v5e"}),
        (("nvidia.com/gpu",), {"nvidia.com/gpu.product": "A10"}),
        (("nvidia.com/gpu",), {PRODUCT: "H100"}),
    ]
    assert others[2].tolerations == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert found.accelerators == ["nvidia.com/gpu", "google.com/tpu"]
    assert str(found.totals[DEFAULT_FLAVOR, "cpu"]) == "272500m"
    assert str(found.totals[others[2].name, "nvidia.com/gpu"]) == "16"
    assert all(flavor.name.startswith("perijove-") for flavor in found.flavors)


def test_a_queue_has_every_resource_once() -> None:
    """Kueue takes no resource in two groups, and no flavor in two."""
    found = inventory(NODES)
    quotas = {"proj_1": ProjectQuota(resources={"cpu": "8"}, cohort="perijove-org-1")}
    share = shares(found, quotas)["proj_1"]

    groups = cluster_queue(share, found.flavors)["spec"]["resourceGroups"]

    covered = [group["coveredResources"] for group in groups]
    assert covered == [["cpu", "memory"], ["google.com/tpu"], ["nvidia.com/gpu"]]
    assert [len(group["flavors"]) for group in groups] == [1, 1, 2]
    assert groups[0]["flavors"][0]["resources"] == [
        {"name": "cpu", "nominalQuota": "8"},
        {"name": "memory", "nominalQuota": "0"},
    ]


def test_the_pool_holds_what_no_quota_names() -> None:
    found = inventory(NODES)
    quotas = {
        "proj_1": ProjectQuota(resources={"cpu": "72500m", "memory": "10000Gi"}, cohort=None),
        "proj_2": ProjectQuota(resources={"google.com/tpu": "1"}, cohort="research"),
    }

    pool = shares(found, quotas)[None]

    by_resource = {resource: amount for (_, resource), amount in pool.nominal.items() if resource != "nvidia.com/gpu"}
    assert by_resource == {"cpu": "200", "memory": "0", "google.com/tpu": "3"}
    assert (pool.name, pool.cohort, pool.project_id) == ("perijove-org-1-pool", "perijove-org-1", None)


@pytest.mark.parametrize(
    ("quota", "cohort"),
    [
        (None, "perijove-org-1"),
        (ProjectQuota(resources={}, cohort=None), None),
        (ProjectQuota(resources={}, cohort="research"), "research"),
    ],
)
def test_who_lends_to_whom(quota: ProjectQuota | None, cohort: str | None) -> None:
    found = inventory(NODES)
    quotas = {} if quota is None else {"proj_1": quota}
    share = shares(found, quotas)["proj_1"]

    spec = cluster_queue(share, found.flavors)["spec"]

    assert spec.get("cohortName") == cohort
    assert ("borrowWithinCohort" in spec["preemption"]) == (cohort is not None)
    assert spec["namespaceSelector"] == {"matchLabels": {"perijove.dev/project": "proj_1"}}


def test_flavors_of_nodes_that_went_stay() -> None:
    """Kueue would let no job of theirs wait otherwise, and a node that is made on demand comes back."""
    before = [resource_flavor(flavor) for flavor in inventory(NODES).flavors]

    flavors = flavors_of(inventory(NODES[:3]), before, {})

    assert {flavor.name for flavor in flavors} == {flavor["metadata"]["name"] for flavor in before}
    assert {resource for flavor in flavors for resource in flavor.resources} >= {"nvidia.com/gpu", "google.com/tpu"}


def test_a_quota_for_what_no_node_has_yet() -> None:
    quotas = {"proj_1": ProjectQuota(resources={"amd.com/gpu": "8"}, cohort=None)}

    share = shares(inventory(NODES), quotas)["proj_1"]

    assert share.nominal["perijove-any-amd-com-gpu", "amd.com/gpu"] == "8"


GPU_NODES = [
    node("a", {"cpu": "8", "memory": "8Gi", "nvidia.com/gpu": "2"}, {PRODUCT: "A100"}),
    node("h", {"cpu": "8", "memory": "8Gi", "nvidia.com/gpu": "8"}, {PRODUCT: "H100"}),
]


@pytest.mark.parametrize(
    ("quotas", "held", "pooled"),
    [
        # A job for all of it finds them in one flavor.
        ({"proj_1": "4"}, {"proj_1": {"H100": "4"}}, {"A100": "2", "H100": "4"}),
        ({"proj_1": "9"}, {"proj_1": {"A100": "1", "H100": "8"}}, {"A100": "1", "H100": "0"}),
        ({"proj_1": "7", "proj_2": "3"}, {"proj_1": {"H100": "7"}, "proj_2": {"A100": "2", "H100": "1"}}, {}),
        ({"proj_1": "12"}, {"proj_1": {"A100": "2", "H100": "10"}}, {}),
        ({"proj_1": "8", "proj_2": "8"}, {"proj_1": {"H100": "8"}, "proj_2": {"A100": "2", "H100": "6"}}, {}),
    ],
)
def test_a_quota_over_several_flavors(
    quotas: dict[str, str], held: dict[str, dict[str, str]], pooled: dict[str, str]
) -> None:
    found = inventory(GPU_NODES)
    types = {flavor.name: flavor.node_labels.get(PRODUCT) for flavor in found.flavors}

    queues = shares(
        found, {key: ProjectQuota(resources={"nvidia.com/gpu": amount}, cohort=None) for key, amount in quotas.items()}
    )

    def devices(share: QueueShare) -> dict[str | None, str]:
        gpus = {types[flavor]: amount for (flavor, name), amount in share.nominal.items() if name == "nvidia.com/gpu"}
        return {type: amount for type, amount in gpus.items() if amount != "0"}

    assert {project: devices(queues[project]) for project in held} == held
    assert devices(queues[None]) == {type: amount for type, amount in pooled.items() if amount != "0"}


def test_a_quota_limits_only_what_it_names() -> None:
    found = inventory(NODES)
    alone = {"proj_1": ProjectQuota(resources={"cpu": "8"}, cohort=None)}
    lent = {"proj_1": ProjectQuota(resources={"cpu": "8"}, cohort="perijove-org-1")}

    by_itself = shares(found, alone)["proj_1"]
    borrowing = shares(found, lent)["proj_1"]

    assert by_itself.nominal[DEFAULT_FLAVOR, "cpu"] == "8"
    assert by_itself.nominal[DEFAULT_FLAVOR, "memory"] == str(found.totals[DEFAULT_FLAVOR, "memory"])
    assert borrowing.nominal == {(DEFAULT_FLAVOR, "cpu"): "8"}


def pod(
    name: str, on: str | None, *containers: dict[str, str], first: dict[str, str] | None = None, owner: str = "Job"
) -> Object:
    spec = {
        "nodeName": on,
        "containers": [{"resources": {"requests": requests}} for requests in containers],
        "initContainers": [{"resources": {"requests": first}}] if first else [],
    }
    owners = [{"kind": owner, "name": "o", "uid": "o", "controller": True}]
    metadata = {"name": name, "namespace": "n", "uid": name, "ownerReferences": owners}
    return kept_requests({"metadata": metadata, "spec": spec})


def test_jobs_get_what_pods_that_stay_leave() -> None:
    pods = [
        pod("dns", "cpu", {"cpu": "100m", "memory": "70Mi"}, owner="ReplicaSet"),
        pod("proxy", "cpu", {"cpu": "400m"}, owner="DaemonSet"),
        pod("static", "control", {"cpu": "1"}, owner="Node"),
        pod("monitor", "a1", {"nvidia.com/gpu": "1"}, owner="StatefulSet"),
        pod("greedy", "empty", {"cpu": "2"}, owner="ReplicaSet"),
        pod("waits", None, {"cpu": "5"}, owner="ReplicaSet"),
        pod("job", "h1", {"cpu": "8", "nvidia.com/gpu": "2"}),
        pod("a person's", "h1", {"cpu": "8"}, owner="Notebook"),
    ]

    found, empty = inventory(NODES, pods), inventory(NODES)

    less = {
        resource: str(empty.totals[flavor, resource] - total)
        for (flavor, resource), total in found.totals.items()
        if total != empty.totals[flavor, resource]
    }
    # The control plane's node takes no jobs; a node has never less than nothing.
    assert less == {"cpu": "1500m", "memory": "70Mi", "nvidia.com/gpu": "1"}
    assert found.flavors == empty.flavors
    assert found.accelerators == empty.accelerators


TOLERATES = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("asks", "selects", "tolerates", "taken"),
    [
        ({"cpu": "32", "nvidia.com/gpu": "4"}, {PRODUCT: "A10"}, [], True),
        ({"cpu": "31", "nvidia.com/gpu": "8"}, {PRODUCT: "A10"}, [], False),
        ({"cpu": "63", "nvidia.com/gpu": "8"}, {PRODUCT: "H100"}, [], True),
        ({"cpu": "64", "nvidia.com/gpu": "8"}, {PRODUCT: "H100"}, [], False),  # a daemon has some of h2, h1 has a taint
        ({"cpu": "64", "nvidia.com/gpu": "8"}, {PRODUCT: "H100"}, [TOLERATES], True),
        ({"cpu": "97"}, {}, [TOLERATES], False),
        ({"cpu": "8", "memory": "30Gi"}, {}, [], True),
    ],
)
def test_what_a_node_could_run(
    asks: dict[str, str], selects: dict[str, str], tolerates: list[dict[str, str]], taken: bool
) -> None:
    spec = {"containers": [{"resources": {"requests": asks}}], "nodeSelector": selects, "tolerations": tolerates}

    found = inventory(NODES, [pod("daemon", "h2", {"cpu": "500m"}, owner="DaemonSet")])

    assert found.takes({"spec": spec}) == taken


def test_the_report_tells_what_is_free() -> None:
    pods = [
        pod("a", "h1", {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "2"}, {"cpu": "250m"}),
        pod("b", "h2", {"cpu": "1", "nvidia.com/gpu": "1"}, first={"cpu": "3"}),
        pod("waits", None, {"cpu": "100", "nvidia.com/gpu": "8"}),
    ]

    report = report_of("v1.34.4", NODES, pods, [], kueue="v0.18.2")

    used = {found.name: dict(found.used) for found in report.nodes if found.used}
    assert used == {
        "h1": {"cpu": "750m", "memory": "1Gi", "nvidia.com/gpu": "2"},
        "h2": {"cpu": "3", "nvidia.com/gpu": "1"},
    }
    assert [(kind.type, kind.total, kind.used) for kind in report.accelerators] == [
        ("A10", 4, 0),
        ("H100", 16, 3),
        ("v5e", 4, 0),
    ]
    capacity = capacity_of(report)
    assert (capacity.gpus, capacity.gpus_free, capacity.memory_free_bytes) == (24, 21, (8 + 60 + 1664 + 1 - 1) * GIB)


def test_a_cluster_without_kueue_says_so() -> None:
    assert report_of("v1.34.4", NODES, [], [], kueue=None).problems == [
        "the cluster has no Kueue, without which no job can run"
    ]


def test_queues_in_the_report() -> None:
    queue = {
        "metadata": {
            "name": "perijove-proj-1",
            "labels": {"app.kubernetes.io/managed-by": "perijove", "perijove.dev/project": "proj_1"},
        },
        "spec": {
            "resourceGroups": [
                {"flavors": [{"name": "f", "resources": [{"name": "nvidia.com/gpu", "nominalQuota": "2"}]}]},
                {"flavors": [{"name": "g", "resources": [{"name": "nvidia.com/gpu", "nominalQuota": 3}]}]},
            ]
        },
        "status": {
            "pendingWorkloads": 4,
            "admittedWorkloads": 1,
            "flavorsReservation": [{"name": "f", "resources": [{"name": "nvidia.com/gpu", "total": "1"}]}],
            "conditions": [{"type": "Active", "status": "False", "reason": "Stopped", "message": "is stopped"}],
        },
    }

    (found,) = report_of("v1.34.4", [], [], [queue], kueue="").queues

    assert (found.project_id, found.active, found.reason) == ("proj_1", False, "is stopped")
    assert (found.pending, found.admitted, dict(found.quota), dict(found.used)) == (
        4,
        1,
        {"nvidia.com/gpu": "5"},
        {"nvidia.com/gpu": "1"},
    )


@pytest.mark.parametrize(
    ("parts", "name"),
    [(("perijove", "proj_01ABC"), "perijove-proj-01abc"), (("ftjob-1",), "ftjob-1"), (("a", "_b_"), "a-b")],
)
def test_names(parts: tuple[str, ...], name: str) -> None:
    assert object_name(*parts) == name


@pytest.mark.parametrize("parts", [("_",), ("x" * 64,)])
def test_no_name_can_be_made(parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no Kubernetes name"):
        object_name(*parts)
