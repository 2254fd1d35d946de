"""From what Kubernetes 1.34 and Kueue 0.18 show of a job to its state and reason; objects as those two write them."""

import copy

import pytest
from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes.states import Seen, Standing, standing

from .shown import (
    ADMITTED,
    ASSIGN,
    POD_UID,
    PREEMPTED,
    UID,
    condition,
    job,
    pending,
    pod,
    waiting,
    workload,
)

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


STANDINGS: dict[str, tuple[Seen, JobState, str | None]] = {
    "no Kueue": (
        Seen(job=job(), kueue=False),
        JobState.QUEUED,
        "the cluster has no Kueue; an administrator has to install it",
    ),
    "not seen by Kueue": (Seen(job=job()), JobState.QUEUED, "waiting for Kueue to take the job up"),
    "first in the queue": (Seen(job=job(), workload=workload()), JobState.QUEUED, "waiting for its turn"),
    "stopped queue": (
        Seen(
            job=job(),
            workload=workload(pending("ClusterQueue perijove-proj-1 is inactive", "Inadmissible")),
            queue={
                "status": {
                    "conditions": [
                        condition("Active", "False", "FlavorNotFound", "Can't admit new workloads: missing flavor")
                    ]
                }
            },
        ),
        JobState.QUEUED,
        "the queue admits nothing: Can't admit new workloads: missing flavor",
    ),
    "admission check": (
        Seen(
            job=job(),
            workload=workload(
                ADMITTED[0], admissionChecks=[{"name": "prov", "state": "Pending", "message": "2 nodes are on the way"}]
            ),
        ),
        JobState.QUEUED,
        "waiting for prov: 2 nodes are on the way",
    ),
    "preempted": (
        Seen(
            job=job(),
            workload=workload(
                pending(f"{ASSIGN}insufficient unused quota for nvidia.com/gpu in flavor f, 1 more needed"),
                condition("Evicted", "True", "Preempted", PREEMPTED),
                condition("Preempted", "True", "InClusterQueue", PREEMPTED),
            ),
            job_of=lambda uid: "ftjob-2" if uid == UID else None,
        ),
        JobState.QUEUED,
        "preempted by job ftjob-2 of higher priority; goes on from its last checkpoint; "
        "waiting for 2 × nvidia.com/gpu: 1 is free",
    ),
    "preempted by another project": (
        Seen(
            job=job(),
            workload=workload(
                condition("Evicted", "True", "Preempted", PREEMPTED),
                condition("Preempted", "True", "InCohortReclamation", PREEMPTED),
            ),
        ),
        JobState.QUEUED,
        "preempted by another project's job; goes on from its last checkpoint; waiting for its turn",
    ),
    "being preempted": (
        Seen(job=job(), workload=workload(condition("Evicted", "True", "Preempted", PREEMPTED)), pods=[pod()]),
        JobState.RUNNING,
        "being stopped: preempted by another project's job",
    ),
    "pods not ready in time": (
        Seen(job=job(), workload=workload(condition("Evicted", "True", "PodsReadyTimeout", "Exceeded the timeout"))),
        JobState.QUEUED,
        "evicted: its pods were not ready in time; goes on from its last checkpoint; waiting for its turn",
    ),
    "paused": (
        Seen(
            job=job(),
            workload=workload(condition("Evicted", "True", "Deactivated", "The workload is deactivated"), active=False),
        ),
        JobState.PAUSED,
        None,
    ),
    "being paused": (
        Seen(job=job(suspend=False), workload=workload(*ADMITTED, active=False), pods=[pod()]),
        JobState.RUNNING,
        "stopping",
    ),
    "out of time": (
        Seen(
            job=job(),
            workload=workload(
                condition(
                    "Evicted",
                    "True",
                    "DeactivatedDueToMaximumExecutionTimeExceeded",
                    "The workload is deactivated due to exceeding the maximum execution time",
                ),
                active=False,
            ),
        ),
        JobState.FAILED,
        "stopped: maximum run time of 2 h",
    ),
    "rejected": (
        Seen(
            job=job(),
            workload=workload(
                condition(
                    "Evicted",
                    "True",
                    "DeactivatedDueToAdmissionCheck",
                    "The workload is deactivated due to Admission check(s): [prov], were rejected",
                ),
                active=False,
            ),
        ),
        JobState.FAILED,
        "not admitted: Admission check(s): [prov], were rejected",
    ),
    "starting": (Seen(job=job(suspend=False), workload=workload(*ADMITTED)), JobState.ADMITTED, "starting"),
    "pod refused": (
        Seen(
            job=job(suspend=False),
            workload=workload(*ADMITTED),
            warnings={UID: 'Error creating: pods "ftjob-1-" is forbidden: violates PodSecurity "restricted:latest"'},
        ),
        JobState.ADMITTED,
        'its pod cannot be made: Error creating: pods "ftjob-1-" is forbidden: violates PodSecurity '
        '"restricted:latest"',
    ),
    "unschedulable": (
        Seen(
            job=job(suspend=False),
            workload=workload(*ADMITTED),
            pods=[
                pod(
                    "Pending",
                    conditions=[
                        condition(
                            "PodScheduled",
                            "False",
                            "Unschedulable",
                            "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: "
                            "1 No preemption victims found for incoming pod.",
                        )
                    ],
                )
            ],
        ),
        JobState.ADMITTED,
        "unschedulable: 0/1 nodes are available: 1 Insufficient memory",
    ),
    "image missing": (
        Seen(
            job=job(suspend=False),
            workload=workload(*ADMITTED),
            pods=[
                waiting(
                    "ImagePullBackOff",
                    'Back-off pulling image "registry.example/trainer:1": ErrImagePull: rpc error: code = NotFound '
                    'desc = failed to pull and unpack image "registry.example/trainer:1": not found',
                )
            ],
        ),
        JobState.ADMITTED,
        "image cannot be pulled: registry.example/trainer:1: there is no such image",
    ),
    "image never pulled": (
        Seen(job=job(suspend=False), workload=workload(*ADMITTED), pods=[waiting("ErrImageNeverPull")]),
        JobState.ADMITTED,
        "image cannot be pulled: registry.example/trainer:1 is not on the node, and it may not be pulled",
    ),
    "pulling": (
        Seen(job=job(suspend=False), workload=workload(*ADMITTED), pods=[waiting("ContainerCreating")]),
        JobState.ADMITTED,
        "pulling the image",
    ),
    "volume": (
        Seen(
            job=job(suspend=False),
            workload=workload(*ADMITTED),
            pods=[waiting("ContainerCreating")],
            warnings={POD_UID: 'MountVolume.SetUp failed for volume "run" : secret "ftjob-1" not found'},
        ),
        JobState.ADMITTED,
        'MountVolume.SetUp failed for volume "run" : secret "ftjob-1" not found',
    ),
    "running": (Seen(job=job(suspend=False), workload=workload(*ADMITTED), pods=[pod()]), JobState.RUNNING, None),
    "node away": (
        Seen(
            job=job(suspend=False),
            workload=workload(*ADMITTED),
            pods=[pod(conditions=[condition("Ready", "False", "NodeStatusUnknown")])],
        ),
        JobState.RUNNING,
        "its node node0 does not answer",
    ),
    "evicted from its node": (
        Seen(
            job=job(suspend=False),
            workload=workload(*ADMITTED),
            pods=[pod("Pending")],
            eviction="evicted: its node is being drained",
        ),
        JobState.ADMITTED,
        "evicted: its node is being drained; goes on from its last checkpoint",
    ),
    "disk": (
        Seen(
            job=job(suspend=False),
            workload=workload(*ADMITTED),
            pods=[pod("Failed", reason="Evicted", message='Usage of EmptyDir volume "work" exceeds the limit "1Gi". ')],
        ),
        JobState.FAILED,
        'out of disk: Usage of EmptyDir volume "work" exceeds the limit "1Gi".',
    ),
}


@pytest.mark.parametrize("case", STANDINGS)
def test_standing(case: str) -> None:
    seen, state, reason = STANDINGS[case]

    found = standing(seen)

    assert (found.state, found.reason) == (state, reason)


@pytest.mark.parametrize("case", STANDINGS)
def test_it_only_looks(case: str) -> None:
    seen, _, _ = STANDINGS[case]
    before = copy.deepcopy((seen.job, seen.workload, seen.pods))

    standing(seen)

    assert (seen.job, seen.workload, seen.pods) == before


@pytest.mark.parametrize("case", ["out of time", "rejected", "disk"])
def test_what_kubernetes_would_go_on_with_is_to_be_deleted(case: str) -> None:
    assert standing(STANDINGS[case][0]).ends


def test_a_job_of_several_pods_tells_how_many_are_done() -> None:
    several = job(suspend=False, succeeded=2, failed=1)
    several["spec"].update(completions=10, parallelism=4)
    second = pod()
    seen = Seen(job=several, workload=workload(*ADMITTED), pods=[pod(), second, waiting("ErrImageNeverPull")])

    assert standing(seen).reason == (
        "2 of 10 done, 2 running, 1 failed; "
        "image cannot be pulled: registry.example/trainer:1 is not on the node, and it may not be pulled"
    )
