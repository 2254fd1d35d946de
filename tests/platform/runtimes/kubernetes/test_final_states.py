"""How a job that has ended is told; see `test_states`."""

import json

import pytest
from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes.states import Seen, standing

from .shown import FAILED, condition, evicted, job, pod, terminated

ENDED: dict[str, tuple[Seen, JobState, str | None]] = {
    "succeeded": (
        Seen(job=job(condition("Complete", "True", "CompletionsReached"), suspend=False), pods=[pod("Succeeded")]),
        JobState.SUCCEEDED,
        None,
    ),
    "killed for its memory": (
        Seen(
            job=job(FAILED),
            pods=[terminated(137, "OOMKilled", json.dumps({"exit": None, "memory_peak_bytes": 4187593113}))],
        ),
        JobState.FAILED,
        "out of memory (limit 4 GiB, peak 3.9 GiB)",
    ),
    "program killed for its memory": (
        Seen(
            job=job(FAILED),
            pods=[terminated(67, "Error", json.dumps({"exit": "out_of_memory", "memory_peak_bytes": 4187593113}))],
        ),
        JobState.FAILED,
        "out of memory (limit 4 GiB, peak 3.9 GiB)",
    ),
    "runner's words": (
        Seen(
            job=job(FAILED),
            pods=[
                terminated(
                    65,
                    "Error",
                    json.dumps({"exit": "input", "message": "The training file has gone.", "memory_peak_bytes": 1}),
                )
            ],
        ),
        JobState.FAILED,
        "The training file has gone.",
    ),
    "any program": (
        Seen(
            job=job(FAILED), pods=[terminated(1, message="Traceback …\n  File …\nModuleNotFoundError: No module 'x'\n")]
        ),
        JobState.FAILED,
        "the program ended with exit code 1: ModuleNotFoundError: No module 'x'",
    ),
    "control characters": (
        Seen(job=job(FAILED), pods=[terminated(1, message="x\0y\x1b[0m")]),
        JobState.FAILED,
        "the program ended with exit code 1: xy[0m",
    ),
    "a signal": (Seen(job=job(FAILED), pods=[terminated(139)]), JobState.FAILED, "the program was ended by SIGSEGV"),
    "an eviction is no failure": (
        Seen(job=job(FAILED), pods=[evicted("EvictionByEvictionAPI", "Eviction API: evicting"), terminated(3)]),
        JobState.FAILED,
        "the program ended with exit code 3",
    ),
    "deadline": (
        Seen(job=job(condition("Failed", "True", "DeadlineExceeded", "Job was active longer than specified deadline"))),
        JobState.FAILED,
        "stopped: maximum run time of 2 h",
    ),
    "pods gone": (
        Seen(job=job(condition("Failed", "True", "BackoffLimitExceeded", "Job has reached the backoff limit"))),
        JobState.FAILED,
        "Job has reached the backoff limit",
    ),
}


@pytest.mark.parametrize("case", ENDED)
def test_ended(case: str) -> None:
    seen, state, reason = ENDED[case]

    found = standing(seen)

    assert (found.state, found.reason) == (state, reason)


def test_a_job_of_several_pods_tells_which_failed() -> None:
    several = job(condition("Failed", "True", "FailedIndexes", "Job has failed indexes"))
    several["spec"].update(completions=10)
    failed = terminated(1, message="ValueError: no rows")
    failed["metadata"]["annotations"] = {"batch.kubernetes.io/job-completion-index": "7"}

    found = standing(Seen(job=several, pods=[failed]))

    assert found.reason == "1 of 10 failed; number 7: the program ended with exit code 1: ValueError: no rows"
