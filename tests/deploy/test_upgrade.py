"""An upgrade from the version before, and back, under a connected agent and running jobs, by real helm."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fine_tunes import until
from perijove_platform.runtimes.kubernetes.manifests import NETWORK_POLICY
from real_cluster import Cluster
from testbed import dockerfiles
from testbed.hosted import RELEASE, Hosted

CHART = Path(__file__).parents[2] / "deploy" / "charts" / "perijove-agent"
(PREVIOUS,) = Path(__file__).parent.glob("previous/*.tgz")
"""As `helm package` made it of the version before."""
KINDS = "jobs,pods,secrets,localqueues,workloads,rolebindings"
SECONDS = 120.0
MORE_THAN_THERE_IS = 1000

Helm = Callable[..., "subprocess.CompletedProcess[str]"]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def hosted(joinable_cluster: Cluster) -> Iterator[Hosted]:
    """A platform, and its agent by the version before."""
    found = Hosted.fresh("upgrade")
    try:
        found.start_platform()
        dockerfiles.ensure("agent")
        found.install_agent(chart=PREVIOUS)
        yield found
    finally:
        found.remove()


def make_job(hosted: Hosted, image: str, cpus: float) -> str:
    body = {
        "image": image,
        "command": ["sh", "-c", "echo begun && exec sleep 3600"],
        "resources": {"cpus": cpus, "memory_bytes": 32 << 20},
        "cluster": hosted.cluster,
    }
    return str(hosted.call("POST", "/v1/batch_jobs", body)["id"])


def reach(hosted: Hosted, job_id: str, state: str, reason: str = "") -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        job = hosted.call("GET", f"/v1/batch_jobs/{job_id}")
        if job["state"] == state and reason in (job["state_reason"] or ""):
            return
        assert time.monotonic() < deadline, json.dumps(job)
        time.sleep(0.2)


@pytest.fixture(scope="module")
def running(hosted: Hosted, joinable_cluster: Cluster) -> str:
    """The id of a job that runs."""
    job_id = make_job(hosted, joinable_cluster.image, 0.01)
    reach(hosted, job_id, "running")
    return job_id


def make_waiting(hosted: Hosted, cluster: Cluster) -> str:
    """The id of a job that is in the cluster and waits for more than there is."""
    job_id = make_job(hosted, cluster.image, MORE_THAN_THERE_IS)
    reach(hosted, job_id, "queued", f"{MORE_THAN_THERE_IS} CPU")
    return job_id


def objects(cluster: Cluster, namespace: str) -> dict[str, Json]:
    """What of a namespace and of what is in it an upgrade must not touch, by kind and name."""
    listed = cluster.get(KINDS, "-n", namespace)["items"]
    found = {f"{each['kind']}/{each['metadata']['name']}": each for each in [*listed, cluster.get("ns", namespace)]}
    names = ("uid", "generation", "labels", "annotations", "ownerReferences")
    return {name: {key: each["metadata"].get(key) for key in names} for name, each in found.items()}


def credential(cluster: Cluster, hosted: Hosted) -> Json:
    found: Json = cluster.get("secret", f"{RELEASE}-credential", "-n", hosted.namespace)["data"]
    return found


def version(cluster: Cluster, hosted: Hosted) -> str:
    """The chart's, of the release as it is now."""
    labels: Json = cluster.get("deployment", RELEASE, "-n", hosted.namespace)["metadata"]["labels"]
    return str(labels["helm.sh/chart"])


def test_an_upgrade_and_its_rollback_keep_credential_and_jobs(
    hosted: Hosted, joinable_cluster: Cluster, helm: Helm, running: str
) -> None:
    waiting = make_waiting(hosted, joinable_cluster)
    jobs = objects(joinable_cluster, hosted.project_namespace)
    kept, token = credential(joinable_cluster, hosted), hosted.call("GET", f"/v1/clusters/{hosted.cluster}")
    assert kept["credential"]
    assert token["registration_token"]["state"] == "used"
    assert {f"Job/{job_id}" for job_id in (running, waiting)} <= jobs.keys()
    before = version(joinable_cluster, hosted)
    agents = set(hosted.agent_pods())

    def left() -> dict[str, Json]:
        return objects(joinable_cluster, hosted.project_namespace)

    def check(chart: str) -> None:
        nonlocal agents
        assert version(joinable_cluster, hosted) == chart
        # Helm waits for the new pod, not until the old one has been asked to end.
        until("no agent of before is there", lambda: not agents & set(hosted.agent_pods()), seconds=SECONDS)
        hosted.wait_connected()
        agents = set(hosted.agent_pods())
        assert credential(joinable_cluster, hosted) == kept
        now = hosted.call("GET", f"/v1/clusters/{hosted.cluster}")
        assert now["registration_token"] == token["registration_token"]
        # What belonged to a job that has gone goes some moments after it.
        until("only what was there is there", lambda: left() == jobs, seconds=SECONDS, explain=left)
        reach(hosted, running, "running")
        # Over the new agent's link, a job goes all the way and back.
        another = make_waiting(hosted, joinable_cluster)
        hosted.call("POST", f"/v1/batch_jobs/{another}/cancel")
        joinable_cluster.must("wait", "--for=delete", f"job/{another}", "-n", hosted.project_namespace, "--timeout=60s")

    assert before == PREVIOUS.stem
    hosted.install_agent()
    present = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    assert before != f"perijove-agent-{present}"
    check(f"perijove-agent-{present}")
    # The role of the version before had no right to it.
    joinable_cluster.must(
        "wait", "--for=create", f"networkpolicy/{NETWORK_POLICY}", "-n", hosted.project_namespace, "--timeout=60s"
    )

    there = ["--kubeconfig", str(joinable_cluster.kubeconfig), "--namespace", hosted.namespace]
    done = helm(*there, "rollback", RELEASE, "1", "--wait", "--timeout=100s")
    assert done.returncode == 0, done.stderr
    check(before)
    history = json.loads(helm(*there, "history", RELEASE, "-o", "json").stdout)
    assert [each["description"] for each in history][-1] == "Rollback to 1"
