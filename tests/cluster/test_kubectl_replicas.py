"""A platform of two replicas: kubectl works at either, with either gone, and with one that came later."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
import yaml
from perijove_platform import __version__
from perijove_platform.runtimes.kubernetes import manifests
from persons_kubectl import PersonsKubectl
from real_cluster import Cluster, pod_spec
from testbed.hosted import Hosted

# Much less than the five minutes after which an agent looks for replicas by itself.
SECONDS = 100.0
SCRIPT = "touch /tmp/log; exec tail -f /tmp/log"


@pytest.fixture(scope="module")
def hosted(joinable_cluster: Cluster) -> Iterator[Hosted]:
    """The agent dials the one address of both, where a balancer stands; replicas trust each other's certificate."""
    with Hosted.started("replicas", replicas=2, tls=True, s3=False) as running:
        yield running


@pytest.fixture(scope="module")
def kubectl(
    joinable_cluster: Cluster, hosted: Hosted, tmp_path_factory: pytest.TempPathFactory
) -> list[PersonsKubectl]:
    """A person's, at each replica; in the project's namespace runs the pod `writer`."""
    person = hosted.add_person("ada")
    joinable_cluster.apply(manifests.namespace(person.project_id), manifests.role_binding(person.project_id))
    metadata = {"name": "writer", "namespace": hosted.project_namespace}
    spec = pod_spec(joinable_cluster.image, ["sh", "-c", SCRIPT])
    pod = yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    until("the pod is made", lambda: joinable_cluster.kubectl("apply", "-f", "-", given=pod).returncode == 0)
    where = ("-n", hosted.project_namespace)
    joinable_cluster.must("wait", *where, "pod/writer", "--for=condition=Ready", "--timeout=60s")
    return [
        PersonsKubectl.set_up(hosted, person, tmp_path_factory.mktemp(f"replica-{replica}"), replica=replica)
        for replica in range(2)
    ]


def until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS:.0f} s"
        time.sleep(0.2)


def linked(hosted: Hosted, cluster: Cluster) -> set[str]:
    """The replicas that the agent has ever had a link to, as it says itself."""
    said = cluster.must("logs", "-n", hosted.namespace, *hosted.agent_pods())
    return set(re.findall(r"to replica (\S+) stands", said))


def test_the_agent_links_to_every_replica_also_to_one_that_comes_later(
    hosted: Hosted, joinable_cluster: Cluster
) -> None:
    until("the agent has both links", lambda: len(linked(hosted, joinable_cluster)) == 2)
    hosted.platform.stop(1)
    hosted.platform.start(1)
    until("the agent has a link to the new one", lambda: len(linked(hosted, joinable_cluster)) == 3)


def test_what_goes_on_at_one_replica_survives_the_other(
    hosted: Hosted, kubectl: list[PersonsKubectl], joinable_cluster: Cluster
) -> None:
    def write(line: str) -> None:
        command = ["sh", "-c", f"echo {line} >> /tmp/log"]
        joinable_cluster.must("exec", "-n", hosted.project_namespace, "writer", "--", *command)

    for each in kubectl:
        assert each.must("exec", "writer", "--", "echo", "reached") == "reached\n"
    with kubectl[1].running("logs", "-f", "writer") as following:
        write("first")
        assert following.line() == "first"
        hosted.platform.kill(0)
        for number in range(3):
            write(f"after {number}")
            assert following.line() == f"after {number}"
        assert kubectl[1].must("exec", "-i", "writer", "--", "cat", given="through the other") == "through the other"
    assert kubectl[0]("get", "pods").returncode != 0
    hosted.platform.start(0)
    until("kubectl works at the one that is back", lambda: kubectl[0]("get", "pod", "writer").returncode == 0)


def test_a_second_agent_is_seen(hosted: Hosted) -> None:
    def cluster() -> tuple[int, list[str]]:
        found = hosted.call("GET", f"/v1/clusters/{hosted.cluster}")
        return found["agents"], found["agent_versions"]

    until("one agent is seen", lambda: cluster() == (1, [__version__]))
    hosted.scale_agent(2)
    until("two are seen", lambda: cluster() == (2, [__version__]))
    hosted.scale_agent(1)
    until("one is seen again", lambda: cluster() == (1, [__version__]))
