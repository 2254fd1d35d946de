"""Somebody of another project, and a pod that is none of ours: nothing is shown, and it is written down."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from fine_tunes import JOBS, until
from perijove_platform.sessions.links import LinkRegistry
from perijove_platform.sessions.peers import PeerLinks
from perijove_platform.tunnel import Refused
from real_cluster import Cluster, pod_spec
from testbed.people import Person
from world import World

PORT = 8080


@pytest.fixture(scope="module")
def stranger(whole_world: World) -> Person:
    """Of another project in the same organization, who may do everything there."""
    return whole_world.hosted.add_person("Bob", project="b")


@pytest.fixture
def theirs(world: World, stranger: Person) -> Iterator[httpx.Client]:
    """The API as the stranger has it."""
    headers = {"Authorization": f"Bearer {stranger.key}"}
    with httpx.Client(base_url=world.hosted.url, headers=headers, timeout=60) as client:
        yield client


def _recorded(client: httpx.Client, path: str, status: int) -> bool:
    listed = client.get("/v1/audit_records", params={"limit": 100}).raise_for_status().json()["data"]
    return any(record["path"] == path and record["status"] == status for record in listed)


def test_another_projects_job_and_its_log_are_not_there(world: World, theirs: httpx.Client) -> None:
    job = world.create(steps=4, hold_at=[2])
    world.reach_step(job, 2)
    asked = [
        ("GET", f"{JOBS}/{job}"),
        ("GET", f"{JOBS}/{job}/logs"),
        ("GET", f"{JOBS}/{job}/events"),
        ("GET", f"{JOBS}/{job}/checkpoints"),
        ("POST", f"{JOBS}/{job}/cancel"),
        ("POST", f"{JOBS}/{job}/pause"),
        ("POST", f"{JOBS}/{job}/resume"),
    ]
    for method, path in asked:
        answer = theirs.request(method, path)
        unknown = theirs.request(method, path.replace(job, "ftjob-nothing"))
        assert answer.status_code == unknown.status_code == 404
        # The two answers tell nothing apart but the id that was asked for.
        assert answer.json()["error"]["message"].replace(job, "ftjob-nothing") == unknown.json()["error"]["message"]
        # Whose job it is can read who asked; who asked cannot.
        until(f"an audit record of {method} {path}", lambda path=path: _recorded(world.client, path, 404), seconds=60)
        assert not _recorded(theirs, path, 404)
    assert job not in theirs.get(JOBS).text
    world.truth.check()
    world.go(job, 2)
    world.reach(job, "succeeded")
    world.truth.check()


def test_another_projects_pod_cannot_be_seen_by_kubectls_way(
    world: World, stranger: Person, theirs: httpx.Client
) -> None:
    job = world.create(steps=4, hold_at=[2])
    world.reach_step(job, 2)
    pod = world.pod(job)
    token = theirs.post("/v1/sessions/tokens", json={}).raise_for_status().json()["token"]
    base = f"{world.hosted.url}/v1/sessions/{world.cluster_id}"
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as kube:
        for name in (pod, "nothing"):
            for what in ("", "/log"):
                path = f"/api/v1/namespaces/{world.namespace}/pods/{name}{what}"
                answer = kube.get(f"{base}{path}")
                # The same whether the pod is there or not.
                assert answer.status_code == 404, answer.text
                assert "There is no namespace" in answer.json()["message"] and name not in answer.json()["message"]
                until(f"an audit record of {path}", lambda path=path: _recorded(theirs, path, 404), seconds=60)
    world.truth.check()


@pytest.fixture
def unlabelled(cluster: Cluster, world: World) -> Iterator[str]:
    """The name of a pod that an administrator has put into the project's namespace, answering at `PORT`."""
    serve = f"echo hello > /tmp/index.html && exec httpd -f -p {PORT} -h /tmp"
    name = f"theirs-{secrets.token_hex(3)}"
    metadata = {"name": name, "namespace": world.namespace}
    spec = pod_spec(cluster.image, ["sh", "-c", serve], listens=PORT)
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    cluster.must("wait", "-n", world.namespace, f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    yield name
    cluster.must("delete", "pod", name, "-n", world.namespace, "--grace-period=0", "--force")


async def test_only_the_projects_own_labelled_pods_are_dialled(world: World, unlabelled: str, cluster: Cluster) -> None:
    place = {"kind": "pod", "namespace": world.namespace, "name": unlabelled, "port": PORT}
    mine, other = world.hosted.project, f"{world.hosted.project}-b"
    async with _as_another_replica(world) as dial:
        assert await dial({**place, "project": mine}) == "not_ours"
        assert await dial({**place, "name": "nothing", "project": mine}) == "not_ours"
        system = {**place, "namespace": "kube-system", "name": _coredns(cluster), "port": 53}
        assert await dial({**system, "project": mine}) == "not_ours"
        label = f"perijove.dev/project={mine}"
        await asyncio.to_thread(cluster.must, "label", "pod", unlabelled, "-n", world.namespace, label)
        assert await dial({**place, "project": other}) == "not_ours"
        assert await dial({**place, "project": mine}) == "hello\n"
    await asyncio.to_thread(world.truth.check)


def _coredns(cluster: Cluster) -> str:
    found = cluster.must("get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "-o", "name")
    return found.split()[0].removeprefix("pod/")


@asynccontextmanager
async def _as_another_replica(world: World) -> Any:
    """Dials pods as another replica of the platform would: no route does, and replicas may ask one another for all."""
    connection = await asyncpg.connect(world.truth.database_url)
    secret = await connection.fetchval("SELECT secret FROM session_secrets WHERE name = 'peers'")
    replica = await connection.fetchval("SELECT id FROM replicas ORDER BY heartbeat_at DESC LIMIT 1")
    await connection.close()
    peers = PeerLinks("replica_of_a_test", LinkRegistry(lambda cluster_id: None))
    peers.start(secret)
    async with asyncio.timeout(60):
        while (link := await peers.link_to(replica, world.hosted.url)) is None:
            await asyncio.sleep(0.2)

    async def dial(target: Mapping[str, Any]) -> str:
        """The page that the pod serves, or the code of the refusal."""
        stream = link.begin({**target, "cluster": world.cluster_id})
        try:
            await stream.wait_opened()
            await stream.write(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := await stream.read():
                answer += chunk
            return answer.partition(b"\r\n\r\n")[2].decode()
        except Refused as refusal:
            return refusal.code
        finally:
            stream.reset()

    try:
        yield dial
    finally:
        await peers.stop()
