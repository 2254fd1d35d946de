"""What a cluster's page shows of the real one."""

import json
import os
import subprocess
import sys
import time
from typing import Any

from perijove_platform import __version__
from real_cluster import Cluster
from testbed.hosted import Hosted

SECONDS = 60.0


def kueue_version(cluster: Cluster) -> str:
    """The tag of its manager's image."""
    spec = cluster.get("deployment", "kueue-controller-manager", "-n", "kueue-system")["spec"]["template"]["spec"]
    image: str = next(each["image"] for each in spec["containers"] if each["name"] == "manager")
    return image.partition("@")[0].rpartition(":")[2]


def test_agents_and_versions(hosted: Hosted, cluster: Cluster) -> None:
    def page() -> Any:
        return hosted.call("GET", f"/v1/clusters/{hosted.cluster}")

    wanted = {"agent": __version__, "kueue": kueue_version(cluster)}
    deadline = time.monotonic() + SECONDS
    while (found := page())["component_versions"] != wanted or found["problems"]:
        assert time.monotonic() < deadline, (found["component_versions"], found["problems"])
        time.sleep(0.2)
    assert (found["agents"], found["agent_versions"]) == (1, [__version__])
    version = json.loads(cluster.must("version", "-o", "json"))["serverVersion"]["gitVersion"]
    assert found["kubernetes_version"] == version
    kubelets = {node["status"]["nodeInfo"]["kubeletVersion"] for node in cluster.get("nodes")["items"]}
    assert {node["kubelet_version"] for node in found["node_list"]} == kubelets
    command = [sys.executable, "-m", "perijove_platform", "clusters", "get", hosted.cluster]
    environment = {**os.environ, **hosted.environment()}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    rows = dict(line.split(maxsplit=1) for line in shown.splitlines()[1:])
    assert {name: rows[name] for name in ("agents", *wanted)} == {"agents": "1 connected", **wanted}

    hosted.stop_agent()
    hosted.wait_connected(False)

    lost = page()
    assert (lost["state"], lost["agents"]) == ("lost", 0)
    assert lost["component_versions"] == wanted
