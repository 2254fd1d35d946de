"""Kueue as it is installed: quota, the queue behind it, and its visibility API."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from real_cluster import Cluster, Object, pod_spec

API = "kueue.x-k8s.io/v1beta2"
SECONDS = 60.0


@pytest.fixture
def queue(cluster: Cluster, namespace: str) -> Iterator[str]:
    """The name of a LocalQueue and of its ClusterQueue, with quota for one of the jobs here."""
    name = f"test-{secrets.token_hex(4)}"
    quota = {"name": "cpu", "nominalQuota": "150m"}
    groups = [{"coveredResources": ["cpu"], "flavors": [{"name": name, "resources": [quota]}]}]
    cluster.apply(
        {"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": name}},
        {
            "apiVersion": API,
            "kind": "ClusterQueue",
            "metadata": {"name": name},
            "spec": {"namespaceSelector": {}, "resourceGroups": groups},
        },
        {
            "apiVersion": API,
            "kind": "LocalQueue",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterQueue": name},
        },
    )
    yield name
    cluster.kubectl("delete", "--wait=false", f"clusterqueue/{name}", f"resourceflavor/{name}")


def job(cluster: Cluster, namespace: str, queue: str, name: str, script: str) -> Object:
    spec = pod_spec(cluster.image, ["sh", "-c", script], cpu="100m")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kueue.x-k8s.io/queue-name": queue}},
        "spec": {"suspend": True, "backoffLimit": 0, "template": {"spec": spec}},
    }


def until(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS:.0f} s"
        time.sleep(0.1)
    return found


def conditions(found: Object) -> dict[str, Object]:
    return {row["type"]: row for row in found.get("status", {}).get("conditions", [])}


def test_second_job_waits_for_quota_and_is_then_admitted(cluster: Cluster, namespace: str, queue: str) -> None:
    def workload(name: str) -> Object | None:
        for found in cluster.get("workloads.kueue.x-k8s.io", "-n", namespace)["items"]:
            if found["metadata"]["ownerReferences"][0]["name"] == name:
                return dict(found)
        return None

    def condition(name: str, kind: str) -> Object:
        return conditions(workload(name) or {}).get(kind, {})

    hold = "until [ -e /tmp/end ]; do sleep 0.1; done"
    cluster.apply(job(cluster, namespace, queue, "first", hold))
    until("the first job is admitted", lambda: condition("first", "Admitted").get("status") == "True")
    until("it has a pod", lambda: cluster.get("pods", "-n", namespace, "-l", "job-name=first")["items"])
    cluster.must("wait", "-n", namespace, "pod", "-l", "job-name=first", "--for=condition=Ready", "--timeout=60s")

    cluster.apply(job(cluster, namespace, queue, "second", "exit 0"))
    full = "insufficient unused quota"
    until("the second job waits", lambda: full in condition("second", "QuotaReserved").get("message", ""))
    assert condition("second", "QuotaReserved")["status"] == "False"
    assert cluster.get("job", "second", "-n", namespace)["spec"]["suspend"] is True
    assert place(cluster, namespace, queue, "second") == 0

    pod = cluster.get("pods", "-n", namespace, "-l", "job-name=first")["items"][0]["metadata"]["name"]
    cluster.must("exec", "-n", namespace, pod, "--", "touch", "/tmp/end")
    for name in ("first", "second"):
        cluster.must("wait", "-n", namespace, f"job/{name}", "--for=condition=Complete", "--timeout=60s")
    assert condition("second", "Admitted")["status"] == "True"


def place(cluster: Cluster, namespace: str, queue: str, name: str) -> int:
    """A job's place in its queue, as Kueue's API server in a pod tells."""
    path = f"/apis/visibility.kueue.x-k8s.io/v1beta2/namespaces/{namespace}/localqueues/{queue}/pendingworkloads"

    def pending() -> list[Object]:
        found: list[Object] = json.loads(cluster.must("get", "--raw", path))["items"]
        return [row for row in found if row["metadata"]["ownerReferences"][0]["name"] == name]

    return int(until(f"{name} is in the queue", pending)[0]["positionInLocalQueue"])
