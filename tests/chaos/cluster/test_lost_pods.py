"""Pods that are taken from their node, and pods that no node takes."""

import re

import pytest
from fine_tunes import until
from testbed import kubectl
from world import World


def test_an_evicted_pod_goes_on_from_its_last_checkpoint(world: World) -> None:
    job = world.create(steps=6, hold_at=[3])
    world.reach_step(job, 3)
    first = world.pod(job)
    world.evict(first)
    world.reach(job, "succeeded")
    world.truth.check()
    assert first not in [pod["metadata"]["name"] for pod in world.pods(job)]
    # Asked to stop, it took the step that it was at, and a checkpoint of it.
    log = world.log(job)
    assert [log.count(f"log of a run from step {step}") for step in (0, 4)] == [1, 1]
    assert any(text.startswith("starting after step 4") for text in world.said(job))


def test_a_trainer_without_memory_is_told_so_with_limit_and_peak(world: World) -> None:
    job = world.create(steps=3, hoard_bytes=16 << 20)
    failed = world.reach(job, "failed")
    world.truth.check()
    assert failed["error"]["code"] == "out_of_memory"
    assert re.fullmatch(r"out of memory \(limit 256 MiB, peak 2\d\d MiB\)", failed["state_reason"])


@pytest.mark.disturbs
def test_a_cordoned_node_takes_the_job_when_it_is_back(world: World) -> None:
    running = world.create(steps=4, hold_at=[2])
    world.reach_step(running, 2)
    found = kubectl.get("nodes")["items"]
    nodes = [node["metadata"]["name"] for node in found if not node["spec"].get("unschedulable")]
    kubectl.kubectl("cordon", *nodes)
    try:
        waiting = world.create(steps=2)
        shown = until(
            "the job says why no node takes it",
            lambda: (job := world.job(waiting))["state_reason"] and "unschedulable" in job["state_reason"] and job,
            seconds=60,
            explain=lambda: world.explain(waiting),
        )
        assert shown["state"] == "admitted"
        # What runs on the node goes on.
        world.go(running, 2)
        world.reach(running, "succeeded")
        world.truth.check()
    finally:
        kubectl.kubectl("uncordon", *nodes)
    world.reach(waiting, "succeeded")
    world.truth.check()
