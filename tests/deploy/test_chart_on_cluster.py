"""The chart on a real API server: what it accepts, what the agent's account may then do, and what an upgrade leaves.

The agent itself does not run here (`replicas: 0`); in `test_upgrade.py` it does.
"""

import base64
import json
import secrets
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from perijove_platform.runtimes.kubernetes import manifests
from programs import program
from real_cluster import Cluster

CHART = Path(__file__).parents[2] / "deploy" / "charts" / "perijove-agent"
POLICY_SECONDS = 60
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}

Object = dict[str, Any]
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Kubectl:
    """Real kubectl as the administrator of the test cluster, or as someone else."""

    program: str
    kubeconfig: str

    def __call__(self, *arguments: str, given: Object | list[Object] | None = None, user: str = "") -> Done:
        as_user = ["--as", user] if user else []
        objects = given if isinstance(given, list) else [given]
        return subprocess.run(
            [self.program, "--kubeconfig", self.kubeconfig, *as_user, *arguments],
            input=None if given is None else yaml.safe_dump_all(objects),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def apply(self, given: Object, user: str = "") -> Done:
        return self("apply", "--server-side", "--field-manager=perijove", "-f", "-", given=given, user=user)

    def must(self, *arguments: str, given: Object | list[Object] | None = None) -> str:
        done = self(*arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Kubectl:
    return Kubectl(str(program("kubectl")), str(cluster.kubeconfig))


@pytest.fixture(scope="module")
def helm_there(helm: Callable[..., Done], kubectl: Kubectl) -> Callable[..., Done]:
    """Helm, as the administrator of that cluster."""
    return partial(helm, "--kubeconfig", kubectl.kubeconfig)


@dataclass(frozen=True)
class Release:
    """The chart as helm installed it, with no agent running."""

    name: str
    namespace: str
    values: Object

    @property
    def account(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def project(self) -> str:
        """The namespace of a project whose id is the release's name."""
        return manifests.namespace_name(self.name)


@pytest.fixture(scope="module")
def release(kubectl: Kubectl, helm_there: Callable[..., Done]) -> Iterator[Release]:
    name = f"chart-{secrets.token_hex(4)}"
    exists = kubectl("get", "clusterrole", "perijove-project-member").returncode == 0
    values = {
        "fullnameOverride": name,
        "platform": {"url": "https://perijove.example.org"},
        "registration": {"token": "pjreg-1"},
        "rbac": {"projectMember": {"create": not exists}},
        "replicas": 0,
    }
    release = Release(name, name, values)
    kubectl.must("create", "-f", "-", given=namespace(name, RESTRICTED))
    try:
        done = helm_there("install", name, str(CHART), "--namespace", name, values=values)
        assert done.returncode == 0, done.stderr
        eventually(lambda: refuses_jobs(kubectl, release), "the admission policy refuses nothing")
        yield release
    finally:
        helm_there("uninstall", name, "--namespace", name, "--wait")
        kubectl("delete", "namespace", name, release.project, "--ignore-not-found", "--wait=false")


def namespace(name: str, labels: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def job(name: str, namespace: str) -> Object:
    container = {"name": "c", "image": "example.org/none", "resources": {"requests": {"cpu": "1m"}}}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"suspend": True, "template": pod}}


def secret(name: str, namespace: str) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": "t"}}


def binding(namespace: str, role: str, group: str) -> Object:
    api = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{api}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "members", "namespace": namespace},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": api, "kind": "Group", "name": group}],
    }


def eventually(found: Callable[[], bool], what: str) -> None:
    """The API server takes up a new admission policy some moments after it was made."""
    deadline = time.monotonic() + POLICY_SECONDS
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def status(kubectl: Kubectl, policy: str) -> Object:
    shown = kubectl.must("get", "validatingadmissionpolicy", policy, "-o", "json")
    return json.loads(shown).get("status", {})


def refuses_jobs(kubectl: Kubectl, release: Release) -> bool:
    early = job("early", "default")
    done = kubectl("create", "--dry-run=server", "-f", "-", given=early, user=release.account)
    return "ValidatingAdmissionPolicy" in done.stderr


@pytest.fixture(scope="module")
def project(kubectl: Kubectl, release: Release) -> str:
    """A project's namespace, made in the agent's name of what the platform makes."""
    of_project = (manifests.namespace, manifests.role_binding, manifests.network_policy)
    for given in (make(release.name) for make in of_project):
        done = kubectl.apply(given, release.account)
        assert done.returncode == 0, done.stderr
    return release.project


@pytest.mark.parametrize("name", ["least", "everything", "bare"])
def test_api_server_accepts_every_object(
    kubectl: Kubectl,
    release: Release,
    render: Callable[..., list[Object]],
    values: Callable[[str], Object],
    name: str,
) -> None:
    rendered = render(values(name), "--namespace", release.namespace)
    how = ["--server-side", "--force-conflicts", "--dry-run=server", "--field-manager=helm"]
    done = kubectl("apply", *how, "-f", "-", given=rendered)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr  # such as what the restricted Pod Security standard would refuse


def test_agent_does_what_jobs_need(kubectl: Kubectl, release: Release, project: str) -> None:
    for given in (job("one", project), secret("one", project)):
        for _ in range(2):  # made, then changed
            done = kubectl.apply(given, release.account)
            assert done.returncode == 0, done.stderr
    assert kubectl("get", "jobs,pods", "-A", user=release.account).returncode == 0
    done = kubectl("delete", "job/one", "secret/one", "-n", project, "--wait=false", user=release.account)
    assert done.returncode == 0, done.stderr


def test_agent_writes_nowhere_else(kubectl: Kubectl, release: Release) -> None:
    for given in (job("one", "default"), secret("one", "kube-system"), secret("one", release.namespace)):
        done = kubectl.apply(given, release.account)
        assert "only into namespaces of projects" in done.stderr
    token = f"{release.name}-registration"
    done = kubectl("delete", "secret", token, "-n", release.namespace, user=release.account)
    assert "only into namespaces of projects" in done.stderr


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("other", {**RESTRICTED, "perijove.dev/project": "p"}),
        ("perijove-unlabelled", RESTRICTED),
        ("perijove-privileged", {"perijove.dev/project": "p", "pod-security.kubernetes.io/enforce": "privileged"}),
        ("kube-system", {**RESTRICTED, "perijove.dev/project": "p"}),
    ],
)
def test_agent_makes_only_namespaces_of_projects(
    kubectl: Kubectl, release: Release, name: str, labels: dict[str, str]
) -> None:
    done = kubectl.apply(namespace(name, labels), release.account)
    assert "only namespaces that begin with perijove-" in done.stderr


def test_agent_takes_over_no_namespace(kubectl: Kubectl, release: Release) -> None:
    name = f"perijove-mine-{release.name}"
    kubectl.must("create", "-f", "-", given=namespace(name, {}))
    try:
        done = kubectl.apply(namespace(name, {**RESTRICTED, "perijove.dev/project": "p"}), release.account)
        assert "only namespaces that begin with perijove-" in done.stderr
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize(
    ("role", "group", "said"),
    [
        ("cluster-admin", "perijove:project:p", "forbidden"),
        ("edit", "perijove:project:p", "forbidden"),
        ("perijove-project-member", "system:authenticated", "only the cluster role perijove-project-member"),
    ],
)
def test_agent_binds_nothing_else(
    kubectl: Kubectl, release: Release, project: str, role: str, group: str, said: str
) -> None:
    given = binding(project, role, group)

    def refused() -> bool:
        done = kubectl("create", "--dry-run=server", "-f", "-", given=given, user=release.account)
        return done.returncode != 0 and said in done.stderr

    eventually(refused, said)


def test_policies_fit_the_kinds_that_they_concern(kubectl: Kubectl, release: Release) -> None:
    """Kubernetes has checked their fields against the schemas, and warns of none."""
    for name in (f"{release.name}-{release.name}", f"{release.name}-{release.name}-bindings"):

        def checked(name: str = name) -> bool:
            return "typeChecking" in status(kubectl, name)

        eventually(checked, f"{name} is not checked")
        assert not status(kubectl, name)["typeChecking"].get("expressionWarnings")


@pytest.mark.parametrize(
    "asked",
    [
        "get secrets -A",
        "list secrets -A",
        "create pods -n default",
        "create pods/exec -n {project}",
        "create serviceaccounts/token -n kube-system",
        "create clusterrolebindings",
        "escalate clusterroles",
        "get nodes/proxy",
        "delete namespaces",
        "patch nodes",
        "impersonate serviceaccounts -n kube-system",
        "impersonate uids.authentication.k8s.io",
        "update validatingadmissionpolicies",
    ],
)
def test_agent_may_not(kubectl: Kubectl, release: Release, project: str, asked: str) -> None:
    done = kubectl("auth", "can-i", *asked.format(project=project).split(), user=release.account)
    assert done.stdout.strip() == "no", done.stderr


def test_agent_makes_the_queues_of_a_project(kubectl: Kubectl, release: Release, project: str) -> None:
    flavor = manifests.Flavor(name=f"perijove-{release.name}", resources=("cpu", "memory"))
    share = manifests.QueueShare(
        name=manifests.cluster_queue_name(release.name),
        organization_id="org-chart",
        nominal={},
        cohort=None,
        project_id=release.name,
    )
    made = [
        manifests.resource_flavor(flavor),
        manifests.cluster_queue(share, [flavor]),
        manifests.local_queue(release.name),
        manifests.priority_class(int(release.name[-4:], 16) + 1),
    ]
    try:
        for given in made:
            done = kubectl.apply(given, release.account)
            assert done.returncode == 0, done.stderr
    finally:
        kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", given=made)


@pytest.mark.parametrize(
    ("kind", "rest"), [("ClusterQueue", {"spec": {}}), ("ResourceFlavor", {}), ("WorkloadPriorityClass", {"value": 1})]
)
def test_agent_changes_no_queue_of_others(kubectl: Kubectl, release: Release, kind: str, rest: Object) -> None:
    metadata = {"name": f"mine-{release.name}"}
    done = kubectl.apply(
        {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": metadata, **rest}, release.account
    )
    assert "that begin with perijove-" in done.stderr


def test_agent_has_its_credential(kubectl: Kubectl, release: Release) -> None:
    name = f"{release.name}-credential"
    patch = json.dumps({"data": {"credential": "cGphZ2VudC0x"}})
    done = kubectl("patch", "secret", name, "-n", release.namespace, "-p", patch, user=release.account)
    assert done.returncode == 0, done.stderr
    got = kubectl("get", "secret", name, "-n", release.namespace, "-o", "json", user=release.account)
    assert json.loads(got.stdout)["data"] == {"credential": "cGphZ2VudC0x"}
    kubectl.must("delete", "secret", name, "-n", release.namespace)
    done = kubectl.apply(secret(name, release.namespace), release.account)
    assert done.returncode == 0, done.stderr
    other = kubectl("get", "secret", f"{release.name}-registration", "-n", release.namespace, user=release.account)
    assert "forbidden" in other.stderr


def api(kubectl: Kubectl, release: Release) -> httpx.Client:
    """The API server, with a token of the agent's account."""
    config = json.loads(kubectl.must("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    cluster = config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    token = kubectl.must("create", "token", release.name, "-n", release.namespace).strip()
    return httpx.Client(
        base_url=cluster["server"],
        headers={"Authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cadata=authority),
        trust_env=False,
    )


def test_members_have_their_namespace_only(kubectl: Kubectl, release: Release, project: str) -> None:
    """As the agent passes their requests on: its own token, their names."""
    person = {
        "Impersonate-User": "perijove:user_1",
        "Impersonate-Group": f"perijove:project:{release.name}",
        "Impersonate-Extra-perijove.dev%2Femail": "ada@example.org",
    }
    with api(kubectl, release) as client:

        def status(path: str, headers: dict[str, str] = person) -> int:
            return client.get(path, headers=headers).status_code

        assert status(f"/api/v1/namespaces/{project}/pods") == 200
        assert status(f"/api/v1/namespaces/{project}/events") == 200
        assert status(f"/apis/batch/v1/namespaces/{project}/jobs") == 200
        assert status("/apis/batch/v1") == 200  # kubectl asks what there is
        assert status(f"/api/v1/namespaces/{project}/secrets") == 403
        assert status("/api/v1/namespaces/default/pods") == 403
        assert status("/api/v1/pods") == 403
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        seen = client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json=review, headers=person).json()
        assert seen["status"]["userInfo"]["username"] == "perijove:user_1"
        assert seen["status"]["userInfo"]["extra"] == {"perijove.dev/email": ["ada@example.org"]}
        assert status("/api/v1/pods", {**person, "Impersonate-Extra-Scopes": "all"}) == 403


def test_upgrade_keeps_the_credential(kubectl: Kubectl, helm_there: Callable[..., Done], release: Release) -> None:
    def get(kind: str, name: str) -> Object:
        return json.loads(kubectl.must("get", kind, name, "-n", release.namespace, "-o", "json"))

    name = f"{release.name}-credential"
    assert kubectl.apply(secret(name, release.namespace), release.account).returncode == 0
    before = get("deployment", release.name)["metadata"]["generation"]
    values = {key: value for key, value in release.values.items() if key != "registration"}
    done = helm_there(
        "upgrade", release.name, str(CHART), "-n", release.namespace, values={**values, "logLevel": "debug"}
    )
    assert done.returncode == 0, done.stderr
    assert get("secret", name)["data"] == {"token": base64.b64encode(b"t").decode()}
    assert get("deployment", release.name)["metadata"]["generation"] == before + 1
    gone = kubectl("get", "secret", f"{release.name}-registration", "-n", release.namespace)
    assert "NotFound" in gone.stderr
