"""The cluster ends without a trace. After all other tests with it: see `conftest.py`."""

import pytest
from real_cluster import Cluster
from testbed import cluster as testbed
from testbed import machine


def test_down_leaves_the_machine_as_it_was(cluster: Cluster) -> None:
    use = cluster.use
    if use is None or not use.started:
        pytest.skip("the cluster was up before: end it to test its end (make cluster-down)")
    if not use.alone():
        pytest.skip("others use the cluster too")
    running = machine.state()
    # What is compared sees a cluster that runs.
    for kind in ("processes", "mounts", "network interfaces", "addresses", "nftables", "control groups", "files"):
        assert running[kind] - use.before[kind], kind
    testbed.down()
    assert machine.changes(use.before, machine.state()) == []
    testbed.down()  # twice is no mistake
