"""Real kubectl through the tunnel as named persons: what it does every day, over both of its stream protocols."""

import hashlib
import http.client
import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from perijove_platform.runtimes.kubernetes import manifests
from persons_kubectl import PersonsKubectl
from real_cluster import Cluster, Object, pod_spec
from testbed import layout
from testbed.hosted import Hosted
from testbed.people import Person

SECONDS = 60.0
PAGE = os.urandom(3 << 20)
PROTOCOLS = pytest.mark.parametrize("protocol", ["websocket", "spdy"])
# What is written into the file is the pod's log; its home is the page's folder.
SCRIPT = "mkdir /tmp/www; touch /tmp/log; httpd -p 8080 -h /tmp/www; exec tail -f /tmp/log"


@pytest.fixture(scope="module")
def hosted(joinable_cluster: Cluster) -> Iterator[Hosted]:
    """Answers https with a certificate of the test bed's own authority; the object store is not needed."""
    with Hosted.started("kubectl", tls=True, s3=False) as running:
        yield running


def shell_pod(cluster: Cluster, project: str, name: str) -> Object:
    spec = pod_spec(cluster.image, ["sh", "-c", SCRIPT], listens=8080)
    metadata = {"name": name, "namespace": manifests.namespace_name(project), "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def ada(joinable_cluster: Cluster, hosted: Hosted, tmp_path_factory: pytest.TempPathFactory) -> PersonsKubectl:
    """A member of the platform's own project, in whose namespace the pod `web` runs."""
    return member(joinable_cluster, hosted, "ada", None, tmp_path_factory.mktemp("ada"))


@pytest.fixture(scope="module")
def bob(joinable_cluster: Cluster, hosted: Hosted, tmp_path_factory: pytest.TempPathFactory) -> PersonsKubectl:
    """A member of another project, which has a pod `web`, too."""
    return member(joinable_cluster, hosted, "bob", "b", tmp_path_factory.mktemp("bob"))


def member(cluster: Cluster, hosted: Hosted, name: str, project: str | None, home: Path) -> PersonsKubectl:
    person = hosted.add_person(name, project=project)
    cluster.apply(manifests.namespace(person.project_id), manifests.role_binding(person.project_id))
    pod = yaml.safe_dump(shell_pod(cluster, person.project_id, "web"))
    # Kueue, which every pod is shown to, may not have heard of the namespace yet.
    until("the pod is made", lambda: cluster.kubectl("apply", "-f", "-", given=pod).returncode == 0)
    kubectl = PersonsKubectl.set_up(hosted, person, home)
    cluster.must("wait", "-n", namespace_of(kubectl), "pod/web", "--for=condition=Ready", "--timeout=60s")
    return kubectl


def namespace_of(kubectl: PersonsKubectl) -> str:
    return manifests.namespace_name(kubectl.person.project_id)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_there_is(ada: PersonsKubectl) -> None:
    """In the context's own namespace, which is that of the project."""
    assert re.search(r"^web +1/1 +Running", ada.must("get", "pods"), re.MULTILINE)
    assert ada.get("pod", "web")["metadata"]["namespace"] == namespace_of(ada)
    assert "Node:" in ada.must("describe", "pod", "web")
    # Events are written beside the state, and may come after it.
    until("its start is told", lambda: "Started" in ada.must("describe", "pod", "web").partition("Events:")[2])
    assert ada.must("auth", "can-i", "create", "pods", "--subresource=exec").strip() == "yes"
    assert ada.must("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}") == f"perijove:{ada.person.id}"


def test_a_log_is_followed_as_it_is_written(ada: PersonsKubectl, joinable_cluster: Cluster) -> None:
    joinable_cluster.apply(shell_pod(joinable_cluster, ada.person.project_id, "writer"))
    where = ("-n", namespace_of(ada), "writer")
    joinable_cluster.must("wait", "-n", namespace_of(ada), "pod/writer", "--for=condition=Ready", "--timeout=60s")
    with ada.running("logs", "-f", "writer") as following:
        for number in range(3):
            joinable_cluster.must("exec", *where, "--", "sh", "-c", f"echo step {number} >> /tmp/log")
            assert following.line() == f"step {number}"
        joinable_cluster.must("delete", "pod", *where, "--grace-period=0", "--force")
        assert following.ended() == 0


def test_a_watch_tells_of_each_change(ada: PersonsKubectl, joinable_cluster: Cluster) -> None:
    with ada.running("get", "pods", "-w", "--no-headers", "-l", "app=web", "-L", "seen") as watching:
        assert watching.line().startswith("web")
        for value in ("once", "twice"):
            joinable_cluster.must("label", "--overwrite", "-n", namespace_of(ada), "pod/web", f"seen={value}")
            # There are changes of others, too: the kubelet writes the pod's status.
            while not watching.line().endswith(value):
                pass


@PROTOCOLS
def test_exec_carries_input_output_and_status(ada: PersonsKubectl, protocol: str) -> None:
    kubectl = ada.upgrading_by(protocol)
    lines = "".join(f"line {number}\n" for number in range(20_000))
    assert kubectl.must("exec", "-i", "web", "--", "cat", given=lines) == lines
    failed = kubectl("exec", "web", "--", "sh", "-c", "echo to the error >&2; exit 7")
    assert failed.returncode == 7
    assert "to the error" in failed.stderr and failed.stdout == ""


@PROTOCOLS
def test_a_shell_on_a_terminal(ada: PersonsKubectl, protocol: str) -> None:
    command = ("exec", "-it", "web", "--", "sh")
    shown, status = ada.upgrading_by(protocol).on_terminal(
        *command, typed="tty; stty size; exit 5\r", rows=33, columns=101
    )
    assert "/dev/pts/" in shown
    assert "33 101" in shown
    assert status == 5


@PROTOCOLS
def test_files_are_copied_both_ways(ada: PersonsKubectl, protocol: str) -> None:
    kubectl = ada.upgrading_by(protocol)
    (ada.folder / "there").write_bytes(PAGE)
    kubectl.must("cp", "there", f"web:/tmp/{protocol}")
    assert kubectl.must("exec", "web", "--", "sha256sum", f"/tmp/{protocol}").split()[0] == sha256(PAGE)
    kubectl.must("cp", f"web:/tmp/{protocol}", "back")
    assert sha256((ada.folder / "back").read_bytes()) == sha256(PAGE)
    (ada.folder / "back").unlink()


@PROTOCOLS
def test_ports_are_forwarded(ada: PersonsKubectl, protocol: str) -> None:
    (ada.folder / "page").write_bytes(PAGE)
    ada.must("cp", "page", "web:/tmp/www/page")
    with ada.upgrading_by(protocol).running("port-forward", "pod/web", ":8080") as forwarding:
        found = re.search(r"127\.0\.0\.1:(\d+) -> 8080", forwarding.line())
        assert found

        def fetched(_: int) -> str:
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=SECONDS)
            connection.request("GET", "/page")
            return sha256(connection.getresponse().read())

        with ThreadPoolExecutor(4) as threads:
            assert set(threads.map(fetched, range(4))) == {sha256(PAGE)}


def test_a_dry_run_is_checked_by_the_server_and_changes_nothing(ada: PersonsKubectl) -> None:
    """What the operator's `rbac.projectMember.extraRules` allow."""
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wanted"}, "data": {"a": "b"}}
    for how in ([], ["--server-side"]):
        said = ada.must("apply", "--dry-run=server", *how, "-f", "-", given=yaml.safe_dump(wanted))
        assert "(server dry run)" in said
    wrong = ada("apply", "--dry-run=server", "-f", "-", given=yaml.safe_dump({**wanted, "data": {"a": 1}}))
    assert wrong.returncode != 0 and "cannot unmarshal number" in wrong.stderr
    assert "NotFound" in ada("get", "configmap", "wanted").stderr
    refused = ada("create", "deployment", "wanted", "--image=none", "--dry-run=server")
    assert f'User "perijove:{ada.person.id}" cannot create resource "deployments"' in refused.stderr


@PROTOCOLS
def test_nobody_reaches_into_another_project(ada: PersonsKubectl, bob: PersonsKubectl, protocol: str) -> None:
    kubectl = bob.upgrading_by(protocol)
    where = ("-n", namespace_of(ada))
    for command in (("get", "pods"), ("logs", "web"), ("exec", "web", "--", "true"), ("port-forward", "web", ":8080")):
        done = kubectl(*command, *where) if "--" not in command else kubectl(command[0], *where, *command[1:])
        assert done.returncode != 0
        assert f"There is no namespace '{namespace_of(ada)}' for you" in done.stderr
        assert f"That of your project is '{namespace_of(bob)}'" in done.stderr
    assert kubectl.must("exec", "web", "--", "echo", "in the own one") == "in the own one\n"


def test_the_platforms_audit_log_names_the_person(hosted: Hosted, ada: PersonsKubectl, bob: PersonsKubectl) -> None:
    """For each newest request for ada's pod: one that exec was opened for, one that was refused."""
    for kubectl, told in ((ada, 101), (bob, 404)):
        kubectl("exec", "-n", namespace_of(ada), "web", "--", "true")
        person = kubectl.person
        newest = until(
            "the platform's audit log has it", lambda person=person, told=told: in_log(hosted, person, ada, told)
        )
        assert (newest["user_name"], newest["cluster"]) == (person.name, hosted.cluster_id())


def in_log(hosted: Hosted, person: Person, ada: PersonsKubectl, status: int) -> Any:
    """A person's newest request for ada's pod, if it was answered so."""
    records = hosted.call("GET", f"/v1/audit_records?user_id={person.id}&limit=5", key=person.key)["data"]
    path = f"/namespaces/{namespace_of(ada)}/pods/web"
    newest = next((record for record in records if path in record["path"]), None)
    return newest if newest and newest["status"] == status else None


def test_kubernetes_audit_log_names_the_person(
    own_cluster: Cluster, hosted: Hosted, ada: PersonsKubectl, bob: PersonsKubectl
) -> None:
    """The same two requests."""
    for kubectl, status in ((ada, 101), (bob, 403)):
        kubectl("exec", "-n", namespace_of(ada), "web", "--", "true")
        person = kubectl.person
        found = until(
            "Kubernetes' audit log has it",
            lambda person=person, status=status: in_kubernetes_log(person.id, namespace_of(ada), status),
        )
        assert found["user"]["username"] == f"system:serviceaccount:{hosted.namespace}:perijove-agent"
        assert found["impersonatedUser"] == {
            "username": f"perijove:{person.id}",
            "groups": [
                f"perijove:project:{person.project_id}",
                f"perijove:organization:{person.organization_id}",
                "system:authenticated",
            ],
            "extra": {"perijove.dev/email": [person.name]},
        }


def in_kubernetes_log(user_id: str, namespace: str, status: int) -> Any:
    """A person's newest request for the pod `web`, if it was answered so."""
    # The last line may be half written.
    lines = [line for line in layout.AUDIT_LOG.read_text().split("\n")[:-1] if user_id in line]
    rows = [row for row in map(json.loads, lines) if row.get("objectRef", {}).get("name") == "web"]
    newest = [row for row in rows if row["objectRef"]["namespace"] == namespace][-1:]
    return newest[0] if newest and newest[0]["responseStatus"]["code"] == status else None


def until(what: str, condition: Any) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS:.0f} s"
        time.sleep(0.1)
    return found
