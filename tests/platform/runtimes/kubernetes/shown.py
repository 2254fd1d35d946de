"""Objects as Kubernetes 1.34 and Kueue 0.18 write them."""

from typing import Any

UID = "5f1e7a8e-7c02-4f0c-9d0c-0d6a3b0e6f10"
POD_UID = "9a0d2f0e-0f4c-4f0a-8f43-6a0f6a1f2b11"


def job(*conditions: dict[str, str], suspend: bool = True, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "ftjob-1",
            "namespace": "perijove-proj-1",
            "uid": UID,
            "labels": {"kueue.x-k8s.io/max-exec-time-seconds": "7200"},
        },
        "spec": {"suspend": suspend, "parallelism": 1, "completions": 1, "activeDeadlineSeconds": 7500},
        "status": {"conditions": list(conditions), **status},
    }


def workload(
    *conditions: dict[str, str], active: bool = True, requests: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    asked = requests or {"nvidia.com/gpu": "2", "cpu": "1", "memory": "4Gi"}
    container = {"name": "job", "resources": {"requests": asked}}
    return {
        "metadata": {"name": "job-ftjob-1-0a1b2", "namespace": "perijove-proj-1", "uid": "w"},
        "spec": {
            "active": active,
            "queueName": "perijove",
            "maximumExecutionTimeSeconds": 7200,
            "podSets": [{"name": "main", "count": 1, "template": {"spec": {"containers": [container]}}}],
        },
        "status": {"conditions": list(conditions), **more},
    }


def condition(type: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": type, "status": status, "reason": reason, "message": message}


def pending(message: str, reason: str = "Pending") -> dict[str, str]:
    return condition("QuotaReserved", "False", reason, message)


def pod(phase: str = "Running", **status: Any) -> dict[str, Any]:
    container = {"name": "job", "image": "registry.example/trainer:1", "resources": {"limits": {"memory": "4Gi"}}}
    return {
        "metadata": {"name": "ftjob-1-x", "uid": POD_UID, "creationTimestamp": "2026-11-21T08:00:00Z"},
        "spec": {"nodeName": "node0", "containers": [container]},
        "status": {"phase": phase, **status},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod("Pending", containerStatuses=[{"name": "job", "image": "", "state": state}])


def terminated(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return pod("Failed", containerStatuses=[{"name": "job", "image": "", "state": state}])


def evicted(reason: str, message: str) -> dict[str, Any]:
    return pod("Failed", message=message, conditions=[condition("DisruptionTarget", "True", reason, message)])


ADMITTED = [
    condition("QuotaReserved", "True", "QuotaReserved", "Quota reserved in ClusterQueue perijove-proj-1"),
    condition("Admitted", "True", "Admitted", "The workload is admitted"),
]
ASSIGN = "couldn't assign flavors to pod set main: "
PREEMPTED = (
    f"Preempted to accommodate a workload (UID: 11, JobUID: {UID}) due to prioritization in the ClusterQueue; "
    "preemptor path: /perijove-org/perijove-proj-1; preemptee path: /perijove-org/perijove-proj-1"
)
FAILED = condition("Failed", "True", "PodFailurePolicy", "Container job for pod … failed with exit code 66")
