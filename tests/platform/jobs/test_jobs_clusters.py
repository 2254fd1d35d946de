"""Jobs on registered clusters, which come and go while the platform runs."""

import asyncio
from collections.abc import Callable
from typing import Any

import openai
import psutil
import pytest
from killable_platform import alive

Start = Callable[[], Any]


def in_state(state: str) -> Any:
    return lambda job: job.state == state


async def add_cluster(world: Any, name: str = "gpu") -> str:
    async with world.http() as http:
        answer = await http.post("/v1/clusters", json={"name": name})
    assert answer.status_code == 201, answer.text
    cluster_id: str = answer.json()["id"]
    return cluster_id


async def create(world: Any, cluster: str) -> Any:
    jobs = world.client().fine_tuning.jobs
    return await jobs.create(model="smollm2", training_file="file-train", extra_body={"cluster": cluster})


def pid_of(world: Any, job_id: str, cluster: str = "gpu") -> int:
    return int((world.settings.data_dir / "elsewhere" / cluster / "jobs" / job_id / "pid").read_text())


async def test_a_job_runs_where_it_was_sent(world: Any) -> None:
    cluster_id = await add_cluster(world)
    jobs = [await create(world, place) for place in ("gpu", cluster_id, "local")]
    assert [job.cluster for job in jobs] == ["gpu", "gpu", "local"]
    for job in jobs:
        done = await world.until(job.id, in_state("succeeded"))
        assert done.fine_tuned_model is not None
    folder = world.settings.data_dir / "elsewhere" / "gpu" / "jobs"
    assert sorted(path.name for path in folder.glob("ftjob-*")) == sorted(job.id for job in jobs[:2])
    async with world.http() as http:
        assert (await http.get(f"/v1/fine_tuning/jobs/{jobs[0].id}/logs")).text


async def test_an_unknown_cluster_is_refused_with_those_that_there_are(world: Any) -> None:
    await add_cluster(world)
    with pytest.raises(openai.BadRequestError, match="Unknown cluster 'cpu'. There is: local, gpu.") as refused:
        await create(world, "cpu")
    assert refused.value.param == "cluster"


async def test_a_cluster_with_unfinished_jobs_goes_only_by_force(world: Any) -> None:
    await add_cluster(world)
    world.script["wait_at"] = 1
    job = await create(world, "gpu")
    await world.until(job.id, lambda job: job.progress is not None and job.progress.step == 1)
    process = psutil.Process(pid_of(world, job.id))
    async with world.http() as http:
        refused = await http.delete("/v1/clusters/gpu")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "cluster_in_use")
        assert refused.json()["error"]["message"].startswith("1 job has not ended on 'gpu'.")
        assert (await http.delete("/v1/clusters/gpu", params={"force": True})).status_code == 200
        failed = await world.until(job.id, in_state("failed"))
        assert (failed.error.code, failed.error.message) == ("cluster_gone", "The cluster 'gpu' was deleted.")
        gone = await http.get(f"/v1/fine_tuning/jobs/{job.id}/logs")
        assert (gone.status_code, gone.json()["error"]["code"]) == (409, "cluster_gone")
    async with asyncio.timeout(60):
        while alive(process):
            await asyncio.sleep(0.01)


async def test_a_cluster_whose_jobs_have_ended_goes(world: Any) -> None:
    await add_cluster(world)
    job = await create(world, "gpu")
    await world.until(job.id, in_state("succeeded"))
    async with world.http() as http:
        assert (await http.delete("/v1/clusters/gpu")).status_code == 200
    assert (await world.client().fine_tuning.jobs.retrieve(job.id)).state == "succeeded"


async def test_a_job_whose_cluster_went_while_the_platform_was_away(start: Start) -> None:
    async with start() as world:
        await add_cluster(world)
        world.script["wait_at"] = 1
        job = await create(world, "gpu")
        await world.until(job.id, in_state("running"))
        await world.lifecycle.stop()  # nobody hears of the deletion
        async with world.http() as http:
            assert (await http.delete("/v1/clusters/gpu", params={"force": True})).status_code == 200
    async with start() as world:
        failed = await world.until(job.id, in_state("failed"))
        assert failed.error.code == "cluster_gone"
