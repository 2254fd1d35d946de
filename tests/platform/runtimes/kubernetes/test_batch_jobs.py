"""Commands of the jobs' owners: their objects, and what a real control plane makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from perijove_platform.errors import BadRequest
from perijove_platform.ids import new_id
from perijove_platform.runtimes.base import JobSpec, JobState, Resources
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.job_manifests import PodSettings, job, plan_of, secret_values
from perijove_platform.runtimes.kubernetes.objects import JOBS, SECRETS, get

from .kubelet import Kubelet
from .place import Place, gone

SECRET = "swordfish-of-the-owner"
FILES = {"data/words.txt": "files/proj/file-1"}
PODS = PodSettings(images={"trainer": "trainer:1"}, runner_image="runner:1", volumes={"stack": "/opt/stack"})


def spec_of(*, project: str = "proj-1", inputs: Mapping[str, str] = {}, cpus: float = 0.5, **config: Any) -> JobSpec:
    return JobSpec(
        job_id=new_id("batchjob-"),
        project_id=project,
        program="batch",
        config={"image": "busybox:1", "command": ["sh", "-c", "true"], **config},
        inputs=inputs,
        resources=Resources(cpus=cpus, memory_bytes=1 << 26),
        priority=config.pop("priority", 0),
        max_run_seconds=config.pop("max_run_seconds", None),
    )


def manifest(spec: JobSpec) -> dict[str, Any]:
    return job(spec, plan_of(spec, PODS), PODS, cluster_id="cluster-1", accelerator="nvidia.com/gpu")


def pod_of(spec: JobSpec) -> dict[str, Any]:
    pod: dict[str, Any] = manifest(spec)["spec"]["template"]["spec"]
    return pod


def test_values_of_variables_lie_in_the_secret_alone() -> None:
    spec = spec_of(environment={"MOON": SECRET, "HOME": "/elsewhere"})
    assert secret_values(spec) == {"environment.MOON": SECRET, "environment.HOME": "/elsewhere"}
    assert SECRET not in json.dumps(manifest(spec))
    given = {variable["name"]: variable for variable in pod_of(spec)["containers"][0]["env"]}
    assert given["MOON"]["valueFrom"]["secretKeyRef"] == {"name": spec.job_id, "key": "environment.MOON"}
    assert "valueFrom" in given["HOME"], "the owner's own goes before ours"
    assert given["JOB_COMPLETION_INDEX"]["value"] == "0"


def test_a_command_sees_neither_the_token_nor_the_trainers_volumes() -> None:
    pod = pod_of(spec_of(inputs=FILES))
    [fetching], [command] = pod["initContainers"], pod["containers"]
    assert [mount["mountPath"] for mount in command["volumeMounts"]] == ["/work", "/tmp"]
    assert "/var/run/perijove" in [mount["mountPath"] for mount in fetching["volumeMounts"]]
    assert (fetching["image"], command["image"]) == ("runner:1", "busybox:1")
    assert fetching["securityContext"] == command["securityContext"]
    assert "initContainers" not in pod_of(spec_of())


def test_several_runs_are_an_indexed_job() -> None:
    made = manifest(spec_of(completions=3, parallelism=2, inputs=FILES))["spec"]
    assert (made["completions"], made["parallelism"], made["completionMode"]) == (3, 2, "Indexed")
    actions = [rule["action"] for rule in made["podFailurePolicy"]["rules"]]
    assert actions == ["Ignore", "FailIndex", "Ignore", "Ignore", "FailIndex"]
    names = [variable["name"] for variable in made["template"]["spec"]["containers"][0]["env"]]
    assert "JOB_COMPLETION_INDEX" not in names, "Kubernetes gives each its own"


def test_an_image_is_needed() -> None:
    with pytest.raises(BadRequest, match="needs an image"):
        plan_of(spec_of(image=None), PODS)


async def test_the_api_server_takes_what_is_made_of_it(place: Place, client: KubernetesClient) -> None:
    spec = spec_of(project=place.project, completions=3, parallelism=2, inputs=FILES, environment={"MOON": SECRET})
    place.wishes[spec.job_id] = "run"
    await place.submit(spec)
    told = await place.until(spec.job_id, JobState.ADMITTED)
    assert told.completed == 0
    secret = await client.get(SECRETS, spec.job_id, place.namespace)
    assert set(secret["data"]) >= {"environment.MOON"}
    assert place.runs.begun == [spec.job_id]
    alone = spec_of(project=place.project)
    place.wishes[alone.job_id] = "run"
    await place.submit(alone)
    await place.until(alone.job_id, JobState.ADMITTED)
    assert place.runs.begun == [spec.job_id], "a command without files asks the platform for nothing"


async def test_a_command_that_is_killed_is_not_made_again(
    place: Place, client: KubernetesClient, kubelet: Kubelet
) -> None:
    spec = spec_of(project=place.project)
    place.wishes[spec.job_id] = "run"
    await place.submit(spec)
    pod = await kubelet.run(spec.job_id)
    await place.until(spec.job_id, JobState.RUNNING)
    await kubelet.finish(pod, code=137, reason="OOMKilled")
    failed = await place.until(spec.job_id, JobState.FAILED, "out of memory (limit 64 MiB)")
    assert failed.code == "out_of_memory"
    await gone(client, place.namespace, spec.job_id)


async def test_a_command_that_fails_is_not_tried_again(
    place: Place, client: KubernetesClient, kubelet: Kubelet
) -> None:
    spec = spec_of(project=place.project)
    place.wishes[spec.job_id] = "run"
    await place.submit(spec)
    await kubelet.finish(await kubelet.run(spec.job_id), code=3, message="no such star\n")
    failed = await place.until(spec.job_id, JobState.FAILED, "exit code 3: no such star")
    assert failed.code == "crashed"
    made = await client.get(JOBS, spec.job_id, place.namespace)
    assert get(made, "status", "failed") == 1
