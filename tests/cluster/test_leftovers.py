"""The cluster ends without a trace. After all other tests with it: see `cluster_plugin.py`."""

import pytest
from real_cluster import Cluster
from testbed import cluster as testbed
from testbed import layout, machine

KINDS = ["processes", "mounts", "network interfaces", "addresses", "nftables", "control groups", "files"]
if layout.NAMED is not None:
    # A cluster of somebody's, which may lie on this very machine, goes on changing the rest of it.
    del KINDS[1:]


def test_down_leaves_the_machine_as_it_was(joinable_cluster: Cluster) -> None:
    use = joinable_cluster.use
    assert use is not None
    if not use.started:
        pytest.skip("the cluster was up before: end it to test its end (make cluster-down)")
    if not use.alone():
        pytest.skip("others use the cluster too")
    running = machine.state()
    # What is compared sees a cluster that runs.
    for kind in KINDS:
        assert running[kind] - use.before[kind], kind
    testbed.down()
    before = use.before if layout.NAMED is None else {kind: use.before[kind] for kind in KINDS}
    assert machine.changes(before, machine.state()) == []
    assert not layout.STATE.exists()
    testbed.down()  # twice is no mistake
