"""A real Kubernetes for the session: the one that is named, the one that is up, or one that is started for it."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_cluster import Cluster, pod_spec
from testbed import cluster as testbed
from testbed import layout, machine, packages

NAMED = "PERIJOVE_TEST_KUBECONFIG"
IMAGE = "PERIJOVE_TEST_IMAGE"
# Where nothing has been built yet, the first test waits for Go.
SECONDS = 1800
LAST = "test_leftovers.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here wants the cluster; the one that ends it comes after the others."""
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in ours:
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.timeout(SECONDS))
    places = [index for index, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    ours.sort(key=lambda item: item.path.name == LAST)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, which is left as it was found: up or down."""
    named = os.environ.get(NAMED)
    if named:
        yield Cluster(Path(named), os.environ.get(IMAGE, "busybox:1.36"), started=False, own=False)
        return
    reason = packages.cannot_run()
    if reason is not None:
        pytest.skip(f"{reason}; or name a cluster's kubeconfig in {NAMED}")
    with testbed.alone():
        packages.ensure()
        found_up = testbed.is_up()
        before = {} if found_up else machine.state()
        testbed.up()
        try:
            yield Cluster(layout.ADMIN, layout.BUSYBOX_IMAGE, started=not found_up, own=True, before=before)
        finally:
            if not found_up:
                testbed.down()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, as restricted as those of projects."""
    name = f"test-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """The name of a Ready pod that serves the page ``hello`` at port 8080."""
    serve = "echo hello > /tmp/index.html && exec httpd -f -p 8080 -h /tmp"
    spec = pod_spec(cluster.image, ["sh", "-c", serve])
    metadata = {"name": "web", "namespace": namespace, "labels": {"app": "web"}}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    cluster.must("wait", "-n", namespace, "pod/web", "--for=condition=Ready", "--timeout=60s")
    return "web"
