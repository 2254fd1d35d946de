"""What a cluster's page shows of the real one."""

import os
import subprocess
import sys
import time
from typing import Any

from perijove_platform import __version__
from testbed.hosted import Hosted
from testbed.layout import KUEUE_IMAGE

SECONDS = 60.0


def test_agents_and_versions(hosted: Hosted) -> None:
    def page() -> Any:
        return hosted.call("GET", f"/v1/clusters/{hosted.cluster}")

    wanted = {"agent": __version__, "kueue": KUEUE_IMAGE.rpartition(":")[2]}
    deadline = time.monotonic() + SECONDS
    while (found := page())["component_versions"] != wanted:
        assert time.monotonic() < deadline, found["component_versions"]
        time.sleep(0.2)
    assert (found["agents"], found["agent_versions"]) == (1, [__version__])
    assert found["kubernetes_version"] == found["node_list"][0]["kubelet_version"]
    assert found["problems"] == []
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
