"""Where a job stands, from what the cluster shows of it: one pure function, `standing`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from perijove_platform.clusters.quantities import Quantity, QuantityError, parse
from perijove_platform.runner.contract import FAIL_JOB
from perijove_platform.runtimes.base import JobState, JobUpdate
from perijove_platform.runtimes.kubernetes import words
from perijove_platform.runtimes.kubernetes.objects import (
    Object,
    condition,
    created,
    get,
    label_of,
    true_condition,
    uid_of,
)
from perijove_platform.runtimes.kubernetes.pod_ends import container_statuses, eviction_of, exit_code, pod_failure

PROGRAM_LABEL = "perijove.dev/program"
"""Of a Job: `JobSpec.program`."""
BATCH = "batch"
MAX_TIME_LABEL = "kueue.x-k8s.io/max-exec-time-seconds"
_INDEX = "batch.kubernetes.io/job-completion-index"
_INVALID_IMAGE = "InvalidImageName"
_IMAGE_PROBLEMS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", _INVALID_IMAGE, "ErrImageNeverPull", "RegistryUnavailable"}
)
_CONTAINER_PROBLEMS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_DISK = "exceeds the limit"
_NO_ROOM = re.compile(r"Insufficient |Too many pods|were unschedulable|node\.kubernetes\.io/")
"""What the scheduler has against nodes that may pass: other pods, a cordon, what Kubernetes itself keeps them from."""
_KILLED = (137, 143)
"""Exit codes of a program that SIGKILL or SIGTERM has ended."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a cluster shows of a job.

    Attributes:
        workload: Kueue's object for it; ``None`` before Kueue has made one.
        pods: of all its attempts, as far as they are still there.
        position: its place in the queue, 1 is next.
        alike: another workload that asks for the same, where Kueue says only of that one why it waits.
        warnings: the newest event of a Job or Pod that says why it does not come up, by the object's uid.
        eviction: why its last pod was evicted, while no new one runs.
        queue: the ClusterQueue that it waits in.
        job_of: the id of the job of ours whose Kubernetes Job has this uid.
        next_release: the job of the same project that is expected to give up some of a resource first.
        kueue: whether the cluster has Kueue.
        takes: whether any node could run a pod if no other job was there.
    """

    job: Object
    workload: Object | None = None
    pods: Sequence[Object] = ()
    position: int | None = None
    alike: Object | None = None
    warnings: Mapping[str, str] = field(default_factory=dict)
    eviction: str | None = None
    queue: Object | None = None
    job_of: Callable[[str], str | None] = lambda uid: None
    next_release: Callable[[str], str | None] = lambda resource: None
    kueue: bool = True
    takes: Callable[[Object], bool] = lambda pod: False


@dataclass(frozen=True, kw_only=True)
class Standing:
    """See `JobUpdate`.

    Attributes:
        code: of a failure, for programs.
        ends: the cluster goes on with the Job although it has ended as far as its owner is concerned: delete it.
        completed: of a job with several completions, how many have succeeded.
        interruption: why the run before this one was ended, while the job waits to go on.
        blocked: it has quota and cannot start, for a reason that may last: see `job_timers`.
        crowded: that reason is only that others are where it could run, or a node that takes no pods at the moment.
    """

    state: JobState
    reason: str | None = None
    queue_position: int | None = None
    code: str | None = None
    ends: bool = False
    completed: int | None = None
    interruption: str | None = None
    blocked: bool = False
    crowded: bool = field(default=False, compare=False)

    def update(self, job_id: str) -> JobUpdate:
        return JobUpdate(
            job_id=job_id,
            state=self.state,
            reason=self.reason,
            code=self.code,
            queue_position=self.queue_position,
            completed=self.completed,
            interruption=self.interruption,
        )


def standing(seen: Seen) -> Standing:
    """Where the job stands and why, in words for its owner."""
    found = _finished(seen) or _given_up(seen) or _deactivated(seen)
    if found is None:
        started = not get(seen.job, "spec", "suspend", default=False)
        has_quota = started or true_condition(seen.workload, "Admitted") is not None
        found = _admitted(seen) if has_quota else _queued(seen)
    if get(seen.job, "spec", "completions", default=1) > 1:
        found = replace(found, completed=int(get(seen.job, "status", "succeeded", default=0)))
    return found


def requests(workload: Object | None, job: Object) -> dict[str, Quantity]:
    """What all pods of the job that run at the same time ask for, by resource name."""
    sets = get(workload, "spec", "podSets")
    if not sets:
        count = get(job, "spec", "parallelism", default=1)
        sets = [{"template": get(job, "spec", "template", default={}), "count": count}]
    found: dict[str, Quantity] = {}
    for pod_set in sets:
        count = int(get(pod_set, "count", default=1))
        for container in get(pod_set, "template", "spec", "containers", default=()):
            for resource, text in get(container, "resources", "requests", default={}).items():
                try:
                    asked = parse(text)
                except QuantityError:
                    continue
                found[resource] = found.get(resource, Quantity()) + Quantity(asked.nano * count, asked.format)
    return found


def goes_on(job: Object) -> str:
    """What becomes of a job that has to start once more."""
    return words.BEGINS_AGAIN if label_of(job, PROGRAM_LABEL) == BATCH else words.GOES_ON


# Ended.


def _finished(seen: Seen) -> Standing | None:
    if true_condition(seen.job, "Complete") is not None:
        return Standing(state=JobState.SUCCEEDED)
    failed = true_condition(seen.job, "Failed")
    if failed is None:
        return None
    if failed.get("reason") == "DeadlineExceeded":
        return _out_of_time(int(label_of(seen.job, MAX_TIME_LABEL) or 0), ends=False)
    reason, code = _failure(seen)
    return Standing(
        state=JobState.FAILED, reason=reason or words.short(str(failed.get("message") or "the job failed")), code=code
    )


def _failure(seen: Seen) -> tuple[str | None, str]:
    """In words, from the pods that failed, and the code."""
    failed = [pod for pod in seen.pods if get(pod, "status", "phase") == "Failed" and eviction_of(pod) is None]
    for pod in sorted(failed, key=created):
        explained = pod_failure(pod)
        if explained is None:
            continue
        reason, code = explained
        index = get(pod, "metadata", "annotations", _INDEX)
        if index is not None and (completions := get(seen.job, "spec", "completions", default=1)) > 1:
            count = len({get(other, "metadata", "annotations", _INDEX) for other in failed})
            reason = f"{count} of {completions} failed; number {index}: {reason}"
        return reason, code
    return None, "job_failed"


def _out_of_time(seconds: int, *, ends: bool) -> Standing:
    reason = f"stopped: maximum run time of {words.duration(seconds)}" if seconds else "stopped: maximum run time"
    return Standing(state=JobState.FAILED, reason=reason, code="time_limit", ends=ends)


def _given_up(seen: Seen) -> Standing | None:
    """What Kubernetes would try for ever, although it cannot help: a disk that is too small, a name of no image."""
    for pod in seen.pods:
        message = str(get(pod, "status", "message", default=""))
        if get(pod, "status", "reason") == "Evicted" and _DISK in message:
            reason = f"out of disk: {words.short(message)}"
            return Standing(state=JobState.FAILED, reason=reason, code="out_of_disk", ends=True)
        for waiting, image in _waiting_containers(pod):
            if waiting.get("reason") == _INVALID_IMAGE:
                reason = words.image_problem(_INVALID_IMAGE, "", image)
                return Standing(state=JobState.FAILED, reason=reason, code="invalid_image", ends=True)
        if label_of(seen.job, PROGRAM_LABEL) == BATCH and (killed := _killed(pod)) is not None:
            return Standing(state=JobState.FAILED, reason=killed[0], code=killed[1], ends=True)
    return None


def _killed(pod: Object) -> tuple[str, str] | None:
    """Why, and as which code, a command was killed that nobody has asked to stop."""
    if get(pod, "metadata", "deletionTimestamp") is not None or eviction_of(pod) is not None:
        return None
    codes = [get(status, "state", "terminated", "exitCode") for status in container_statuses(pod)]
    return pod_failure(pod) if any(code in _KILLED for code in codes) else None


# Stopped by Kueue.


def _deactivated(seen: Seen) -> Standing | None:
    if get(seen.workload, "spec", "active", default=True) is not False:
        return None
    evicted = true_condition(seen.workload, "Evicted")
    cause = str(get(evicted, "reason", default="")).removeprefix("Deactivated").removeprefix("DueTo")
    if cause == "MaximumExecutionTimeExceeded":
        seconds = int(get(seen.workload, "spec", "maximumExecutionTimeSeconds", default=0))
        return _out_of_time(seconds, ends=True)
    if cause == "RequeuingLimitExceeded":
        reason = "evicted too often: its pods were never ready in time"
        return Standing(state=JobState.FAILED, reason=reason, code="job_failed", ends=True)
    if cause:
        message = str(get(evicted, "message", default="")).removeprefix("The workload is deactivated due to ")
        reason = f"not admitted: {words.short(message)}"
        return Standing(state=JobState.FAILED, reason=reason, code="job_failed", ends=True)
    if not get(seen.job, "spec", "suspend", default=False) or _live(seen.pods):
        began = any(get(pod, "status", "phase") != "Pending" for pod in seen.pods)
        return Standing(state=JobState.RUNNING if began else JobState.ADMITTED, reason="stopping")
    return Standing(state=JobState.PAUSED)


# Waiting for quota.


def _queued(seen: Seen) -> Standing:
    reasons: list[str] = []
    evicted = true_condition(seen.workload, "Evicted")
    interruption = None
    if evicted is not None:
        # What its owner has paused was not interrupted.
        if not str(evicted.get("reason")).startswith("Deactivated"):
            interruption = _kueue_eviction(seen, evicted)
            reasons.append(interruption)
        if _running(seen.pods):
            reason = "stopping" if interruption is None else f"being stopped: {interruption}"
            return Standing(state=JobState.RUNNING, reason=reason)
        reasons.append(goes_on(seen.job))
    reasons.append(_quota(seen))
    return Standing(
        state=JobState.QUEUED, reason="; ".join(reasons), queue_position=seen.position, interruption=interruption
    )


def _kueue_eviction(seen: Seen, evicted: Object) -> str:
    reason, message = str(evicted.get("reason") or ""), str(evicted.get("message") or "")
    if reason != "Preempted":
        return words.kueue_eviction(reason, message)
    uid = words.preemptor_uid(message)
    other = seen.job_of(uid) if uid is not None else None
    by = f"job {other}" if other is not None else "another project's job"
    why = str(get(condition(seen.workload, "Preempted"), "reason", default=""))
    return f"preempted by {by}" + (" of higher priority" if why == "InClusterQueue" else "")


def _quota(seen: Seen) -> str:
    if not seen.kueue:
        return "the cluster has no Kueue; an administrator has to install it"
    if seen.workload is None:
        return "waiting for Kueue to take the job up"
    reserved = condition(seen.workload, "QuotaReserved") or condition(seen.alike, "QuotaReserved")
    if reserved is not None and reserved.get("status") == "True":
        return _checks(seen.workload)
    stopped = condition(seen.queue, "Active")
    if stopped is not None and stopped.get("status") == "False":
        return f"the queue admits nothing: {words.short(str(stopped.get('message') or stopped.get('reason')))}"
    if reserved is None:
        return "waiting for its turn"
    asked = requests(seen.workload, seen.job)
    return words.quota_reason(str(reserved.get("message") or ""), asked, seen.next_release)


def _checks(workload: Object) -> str:
    for check in get(workload, "status", "admissionChecks", default=()):
        if check.get("state") != "Ready":
            return f"waiting for {check.get('name')}: {words.short(str(check.get('message') or 'not ready yet'))}"
    return "quota is reserved"


# With quota.


def _admitted(seen: Seen) -> Standing:
    live = _live(seen.pods)
    running = _running(seen.pods)
    waiting = [pod for pod in live if pod not in running]
    if running:
        return Standing(state=JobState.RUNNING, reason=_progress(seen, running, waiting))
    if not live and _is_finishing(seen):
        return Standing(state=JobState.RUNNING, reason=_progress(seen, [], []) or "finishing")
    kept = [(pod, text) for pod in waiting if (text := _pod_problem(pod, seen.warnings))]
    problem = kept[0][1] if kept else None
    if problem is None and not live:
        told = seen.warnings.get(uid_of(seen.job))
        problem = f"its pod cannot be made: {words.short(told)}" if told is not None else None
    pulling = any(get(pod, "status", "containerStatuses") for pod in waiting)
    reason = problem or ("pulling the image" if pulling else "starting")
    if seen.eviction is not None:
        reason = f"{seen.eviction}; {goes_on(seen.job)}" + (f"; {reason}" if problem or pulling else "")
    return Standing(
        state=JobState.ADMITTED,
        reason=reason,
        interruption=seen.eviction,
        blocked=problem is not None,
        crowded=bool(kept) and all(_is_crowded_out(pod, seen) for pod, _ in kept),
    )


def _is_finishing(seen: Seen) -> bool:
    """Whether its last pod has ended for good, which the Job says some moments later."""
    ended = [pod for pod in seen.pods if eviction_of(pod) is None]
    if not ended:
        return False
    last = max(ended, key=created)
    return get(last, "status", "phase") == "Succeeded" or exit_code(last) in FAIL_JOB


def _progress(seen: Seen, running: Sequence[Object], waiting: Sequence[Object]) -> str | None:
    for pod in running:
        if get(condition(pod, "Ready"), "reason") == "NodeStatusUnknown":
            return f"its node {get(pod, 'spec', 'nodeName')} does not answer"
    completions = get(seen.job, "spec", "completions", default=1)
    if completions == 1:
        return None
    told = f"{get(seen.job, 'status', 'succeeded', default=0)} of {completions} done, {len(running)} running"
    if failed := get(seen.job, "status", "failed", default=0):
        told += f", {failed} failed"
    problem = next((text for pod in waiting if (text := _pod_problem(pod, seen.warnings))), None)
    return f"{told}; {problem}" if problem else told


def _is_crowded_out(pod: Object, seen: Seen) -> bool:
    message = str(get(_unscheduled(pod), "message", default=""))
    return _NO_ROOM.search(message) is not None and seen.takes(pod)


def _unscheduled(pod: Object) -> Object | None:
    """The condition that says that no node takes it."""
    scheduled = condition(pod, "PodScheduled")
    return scheduled if get(scheduled, "status") == "False" else None


def _pod_problem(pod: Object, warnings: Mapping[str, str]) -> str | None:
    """Why a pod does not come up; ``None`` while nothing says that it will not."""
    if (scheduled := _unscheduled(pod)) is not None:
        return words.unschedulable(str(scheduled.get("message") or scheduled.get("reason") or ""))
    for waiting, image in _waiting_containers(pod):
        reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
        if reason in _IMAGE_PROBLEMS:
            return words.image_problem(reason, message, image)
        if reason in _CONTAINER_PROBLEMS:
            return f"its container cannot be started: {words.short(message)}"
    if true_condition(pod, "PodReadyToStartContainers") is not None:
        return None  # its volumes, of which warnings tell, have been mounted since
    told = warnings.get(uid_of(pod))
    return words.short(told) if told is not None else None


def _waiting_containers(pod: Object) -> Iterator[tuple[Object, str]]:
    """The states of containers that do not run yet, each with its image."""
    containers = [*get(pod, "spec", "initContainers", default=()), *get(pod, "spec", "containers", default=())]
    images = {spec.get("name"): str(spec.get("image")) for spec in containers}
    for status in container_statuses(pod):
        if (waiting := get(status, "state", "waiting")) is not None:
            yield waiting, images.get(status.get("name"), str(status.get("image")))


def _live(pods: Sequence[Object]) -> list[Object]:
    return [pod for pod in pods if get(pod, "status", "phase") not in ("Succeeded", "Failed")]


def _running(pods: Sequence[Object]) -> list[Object]:
    return [pod for pod in pods if get(pod, "status", "phase") == "Running"]
