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
from perijove_platform.runtimes.kubernetes.states import CONTAINER, MAX_TIME_LABEL

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
MIN_PARALLELISM = "kueue.x-k8s.io/job-min-parallelism"

_USER = 10001
_FAULTS = 4
"""Pods whose end was nobody's fault, such as a store that was away, before the job fails."""
_KEPT_SECONDS = 7 * 24 * 3600
"""After which Kubernetes removes a Job that ended while no platform was there to do so."""
_DEADLINE_SLACK_SECONDS = 300
_SIGTERM, _SIGKILL = 143, 137


@dataclass(frozen=True, kw_only=True)
class PodSettings:
    """What the pods of a cluster's jobs have in common; set by the operator.

    Attributes:
        images: by `JobSpec.program`.
        command: of our own programs, instead of their image's: the runner.
        cpus, memory_bytes: of a job that names none.
        work_bytes: that a pod may write to its working folder.
        pull_policy: ``IfNotPresent``, ``Always`` or ``Never``.
        pull_secrets: of every project's namespace, for a private registry.
    """

    images: Mapping[str, str]
    command: Sequence[str] = ()
    cpus: float = 1.0
    memory_bytes: int = 4 << 30
    work_bytes: int = 50 << 30
    pull_policy: str = "IfNotPresent"
    pull_secrets: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class PodPlan:
    """What a job's pods run, read from its `JobSpec`.

    Attributes:
        command: with arguments; empty for the image's own.
        ours: whether the runner runs in it, whose exit status says what to do.
        completions, parallelism: pods that have to succeed, and of those how many at the same time.
        max_seconds: of running time, over all attempts.
    """

    image: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = True
    completions: int = 1
    parallelism: int = 1
    max_seconds: int | None = None


def plan_of(spec: JobSpec, settings: PodSettings) -> PodPlan:
    """What the pods run: the runner with one of our programs, or for ``batch`` what its configuration names.

    Raises:
        errors.BadRequest: there is no image for the program, or the configuration cannot be used.
    """
    config = spec.config
    max_seconds = config.get("max_run_seconds")
    if spec.program == "batch":
        image = config.get("image")
        if not isinstance(image, str) or not image:
            raise BadRequest("A batch job needs an image. Name one in 'image'.", param="image")
        completions = int(config.get("completions") or 1)
        return PodPlan(
            image=image,
            command=tuple(config.get("command") or ()),
            environment={str(name): str(value) for name, value in (config.get("environment") or {}).items()},
            ours=False,
            completions=completions,
            parallelism=min(completions, int(config.get("parallelism") or completions)),
            max_seconds=max_seconds,
        )
    if spec.program not in settings.images:
        message = f"No image is set for the program '{spec.program}' on clusters. An operator has to name one."
        raise BadRequest(message, code="no_image")
    return PodPlan(image=settings.images[spec.program], command=settings.command, max_seconds=max_seconds)


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
    labels = {**ours, QUEUE_LABEL: LOCAL_QUEUE}
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
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    if plan.completions > 1:
        return {
            "completionMode": "Indexed",
            "backoffLimitPerIndex": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [disrupted]},
        }
    rules = [disrupted]
    if plan.ours:
        rules += [
            _on_exit("FailJob", [*map(int, FAIL_JOB), _SIGKILL]),
            _on_exit("Ignore", [*map(int, IGNORE), _SIGTERM]),
        ]
    return {
        "backoffLimit": _FAULTS if plan.ours else 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": rules},
    }


def _on_exit(action: str, codes: Sequence[int]) -> dict[str, Any]:
    return {
        "action": action,
        "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": sorted(codes)},
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
        {"name": "run", "mountPath": SECRET_FOLDER, "readOnly": True},
    ]
    if spec.resources.gpus:
        amounts[accelerator] = str(spec.resources.gpus)
        # Processes of one training exchange tensors there; a container's own has 64 MiB.
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
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
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {"requests": {"cpu": _millis(cpus), **amounts}, "limits": amounts},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    if plan.command:
        container["command"] = list(plan.command)
    found: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
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
    if settings.pull_secrets:
        found["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    return found


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
