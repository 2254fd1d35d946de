"""Agents that are killed, that are two, that are not let in any more."""

import base64

import httpx
from fine_tunes import until
from testbed import kubectl
from world import World

NOTICED_SECONDS = 10.0
AT_ONCE = ("--grace-period=0", "--force", "--ignore-not-found")


def test_an_agent_is_killed_while_jobs_wait_run_and_end(world: World) -> None:
    runs = world.create(steps=6, hold_at=[3, 5])
    ends = world.create(steps=4, hold_at=[2])
    for job, step in ((runs, 3), (ends, 2)):
        world.reach_step(job, step)
    victims = world.hosted.agent_pods()
    try:
        kubectl.kubectl("scale", "deployment/perijove-agent", "-n", world.hosted.namespace, "--replicas=0")
        kubectl.kubectl("delete", "pod", *victims, "-n", world.hosted.namespace, *AT_ONCE)
        until("the loss is noticed", lambda: _state(world) == "lost", seconds=NOTICED_SECONDS)
        born = world.create(steps=2)
        # What runs in the cluster goes on, and is told by its own way to the platform.
        world.go(runs, 3)
        world.go(ends, 2)
        world.reach_step(runs, 5)
        until("it says what it waits for", lambda: "agent" in (world.job(born)["state_reason"] or ""), seconds=60)
    finally:
        world.hosted.start_agent()
    world.truth.check()
    world.reach(ends, "succeeded")
    world.go(runs, 5)
    for job in (runs, born):
        world.reach(job, "succeeded")
    world.truth.check()
    for job in (runs, ends):
        log = world.log(job)
        assert log.count("log of a run from step 0") == 1


def _state(world: World) -> str:
    return str(world.call("GET", f"/v1/clusters/{world.hosted.cluster}")["state"])


def test_two_agents_have_one_identity_and_one_of_them_dies(world: World) -> None:
    world.hosted.scale_agent(2)
    try:
        world.truth.check()  # as many links as agents, however the streams are spread
        jobs = [world.create(steps=6, hold_at=[3]) for _ in range(3)]
        for job in jobs:
            world.reach_step(job, 3)
        world.truth.check()
        victim = world.hosted.agent_pods()[0]
        kubectl.kubectl("delete", "pod", victim, "-n", world.hosted.namespace, *AT_ONCE)
        world.truth.check()
        for job in jobs:
            world.go(job, 3)
        for job in jobs:
            world.reach(job, "succeeded")
        for job in jobs:
            assert world.log(job).count("log of a run from step 0") == 1
    finally:
        world.hosted.scale_agent(1)
    world.truth.check()


def test_tokens_that_were_used_or_revoked_let_nobody_in(world: World) -> None:
    runs = world.create(steps=4, hold_at=[2])
    world.reach_step(runs, 2)
    cluster = f"/v1/clusters/{world.hosted.cluster}"
    secret = kubectl.get("secret", "perijove-registration", "-n", world.hosted.namespace)
    used = _decoded(secret["data"]["token"])
    assert _refused(world, used) == "registration_token_used"
    # A token that nobody used yet, ended by the next one: the agent that is there stays.
    first = world.call("POST", f"{cluster}/registration_token")["token"]
    second = world.call("POST", f"{cluster}/registration_token")["token"]
    assert _refused(world, first) == "registration_token_revoked"
    world.truth.check()
    assert _state(world) == "connected"
    # Sent away: credential and token end, the job goes on without the platform's hand on it.
    world.client.delete(f"{cluster}/credential").raise_for_status()
    assert _refused(world, second) == "registration_token_revoked"
    until("the link is closed", lambda: not world.truth.read().rows["links"], seconds=NOTICED_SECONDS)
    assert _state(world) == "revoked"
    world.go(runs, 2)
    world.reach_step(runs, 4)
    kubectl.kubectl("delete", "secret", "perijove-registration", "-n", world.hosted.namespace)
    token = world.call("POST", f"{cluster}/registration_token")["token"]
    metadata = {"name": "perijove-registration", "namespace": world.hosted.namespace}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": token}})
    # The kubelet brings a changed Secret into a pod that runs after a minute or so, into a new one at once.
    world.hosted.restart_agent()
    world.truth.check()
    assert _refused(world, token) == "registration_token_used"
    world.reach(runs, "succeeded")
    world.truth.check()


def _refused(world: World, token: str) -> str:
    answer = httpx.post(f"{world.hosted.url}/v1/agent/registration", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401, answer.text
    return str(answer.json()["error"]["code"])


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
