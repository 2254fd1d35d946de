"""Why Kueue gives a job no quota, in words; messages as Kueue 0.18 writes them."""

import pytest
from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes.states import Seen, Standing, standing

from .shown import ASSIGN, job, pending, workload

WAITING = [
    (
        f"{ASSIGN}insufficient unused quota for nvidia.com/gpu in flavor perijove-h100, 1 more needed",
        "waiting for 2 × nvidia.com/gpu: 1 is free",
    ),
    (
        f"{ASSIGN}insufficient unused quota for nvidia.com/gpu in flavor perijove-h100, 2 more needed",
        "waiting for 2 × nvidia.com/gpu: none is free",
    ),
    (
        f"{ASSIGN}insufficient unused quota for cpu in flavor perijove-default, 500m more needed",
        "waiting for 1 CPU: 0.5 are free",
    ),
    (
        f"{ASSIGN}insufficient unused quota for memory in flavor perijove-default, 3Gi more needed",
        "waiting for 4 GiB of memory: 1 GiB is free",
    ),
    (
        f"{ASSIGN}insufficient quota for nvidia.com/gpu in flavor perijove-h100, previously considered podsets "
        "requests (0) + current podset request (2) > maximum capacity (1)",
        "asks for 2 × nvidia.com/gpu, and the project may use 1 × nvidia.com/gpu at most; ask for less",
    ),
    (
        f"{ASSIGN}resource google.com/tpu unavailable in ClusterQueue",
        "the project has no quota for google.com/tpu in this cluster; ask an administrator for some",
    ),
    (
        f"{ASSIGN}insufficient unused quota for nvidia.com/gpu in flavor perijove-h100, 2 more needed. "
        "Pending the preemption of 1 workload(s)",
        "waiting for 1 job of lower priority to stop",
    ),
    ("LocalQueue perijove doesn't exist", "the queue perijove is missing in the cluster"),
    ("ClusterQueue perijove-proj-1 is inactive", "the queue perijove-proj-1 admits nothing at the moment"),
    ("something that a later Kueue says", "something that a later Kueue says"),
]


@pytest.mark.parametrize(("message", "reason"), WAITING)
def test_waiting_for_quota(message: str, reason: str) -> None:
    found = standing(Seen(job=job(), workload=workload(pending(message)), position=3))

    assert found == Standing(state=JobState.QUEUED, reason=reason, queue_position=3)


def test_who_gives_up_what_is_waited_for() -> None:
    message = f"{ASSIGN}insufficient unused quota for nvidia.com/gpu in flavor perijove-h100, 1 more needed"
    seen = Seen(
        job=job(),
        workload=workload(pending(message)),
        next_release=lambda resource: {"nvidia.com/gpu": "ftjob-9"}.get(resource),
    )

    assert standing(seen).reason == "waiting for 2 × nvidia.com/gpu: 1 is free, next release by job ftjob-9"


def test_kueue_speaks_of_one_of_several_that_ask_for_the_same() -> None:
    message = f"{ASSIGN}insufficient unused quota for cpu in flavor perijove-default, 500m more needed"
    seen = Seen(job=job(), workload=workload(), alike=workload(pending(message)), position=2)

    assert standing(seen).reason == "waiting for 1 CPU: 0.5 are free"
