"""A job's Secret and its suspended Job."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perijove_platform.errors import BadRequest
from perijove_platform.runner.contract import FAIL_JOB, GRACE_SECONDS, IGNORE, SECRET_FOLDER, WORK_FOLDER
from perijove_platform.runtimes.base import JobSpec
from perijove_platform.runtimes.kubernetes.manifests import (
    CLUSTER,
    JOB,
    LOCAL_QUEUE,
    OWNED,
    PROJECT,
    namespace_name,
    priority_class_name,
)
from perijove_platform.runtimes.kubernetes.objects import JOBS, SECRETS, Object, name_of, object_name, uid_of
from perijove_platform.runtimes.kubernetes.pod_ends import CONTAINER
from perijove_platform.runtimes.kubernetes.states import MAX_TIME_LABEL, PROGRAM_LABEL

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
MIN_PARALLELISM = "kueue.x-k8s.io/job-min-parallelism"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"

_USER = 10001
_FAULTS = 4
"""Pods whose end was nobody's fault, such as a store that was away, before the job fails."""
_KEPT_SECONDS = 7 * 24 * 3600
"""After which Kubernetes removes a Job that ended while no platform was there to do so."""
_DEADLINE_SLACK_SECONDS = 300
_SIGTERM, _SIGKILL = 143, 137
_FILES = "files"
"""The init container that fetches the files of a command which knows nothing of the platform."""
_FETCH = ("python3", "-m", "perijove_platform.runner.fetch")
_FETCH_AMOUNTS = {"memory": str(128 << 20)}
_COMMAND_GRACE_SECONDS = 30
_VALUE_KEY = "environment."
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, kw_only=True)
class PodSettings:
    """What the pods of a cluster's jobs have in common; set by the operator.

    Attributes:
        images: by `JobSpec.program`.
        runner_image: fetches the files of commands of the jobs' owners.
        command: of our own programs, instead of their image's: the runner.
        cpus, memory_bytes: of a job that names none.
        work_bytes: that a pod may write to its working folder.
        pull_policy: ``IfNotPresent``, ``Always`` or ``Never``.
        pull_secrets: of every project's namespace, for a private registry.
        volumes: where our own programs find the claims of every project's namespace, read-only.
        environment: of our own programs.
    """

    images: Mapping[str, str]
    runner_image: str = ""
    command: Sequence[str] = ()
    cpus: float = 1.0
    memory_bytes: int = 4 << 30
    work_bytes: int = 50 << 30
    pull_policy: str = "IfNotPresent"
    pull_secrets: Sequence[str] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PodPlan:
    """What a job's pods run, read from its `JobSpec`.

    Attributes:
        command: with arguments; empty for the image's own.
        environment: in the Job's specification, so nothing secret.
        values: names of variables whose values lie in the job's Secret.
        volumes: where claims are mounted, read-only.
        fetches: whether files are fetched before the command begins.
        ours: whether the runner runs in it, whose exit status says what to do.
        completions, parallelism: pods that have to succeed, and of those how many at the same time.
        max_seconds: of running time, over all attempts.
    """

    image: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    values: Sequence[str] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)
    fetches: bool = False
    ours: bool = True
    completions: int = 1
    parallelism: int = 1
    max_seconds: int | None = None


def plan_of(spec: JobSpec, settings: PodSettings) -> PodPlan:
    """What the pods run: the runner with one of our programs, or for ``batch`` what its configuration names.

    Raises:
        errors.BadRequest: there is no image for the program, or the configuration cannot be used.
    """
    if spec.program == "batch":
        return _command_plan(spec)
    if spec.program not in settings.images:
        message = f"No image is set for the program '{spec.program}' on clusters. An operator has to name one."
        raise BadRequest(message, code="no_image")
    return PodPlan(
        image=settings.images[spec.program],
        command=settings.command,
        environment=settings.environment,
        volumes=settings.volumes,
        max_seconds=spec.max_run_seconds,
    )


def _command_plan(spec: JobSpec) -> PodPlan:
    config = spec.config
    image = config.get("image")
    if not isinstance(image, str) or not image:
        raise BadRequest("A batch job needs an image. Name one in 'image'.", param="image")
    completions = int(config.get("completions") or 1)
    return PodPlan(
        image=image,
        command=tuple(config.get("command") or ()),
        # Of several, Kubernetes gives each its own.
        environment={INDEX_VARIABLE: "0"} if completions == 1 else {},
        values=tuple(config.get("environment") or ()),
        fetches=bool(spec.inputs),
        ours=False,
        completions=completions,
        parallelism=min(completions, int(config.get("parallelism") or completions)),
        max_seconds=spec.max_run_seconds,
    )


def secret_values(spec: JobSpec) -> dict[str, str]:
    """The values of the variables of a job's owner, as files of its Secret."""
    if spec.program != "batch":
        return {}
    return {f"{_VALUE_KEY}{name}": str(value) for name, value in (spec.config.get("environment") or {}).items()}


def job_name(job_id: str) -> str:
    return object_name(job_id)


def labels_of(spec: JobSpec, cluster_id: str) -> dict[str, str]:
    return {**OWNED, CLUSTER: cluster_id, PROJECT: spec.project_id, JOB: spec.job_id}


def job(spec: JobSpec, plan: PodPlan, settings: PodSettings, *, cluster_id: str, accelerator: str) -> dict[str, Any]:
    """The suspended Job, which Kueue starts.

    Args:
        accelerator: resource name of what `Resources.gpus` counts, as ``nvidia.com/gpu``.
    """
    ours = labels_of(spec, cluster_id)
    labels = {**ours, QUEUE_LABEL: LOCAL_QUEUE, PROGRAM_LABEL: spec.program}
    if (priority := priority_class_name(spec.priority)) is not None:
        labels[PRIORITY_LABEL] = priority
    if plan.max_seconds is not None:
        labels[MAX_TIME_LABEL] = str(plan.max_seconds)
    metadata: dict[str, Any] = {
        "name": job_name(spec.job_id),
        "namespace": namespace_name(spec.project_id),
        "labels": labels,
    }
    if plan.parallelism > 1:
        metadata["annotations"] = {MIN_PARALLELISM: "1"}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": metadata,
        "spec": {
            "suspend": True,
            "completions": plan.completions,
            "parallelism": plan.parallelism,
            **_failures(plan),
            # Kueue counts the time of all attempts; this one is for a Job that Kueue has lost sight of.
            **(
                {}
                if plan.max_seconds is None
                else {"activeDeadlineSeconds": plan.max_seconds + _DEADLINE_SLACK_SECONDS}
            ),
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {
                "metadata": {"labels": ours},
                "spec": _pod(spec, plan, settings, accelerator),
            },
        },
    }


def _failures(plan: PodPlan) -> dict[str, Any]:
    """Pods that are taken from their node are made anew; what a program did wrong it would do again."""
    rules: list[dict[str, Any]] = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    indexed = plan.completions > 1
    fail = "FailIndex" if indexed else "FailJob"
    if plan.ours:
        rules.append(_on_exit("FailJob", [*map(int, FAIL_JOB), _SIGKILL]))
        rules.append(_on_exit("Ignore", [*map(int, IGNORE), _SIGTERM]))
    else:
        if plan.fetches:
            rules.append(_on_exit(fail, list(map(int, FAIL_JOB)), container=_FILES))
            rules.append(_on_exit("Ignore", [*map(int, IGNORE), _SIGTERM, _SIGKILL], container=_FILES))
        # So end the commands of a Job that is suspended, which is no failure. One that is killed for another reason,
        # such as its memory, would be made anew for ever: `states` sees that, and the Job is deleted.
        rules.append(_on_exit("Ignore", [_SIGTERM, _SIGKILL]))
        rules.append(_on_exit(fail, [0], operator="NotIn"))
    return {
        **({"completionMode": "Indexed", "backoffLimitPerIndex": _FAULTS} if indexed else {"backoffLimit": _FAULTS}),
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": rules},
    }


def _on_exit(action: str, codes: Sequence[int], *, container: str = CONTAINER, operator: str = "In") -> dict[str, Any]:
    return {
        "action": action,
        "onExitCodes": {"containerName": container, "operator": operator, "values": sorted(codes)},
    }


def _pod(spec: JobSpec, plan: PodPlan, settings: PodSettings, accelerator: str) -> dict[str, Any]:
    cpus = spec.resources.cpus or settings.cpus
    amounts = {"memory": str(spec.resources.memory_bytes or settings.memory_bytes)}
    volumes: list[dict[str, Any]] = [
        {"name": "work", "emptyDir": {"sizeLimit": str(settings.work_bytes)}},
        {"name": "tmp", "emptyDir": {"sizeLimit": str(settings.work_bytes)}},
        {"name": "run", "secret": {"secretName": job_name(spec.job_id), "defaultMode": 0o440}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "work", "mountPath": WORK_FOLDER},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    ]
    # A command of the owner's is not to see the job's token.
    runners = [*mounts, {"name": "run", "mountPath": SECRET_FOLDER, "readOnly": True}]
    if plan.ours:
        mounts = list(runners)
    if spec.resources.gpus:
        amounts[accelerator] = str(spec.resources.gpus)
        # Processes of one training exchange tensors there; a container's own has 64 MiB.
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    for number, (claim, place) in enumerate(plan.volumes.items()):
        source = {"claimName": claim, "readOnly": True}
        volumes.append({"name": f"claim-{number}", "persistentVolumeClaim": source})
        mounts.append({"name": f"claim-{number}", "mountPath": place, "readOnly": True})
    environment = {
        "HOME": WORK_FOLDER,
        "OMP_NUM_THREADS": str(max(1, int(cpus))),
        # Threads that spin at a barrier make a step ten times as long once the node has other work to do.
        "OMP_WAIT_POLICY": "PASSIVE",
        **plan.environment,
    }
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": plan.image,
        "imagePullPolicy": settings.pull_policy,
        "workingDir": WORK_FOLDER,
        "env": [
            *({"name": name, "value": value} for name, value in environment.items() if name not in plan.values),
            *(_value(name, job_name(spec.job_id)) for name in plan.values),
        ],
        "resources": {"requests": {"cpu": _millis(cpus), **amounts}, "limits": amounts},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _RESTRICTED,
        "volumeMounts": mounts,
    }
    if plan.command:
        container["command"] = list(plan.command)
    found: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS if plan.ours else _COMMAND_GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    if plan.fetches:
        found["initContainers"] = [_fetching(settings, runners)]
    if settings.pull_secrets:
        found["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    return found


def _fetching(settings: PodSettings, mounts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The container that brings the files into the working folder before the command begins."""
    return {
        "name": _FILES,
        "image": settings.runner_image,
        "imagePullPolicy": settings.pull_policy,
        "command": list(_FETCH),
        "workingDir": WORK_FOLDER,
        "env": [{"name": "HOME", "value": WORK_FOLDER}],
        "resources": {"requests": {"cpu": "100m", **_FETCH_AMOUNTS}, "limits": _FETCH_AMOUNTS},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _RESTRICTED,
        "volumeMounts": list(mounts),
    }


def _value(name: str, secret_name: str) -> dict[str, Any]:
    return {
        "name": name,
        "valueFrom": {"secretKeyRef": {"name": secret_name, "key": f"{_VALUE_KEY}{name}"}},
    }


def secret(
    owner: Object | None, name: str, files: Mapping[str, str], labels: Mapping[str, str], namespace: str
) -> dict[str, Any]:
    """The job's Secret.

    Args:
        owner: the Job with which it goes, as the API server has it; ``None`` while there is none.
        files: as `JobRuns.begin` gives them.
    """
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": dict(labels)}
    if owner is not None:
        metadata["ownerReferences"] = [
            {"apiVersion": JOBS.api_version, "kind": JOBS.kind, "name": name_of(owner), "uid": uid_of(owner)}
        ]
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": metadata,
        "type": "Opaque",
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in files.items()},
    }


def _millis(cpus: float) -> str:
    millis = round(cpus * 1000)
    return str(millis // 1000) if millis % 1000 == 0 else f"{millis}m"
