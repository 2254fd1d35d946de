"""The platform, the API server, Kueue and the object store go away while jobs wait, run and end, and come back."""

import os
import re
import time

import pytest
from fine_tunes import JOBS, until
from real_cluster import Cluster
from testbed import addons, control_plane, kubectl
from world import World

_AWAY = os.environ.get("PERIJOVE_TEST_AWAY_SECONDS")
"""For both that stay away, instead of what follows. By 12 every wait of ours between two attempts is at its longest."""
API_SERVER_SECONDS = float(_AWAY or 60)
"""Longer than a node may be silent, too."""
OBJECT_STORE_SECONDS = float(_AWAY or 30)
CONTROLLERS_SECONDS = 120.0
"""Kubernetes' own parts come back at their own pace: after a minute's absence up to a minute later."""
CHECKPOINT_BYTES = 64 << 20


def test_the_platform_is_killed_while_jobs_wait_run_and_end(world: World) -> None:
    world.set_quota(2)
    try:
        runs = world.create(steps=6, hold_at=[3])
        ends = world.create(steps=4, hold_at=[2])
        for job, step in ((runs, 3), (ends, 2)):
            world.reach_step(job, step)
        waits = world.create(steps=2)
        world.reach(waits, "queued")
        unwanted = world.create(steps=2)
        world.call("POST", f"{JOBS}/{unwanted}/cancel")
        born = world.create(steps=2)
        world.kill_platform()
        world.go(ends, 2)
        until("its trainer has ended", lambda: "result.json" in _listed(world, ends), seconds=60)
        world.start_platform()
        world.reach(ends, "succeeded")
        world.truth.check()
        world.go(runs, 3)
        for job in (runs, waits, born):
            world.reach(job, "succeeded")
        world.reach(unwanted, "cancelled")
        world.truth.check()
    finally:
        world.set_quota(None)
    world.events.check_nothing_lost()


def _listed(world: World, job: str) -> str:
    """The working folder of the job's pod; that it has ended says as much."""
    pod = world.pods(job)[0]
    if pod["status"]["phase"] != "Running":
        return "result.json"
    return kubectl.kubectl("exec", "-n", world.namespace, pod["metadata"]["name"], "--", "ls", "/work")


def test_the_platform_is_killed_again_and_again_while_jobs_are_made(world: World) -> None:
    made = []
    for _ in range(3):
        made += [world.create(steps=2), world.create(steps=2)]
        world.kill_platform()
        world.start_platform()
    for job in made:
        world.reach(job, "succeeded")
    world.truth.check()
    world.events.check_nothing_lost()


@pytest.mark.disturbs
def test_the_api_server_is_away(own_cluster: Cluster, world: World) -> None:
    runs = world.create(steps=8, hold_at=[3, 6])
    ends = world.create(steps=4, hold_at=[2])
    for job, step in ((runs, 3), (ends, 2)):
        world.reach_step(job, step)
    world.go_later(runs, 3, seconds=5)
    world.go_later(ends, 2, seconds=5)
    control_plane.kill_api_server()
    try:
        since = time.monotonic()
        born = world.create(steps=2)
        # Reports take no way through the cluster's API.
        world.reach_step(runs, 6)
        until("it says what it waits for", lambda: world.job(born)["state_reason"], seconds=60)
        assert world.job(born)["state"] == "queued"
        time.sleep(max(0.0, since + API_SERVER_SECONDS - time.monotonic()))
    finally:
        control_plane.start_api_server()
        # Kueue ends when it loses its lease, and the kubelet starts it again later each time: that is not waited for.
        kubectl.kubectl("delete", "pods", "--all", "-n", "kueue-system", "--grace-period=0", "--force")
    addons.wait_ready()
    world.truth.check()
    world.reach(ends, "succeeded", seconds=CONTROLLERS_SECONDS)
    world.go(runs, 6)
    for job in (runs, born):
        world.reach(job, "succeeded")
    world.truth.check()


@pytest.mark.disturbs
def test_kueue_is_deleted_and_comes_back(world: World) -> None:
    runs = world.create(steps=4, hold_at=[2])
    world.reach_step(runs, 2)
    deployment = ("deployment/kueue-controller-manager", "-n", "kueue-system")
    kubectl.kubectl("scale", *deployment, "--replicas=0")
    try:
        until("Kueue has ended", lambda: not kubectl.get("pods", "-n", "kueue-system")["items"], seconds=60)
        born = world.create(steps=2)
        until("it says what it waits for", lambda: world.job(born)["state_reason"], seconds=60)
        assert world.job(born)["state"] == "queued"
        # Its Job cannot end without Kueue, which is asked about every change of a pod.
        world.go(runs, 2)
        world.reach_step(runs, 4)
    finally:
        kubectl.kubectl("scale", *deployment, "--replicas=1")
    addons.wait_ready()
    world.truth.check()
    for job in (runs, born):
        world.reach(job, "succeeded")
    world.truth.check()


def test_the_object_store_goes_away_in_the_middle_of_an_upload(world: World) -> None:
    other = world.create(steps=4, hold_at=[2])
    world.reach_step(other, 2)
    job = world.create(steps=8, checkpoint_steps=2, checkpoint_bytes=CHECKPOINT_BYTES, step_seconds=0.5, hold_at=[6])
    until("a checkpoint is on its way", lambda: _half_stored(world, job), seconds=60)
    world.s3.kill()
    try:
        since = time.monotonic()
        # The training does not wait for the store, and neither does what is told of it.
        world.reach_step(job, 6)
        world.go(other, 2)
        world.reach_step(other, 4)
        world.truth.check()
        time.sleep(max(0.0, since + OBJECT_STORE_SECONDS - time.monotonic()))
    finally:
        world.s3.start()
    world.truth.check()
    world.reach(other, "succeeded")
    until("all checkpoints are stored", lambda: "checkpoint of step 6 stored" in world.log(job), seconds=60)
    world.evict(world.pod(job))
    world.reach(job, "succeeded")
    world.truth.check()
    # Of step 7 when the pod was asked to stop in time to write one more.
    assert re.search("log of a run from step [67]", world.log(job))


def _half_stored(world: World, job: str) -> bool:
    """rclone writes what comes in beside where it will be, and moves it there."""
    folder = world.s3.folder / "jobs" / "perijove" / "jobs" / world.hosted.project / job / "checkpoints"
    try:
        return any(path.stat().st_size < CHECKPOINT_BYTES for path in folder.iterdir())
    except FileNotFoundError:
        return False
