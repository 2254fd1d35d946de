"""The node, streams into its pods, and what the API server writes down."""

import http.client
import json
import re
import subprocess
import time
from typing import Any

from real_cluster import Cluster, pod_spec
from testbed import layout

SECONDS = 30.0


def test_every_node_is_ready(cluster: Cluster) -> None:
    nodes = cluster.get("nodes")["items"]
    assert nodes
    for node in nodes:
        ready = {row["type"]: row["status"] for row in node["status"]["conditions"]}
        assert ready["Ready"] == "True"
        # A build that was not stamped would say v0.0.0, and clients would refuse it.
        assert re.match(r"v1\.\d\d", node["status"]["nodeInfo"]["kubeletVersion"])


def test_exec_carries_input_output_and_status(cluster: Cluster, namespace: str, web: str) -> None:
    echoed = cluster.kubectl("exec", "-i", "-n", namespace, web, "--", "cat", given="through the pod\n")
    assert (echoed.stdout, echoed.returncode) == ("through the pod\n", 0)
    failed = cluster.kubectl("exec", "-n", namespace, web, "--", "sh", "-c", "echo to the error >&2; exit 7")
    assert failed.returncode == 7
    assert "to the error" in failed.stderr


def test_logs(cluster: Cluster, namespace: str) -> None:
    spec = pod_spec(cluster.image, ["sh", "-c", "echo first; echo second"])
    metadata = {"name": "speaker", "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    cluster.must("wait", "-n", namespace, "pod/speaker", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert cluster.must("logs", "-n", namespace, "speaker") == "first\nsecond\n"


def test_port_forward(cluster: Cluster, namespace: str, web: str) -> None:
    command = cluster.command("port-forward", "-n", namespace, f"pod/{web}", ":8080")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            line = forwarding.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+) -> 8080", line)
            assert found, line
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=SECONDS)
            connection.request("GET", "/index.html")
            assert connection.getresponse().read() == b"hello\n"
        finally:
            forwarding.terminate()


def test_audit_log_names_who_is_acted_for(own_cluster: Cluster, namespace: str) -> None:
    person = "perijove:user_audited"
    refused = own_cluster.kubectl("get", "pods", "-n", namespace, "--as", person, "--as-group", "perijove:project:p")
    assert "forbidden" in refused.stderr
    deadline = time.monotonic() + SECONDS
    while not (rows := [row for row in audited(person) if row.get("impersonatedUser", {}).get("username") == person]):
        assert time.monotonic() < deadline, "the request is not in the audit log"
        time.sleep(0.1)
    row = rows[-1]
    assert row["impersonatedUser"]["groups"] == ["perijove:project:p", "system:authenticated"]
    assert (row["user"]["username"], row["verb"], row["responseStatus"]["code"]) == ("admin", "list", 403)
    assert row["objectRef"]["namespace"] == namespace


def audited(person: str) -> list[dict[str, Any]]:
    """The log's rows that name somebody."""
    # The last line may be half written.
    lines = layout.AUDIT_LOG.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines if person in line]
