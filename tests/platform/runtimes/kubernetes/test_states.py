"""From what Kubernetes 1.34 and Kueue 0.18 show of a job to its state and reason; objects as those two write them."""

import copy

import pytest
from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes.states import Seen, standing

from .shown import (
    ADMITTED,
    ASSIGN,
    POD_UID,
    PREEMPTED,
    UID,
    condition,
    evicted,
    job,
    pending,
    pod,
    terminated,
    waiting,
    workload,
)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", "rpc error: the manifest is of no use"),
        ("ImagePullBackOff", 'Back-off pulling image "a": ErrImagePull: rpc error: the manifest is of no use'),
    ],
)
def test_an_image_s_problem_is_the_same_between_two_attempts(reason: str, message: str) -> None:
    found = standing(Seen(job=job(suspend=False), workload=workload(*ADMITTED), pods=[waiting(reason, message)]))

    assert found.reason == "image cannot be pulled: rpc error: the manifest is of no use"


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
    "resumed": (
        Seen(
            job=job(),
            workload=workload(condition("Evicted", "True", "Deactivated", "The workload is deactivated")),
        ),
        JobState.QUEUED,
        "goes on from its last checkpoint; waiting for its turn",
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
    "mounted after all": (
        Seen(
            job=job(suspend=False),
            workload=workload(*ADMITTED),
            pods=[
                pod(
                    "Pending",
                    conditions=[condition("PodReadyToStartContainers", "True", "")],
                    containerStatuses=[{"name": "job", "state": {"waiting": {"reason": "ContainerCreating"}}}],
                )
            ],
            warnings={POD_UID: 'MountVolume.SetUp failed for volume "run" : secret "ftjob-1" not found'},
        ),
        JobState.ADMITTED,
        "pulling the image",
    ),
    "running": (Seen(job=job(suspend=False), workload=workload(*ADMITTED), pods=[pod()]), JobState.RUNNING, None),
    "the pod has succeeded, the Job not yet": (
        Seen(job=job(suspend=False), workload=workload(*ADMITTED), pods=[pod("Succeeded")]),
        JobState.RUNNING,
        "finishing",
    ),
    "the pod has failed for good, the Job not yet": (
        Seen(job=job(suspend=False), workload=workload(*ADMITTED), pods=[terminated(66)]),
        JobState.RUNNING,
        "finishing",
    ),
    "the pod has failed and is made again": (
        Seen(job=job(suspend=False), workload=workload(*ADMITTED), pods=[terminated(75)]),
        JobState.ADMITTED,
        "starting",
    ),
    "the pod was evicted and is made again": (
        Seen(
            job=job(suspend=False),
            workload=workload(*ADMITTED),
            pods=[evicted("EvictionByEvictionAPI", "Eviction API: evicting")],
            eviction="evicted: its node is being drained",
        ),
        JobState.ADMITTED,
        "evicted: its node is being drained; goes on from its last checkpoint",
    ),
    "a name of no image": (
        Seen(job=job(suspend=False), workload=workload(*ADMITTED), pods=[waiting("InvalidImageName")]),
        JobState.FAILED,
        "image cannot be pulled: 'registry.example/trainer:1' is not the name of an image",
    ),
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


@pytest.mark.parametrize("case", STANDINGS)
def test_what_may_keep_a_job_from_starting_for_ever(case: str) -> None:
    lasting = {"pod refused", "unschedulable", "image missing", "image never pulled", "volume"}
    assert standing(STANDINGS[case][0]).blocked == (case in lasting)


@pytest.mark.parametrize("case", ["out of time", "rejected", "disk", "a name of no image"])
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
