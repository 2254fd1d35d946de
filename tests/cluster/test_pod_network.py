"""Names, Services and the machine's own services, as pods reach them."""

from pathlib import Path

import pytest
from real_cluster import Cluster, Done, pod_spec
from testbed.layout import ADDRESS, BRIDGE, BRIDGE_HARDWARE_ADDRESS
from testbed.ports import SERVICES, port_of
from testbed.steps import wait_for

SECONDS = 60.0


@pytest.fixture
def service(cluster: Cluster, namespace: str) -> str:
    """The name of a Service before two Ready pods that answer with their own names."""
    serve = "hostname > /tmp/index.html && exec httpd -f -p 8080 -h /tmp"
    spec = {**pod_spec(cluster.image, ["sh", "-c", serve], listens=8080), "restartPolicy": "Always"}
    labels = {"app": "names"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "names", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    front = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "names", "namespace": namespace},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    cluster.apply(deployment, front)
    cluster.must("rollout", "status", "-n", namespace, "deployment/names", "--timeout=60s")
    pod = cluster.get("pods", "-n", namespace, "-l", "app=names")["items"][0]["metadata"]["name"]
    # Its name and the way to its pods are known some moments after the pods are Ready.

    def asked() -> Done:
        return ask(cluster, namespace, pod, "names", 80)

    wait_for("the Service answers", lambda: asked().returncode == 0, seconds=SECONDS, explain=lambda: asked().stderr)
    return "names"


def ask(cluster: Cluster, namespace: str, pod: str, host: str, port: int) -> Done:
    script = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {host} {port}"
    return cluster.kubectl("exec", "-n", namespace, pod, "--", "sh", "-c", script)


def fetch(cluster: Cluster, namespace: str, pod: str, host: str, port: int = 80) -> str:
    """The body of a page, fetched from within a pod."""
    asked = ask(cluster, namespace, pod, host, port)
    assert asked.returncode == 0, asked.stderr
    head, _, body = asked.stdout.partition("\n\n")
    assert head.split()[1] == "200", head
    return body.strip()


def test_a_service_answers_by_its_name_from_each_of_its_pods(
    cluster: Cluster, namespace: str, web: str, service: str
) -> None:
    pods = {pod["metadata"]["name"] for pod in cluster.get("pods", "-n", namespace, "-l", "app=names")["items"]}
    host = f"{service}.{namespace}.svc.cluster.local"
    seen: set[str] = set()
    for _ in range(60):
        seen.add(fetch(cluster, namespace, web, host))
        if seen == pods:
            break
    assert seen == pods


def test_a_pod_reaches_its_own_service(cluster: Cluster, namespace: str, service: str) -> None:
    pod = cluster.get("pods", "-n", namespace, "-l", "app=names")["items"][0]["metadata"]["name"]
    pods = {found["metadata"]["name"] for found in cluster.get("pods", "-n", namespace)["items"]}
    answers = {fetch(cluster, namespace, pod, service) for _ in range(8)}
    assert answers <= pods


def test_names(cluster: Cluster, namespace: str, web: str) -> None:
    known = cluster.kubectl("exec", "-n", namespace, web, "--", "nslookup", "kubernetes.default.svc.cluster.local")
    assert known.returncode == 0, known.stdout
    unknown = cluster.kubectl("exec", "-n", namespace, web, "--", "nslookup", "none.default.svc.cluster.local")
    assert unknown.returncode != 0
    assert "NXDOMAIN" in unknown.stdout + unknown.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_pods_reach_the_machines_services(joinable_cluster: Cluster, namespace: str, web: str, name: str) -> None:
    def connect(port: int) -> Done:
        script = f"nc -w 5 {ADDRESS} {port} </dev/null"
        return joinable_cluster.kubectl("exec", "-n", namespace, web, "--", "sh", "-c", script)

    done = connect(port_of(name))
    assert done.returncode == 0, done.stderr
    refused = connect(1)
    assert "refused" in refused.stderr


def test_this_machines_address_among_pods_stays(own_cluster: Cluster) -> None:
    """The bridge keeps its hardware address as pods come and go: it was given one, and takes none of its ports'."""
    bridge = Path("/sys/class/net", BRIDGE)
    assert (bridge / "address").read_text().strip() == BRIDGE_HARDWARE_ADDRESS
    given = 3  # NET_ADDR_SET of the kernel's netdevice.h
    assert int((bridge / "addr_assign_type").read_text()) == given
