"""pytest's plugin for tests that want a real Kubernetes: their order, what is built for them, and what they ask for.

`tests/conftest.py` loads it, so that there is one cluster in a session, wherever its tests lie. Other sessions may use
the same one at the same time. With `PERIJOVE_TEST_KUBECONFIG` it is that of somebody else, which stays as it was.
"""

import json
import os
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from functools import partial

import programs
import pytest
from real_cluster import Cluster, Done, pod_spec
from testbed import cluster as testbed
from testbed import layout, named, packages
from testbed.hosted import Hosted
from testbed.steps import wait_for

PROGRAMS = "PERIJOVE_TESTBED_BIN"
LAST = "test_leftovers.py"
# The first test waits for Debian's packages and for the cluster besides.
START_SECONDS = 600
POD_SECONDS = 60
LEFT_OUT = pytest.StashKey[str]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests with the marker `cluster` come last, and the one that ends the cluster last of all.

    What they need is built before the first test of all. Where there can be no cluster they are left out, unless
    ``-m`` asks for them: then each says for itself what it lacks.
    """
    items.sort(key=_place)
    wanted = [item for item in items if item.get_closest_marker("cluster")]
    if not wanted or config.option.collectonly:
        return
    reason = packages.cannot_run() if layout.LOAD else None
    if reason is None:
        reason = _build(config, wanted)
    if reason is not None and not config.option.markexpr:
        config.stash[LEFT_OUT] = f"{len(wanted)} tests with the marker cluster: {reason}"
        config.hook.pytest_deselected(items=wanted)
        items[:] = [item for item in items if item not in wanted]
        return
    first = next((item for item in items if _uses_cluster(item)), None)
    if first is not None:
        own = first.get_closest_marker("timeout")
        seconds = own.args[0] if own is not None else float(config.getini("timeout"))
        first.add_marker(pytest.mark.timeout(seconds + START_SECONDS), append=False)


def _place(item: pytest.Item) -> int:
    if item.get_closest_marker("cluster") is None:
        return 0
    if item.path.name == LAST:
        return 3
    return 2 if _uses_cluster(item) else 1


def _uses_cluster(item: pytest.Item) -> bool:
    return "cluster" in getattr(item, "fixturenames", ())


def _build(config: pytest.Config, wanted: list[pytest.Item]) -> str | None:
    """Build the programs that the cluster, or its control plane alone, consists of; why not, when that cannot be."""
    used = any(map(_uses_cluster, wanted))
    plane = any("control_plane" in getattr(item, "fixturenames", ()) for item in wanted)
    if (used and layout.NAMED is None) or (plane and not os.environ.get(PROGRAMS)):
        build = programs.build_all
    elif used:
        build = partial(programs.build, testbed.PROGRAMS)
    else:
        return None
    try:
        # Minutes, the first time: who waits sees what is going on.
        with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            build()
    except programs.CannotBuild as error:
        return str(error)
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if LEFT_OUT in config.stash:
        terminalreporter.write_line(f"could not run here: {config.stash[LEFT_OUT]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI that is a failure, since CI has every part."""
    if os.environ.get("CI") and LEFT_OUT in session.config.stash and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """With its fixtures of every scope: a test that disturbs others has the test bed for itself."""
    if not _uses_cluster(item):
        return (yield)
    with testbed.undisturbed(alone=item.get_closest_marker("disturbs") is not None):
        return (yield)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, which is left as it was found: up or down. Of sessions at the same time the last one ends it.

    A test that asks for this one alone needs nothing of the cluster but Kubernetes, Kueue and busybox.
    """
    if not layout.LOAD:
        yield Cluster(layout.ADMIN, layout.IMAGE)
        return
    reason = packages.cannot_run()
    if reason is not None:
        pytest.skip(f"{reason}; or name a cluster's kubeconfig in {named.KUBECONFIG}, without {named.LOAD}")
    with testbed.used() as use:
        yield Cluster(layout.ADMIN, layout.IMAGE, use)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, as restricted as those of projects."""
    name = f"test-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    # Its account comes some moments later, and Kueue, which every pod is shown to, may not have heard of it yet.
    metadata = {"name": "probe", "namespace": name}
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(cluster.image, ["true"])}

    def made() -> Done:
        return cluster.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(probe))

    wait_for("pods can be made", lambda: made().returncode == 0, seconds=POD_SECONDS, explain=lambda: made().stderr)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """The name of a Ready pod that serves the page ``hello`` at port 8080."""
    serve = "echo hello > /tmp/index.html && exec httpd -f -p 8080 -h /tmp"
    spec = pod_spec(cluster.image, ["sh", "-c", serve], listens=8080)
    metadata = {"name": "web", "namespace": namespace, "labels": {"app": "web"}}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    cluster.must("wait", "-n", namespace, "pod/web", "--for=condition=Ready", f"--timeout={POD_SECONDS}s")
    return "web"


@pytest.fixture(scope="session")
def own_cluster(cluster: Cluster) -> Cluster:
    """The test bed of this machine, not a cluster that was named: for what is about its parts, or reads its files."""
    if layout.NAMED is not None:
        pytest.skip(f"about processes and files of the test bed, which the cluster of {named.KUBECONFIG} is not")
    return cluster


@pytest.fixture(scope="session")
def joinable_cluster(cluster: Cluster) -> Cluster:
    """One that platforms of this machine can have an agent in: it has our images, and its pods reach the platforms."""
    if cluster.use is None:
        pytest.skip(f"name a command in {named.LOAD} that gives an image archive to the cluster")
    return cluster


Make = Callable[..., Hosted]


@pytest.fixture(scope="module")
def make_hosted(joinable_cluster: Cluster) -> Iterator[Make]:
    """Starts a platform with its agent, which is removed after the module's last test: ``make_hosted("purpose",
    tls=True)``; more as in `Hosted`."""
    with ExitStack() as stack:
        yield lambda purpose, **more: stack.enter_context(Hosted.started(purpose, **more))


@pytest.fixture(scope="module")
def hosted(make_hosted: Make) -> Hosted:
    """A platform with its agent for the tests of a module: http, PostgreSQL, S3, one replica."""
    return make_hosted("shared")
