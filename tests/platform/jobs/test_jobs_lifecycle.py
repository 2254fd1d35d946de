"""A job through OpenAI's client, from its creation to each of its ends."""

import asyncio
import json
from typing import Any

import openai
import pytest
from perijove_platform.events import Recorded


async def create(world: Any, **more: Any) -> Any:
    return await world.client().fine_tuning.jobs.create(model="smollm2", training_file="file-train", **more)


def in_state(state: str) -> Any:
    return lambda job: job.state == state


async def test_a_job_from_creation_to_model(world: Any) -> None:
    client = world.client()
    job = await create(
        world,
        suffix="bot",
        seed=7,
        validation_file="file-valid",
        metadata={"team": "a"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
    )
    assert (job.object, job.status, job.seed, job.error, job.finished_at) == (
        "fine_tuning.job",
        "queued",
        7,
        None,
        None,
    )
    assert job.hyperparameters.n_epochs == 2 and job.hyperparameters.batch_size == "auto"
    await world.until(job.id, in_state("succeeded"))
    done = await client.fine_tuning.jobs.retrieve(job.id)
    assert done.status == "succeeded"
    assert done.fine_tuned_model == f"ft:smollm2:bot:{job.id[-8:]}"
    assert done.trained_tokens == 1234 and done.finished_at >= done.created_at
    assert done.hyperparameters.batch_size == 2 and done.metadata == {"team": "a"}
    assert done.method.supervised.hyperparameters.batch_size == "auto"
    assert world.files.results == {done.result_files[0]: b"step,train_loss\n1,1.0\n"}
    assert done.progress == {"step": 3, "total_steps": 3, "epoch": 0.5, "loss": 1 / 3, "eta_seconds": 1.0}

    from_caller = await world.models.get(_caller(), done.fine_tuned_model)
    assert (from_caller.base_model, from_caller.state) == ("smollm2", "available")
    events = [event async for event in client.fine_tuning.jobs.list_events(job.id, limit=2)]
    messages = [event.message for event in reversed(events)]
    assert messages[0].startswith("Created fine-tuning job")
    assert messages[-1] == "The job has successfully completed"
    steps = [event.data["step"] for event in reversed(events) if event.type == "metrics"]
    assert steps == [1, 2, 3]
    checkpoints = [point async for point in client.fine_tuning.jobs.checkpoints.list(job.id, limit=2)]
    assert [point.step_number for point in checkpoints] == [3, 2, 1]
    assert checkpoints[0].metrics.train_loss == 1 / 3
    assert checkpoints[0].fine_tuned_model_checkpoint == f"{done.fine_tuned_model}:ckpt-step-3"


def _caller() -> Any:
    from perijove_platform.rbac import SCOPES, Caller

    return Caller(
        user_id="user", user_name="U", organization_id="org", project_id="proj-local", scopes=SCOPES, key_id="key"
    )


async def test_each_change_is_pushed(world: Any) -> None:
    stream = world.events.subscribe(project_id="proj-local", last_id=await world.events.newest())
    seen: list[Recorded] = []
    job = await create(world)
    async with asyncio.timeout(60):
        async for event in stream:
            if event.type.startswith("fine_tuning"):
                seen.append(event)
            if event.data.get("state") == "succeeded":
                break
    types = [event.type for event in seen]
    assert types[0] == "fine_tuning.job.created" and set(types) == {
        "fine_tuning.job.created",
        "fine_tuning.job.updated",
        "fine_tuning.job.event",
    }
    assert {event.object_id for event in seen} == {job.id}
    states = [event.data["state"] for event in seen if event.type == "fine_tuning.job.updated"]
    assert list(dict.fromkeys(states)) == ["admitted", "running", "succeeded"]


async def test_cancel(world: Any) -> None:
    world.script["wait_at"] = 1
    job = await create(world)
    await world.until(job.id, in_state("running"))
    cancelled = await world.client().fine_tuning.jobs.cancel(job.id)
    assert (cancelled.status, cancelled.fine_tuned_model) == ("cancelled", None)
    assert cancelled.finished_at is not None
    assert (await world.client().fine_tuning.jobs.cancel(job.id)).status == "cancelled"


async def test_cancel_at_once_and_while_queued(world: Any) -> None:
    world.script["wait_at"] = 1
    first, second = await create(world), await create(world)
    jobs = world.client().fine_tuning.jobs
    ended = await asyncio.gather(jobs.cancel(second.id), jobs.cancel(first.id))
    assert [job.status for job in ended] == ["cancelled", "cancelled"]


async def test_pause_and_resume(world: Any) -> None:
    world.script["wait_at"] = 2
    job = await create(world)
    await world.until(job.id, lambda job: job.progress is not None and job.progress.step == 2)
    paused = await world.client().fine_tuning.jobs.pause(job.id)
    assert (paused.state, paused.status, paused.finished_at) == ("paused", "paused", None)
    with pytest.raises(openai.BadRequestError):
        other = await create(world)
        await world.client().fine_tuning.jobs.resume(other.id)
    await world.client().fine_tuning.jobs.cancel(other.id)
    world.script.pop("wait_at")
    await world.client().fine_tuning.jobs.resume(job.id)
    await world.until(job.id, in_state("succeeded"))
    log = (await world.http().get(f"/v1/fine_tuning/jobs/{job.id}/logs")).text
    assert "starting after step 2" in log


async def test_a_paused_job_can_be_cancelled(world: Any) -> None:
    world.script["wait_at"] = 1
    job = await create(world)
    await world.client().fine_tuning.jobs.pause(job.id)
    assert (await world.client().fine_tuning.jobs.cancel(job.id)).status == "cancelled"


async def test_a_failure_says_why(world: Any) -> None:
    world.script["error_at"] = 1
    job = await create(world)
    await world.until(job.id, in_state("failed"))
    failed = await world.client().fine_tuning.jobs.retrieve(job.id)
    assert failed.status == "failed"
    assert (failed.error.code, failed.error.message) == ("diverged", "The loss became nan.")
    with pytest.raises(openai.BadRequestError, match="already failed"):
        await world.client().fine_tuning.jobs.cancel(job.id)


async def test_the_base_model_may_go_meanwhile(world: Any) -> None:
    world.script["wait_at"] = 1
    job = await create(world)
    await world.until(job.id, in_state("running"))
    await world.models.delete(_caller(), "smollm2")
    world.go(job.id)
    failed = await world.until(job.id, in_state("failed"))
    assert failed.error.code == "registration_failed"


async def test_the_log_is_followed(world: Any) -> None:
    world.script["wait_at"] = 2
    job = await create(world)
    await world.until(job.id, lambda job: job.progress is not None and job.progress.step == 2)
    world.go(job.id)
    async with world.http() as http:
        response = await http.get(f"/v1/fine_tuning/jobs/{job.id}/logs", params={"follow": "true"}, timeout=30)
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text.endswith("log of step 3\n")
    await world.until(job.id, in_state("succeeded"))


async def test_the_end_of_the_log(world: Any) -> None:
    job = await create(world)
    await world.until(job.id, in_state("succeeded"))
    async with world.http() as http:
        url = f"/v1/fine_tuning/jobs/{job.id}/logs"
        assert (await http.get(url, params={"tail": 2})).text == "log of step 2\nlog of step 3\n"
        assert (await http.get(url, params={"tail_bytes": 7})).text == "step 3\n"
        both = await http.get(url, params={"tail": 2, "tail_bytes": 7})
        assert both.status_code == 400 and "not both" in both.json()["error"]["message"]


async def test_a_job_is_stopped_after_its_maximum_run_time_over_all_attempts(world: Any) -> None:
    world.script["wait_at"] = 2
    jobs = world.client().fine_tuning.jobs
    job = await jobs.create(model="smollm2", training_file="file-train", extra_body={"max_run_seconds": 600})
    assert job.max_run_seconds == 600
    await world.until(job.id, lambda job: job.progress is not None and job.progress.step == 2)
    await jobs.pause(job.id)
    noted = world.folder(job.id) / "run_seconds.json"
    spent = json.loads(noted.read_text())["seconds"]
    assert 0 < spent < 600
    noted.write_text(json.dumps({"seconds": 599}))  # as if the first attempt had taken longer
    world.script["wait_at"] = 3
    await jobs.resume(job.id)
    failed = await world.until(job.id, lambda job: job.state == "failed")
    assert (failed.error.code, failed.error.message) == ("time_limit", "stopped: maximum run time of 10 min")


async def test_the_higher_priority_trains_first(world: Any) -> None:
    world.script["wait_at"] = 1
    jobs = world.client().fine_tuning.jobs
    holder = await jobs.create(model="smollm2", training_file="file-train")
    await world.until(holder.id, lambda job: job.state == "running")
    low = await jobs.create(model="smollm2", training_file="file-train", extra_body={"priority": -1})
    high = await jobs.create(model="smollm2", training_file="file-train", extra_body={"priority": 2})
    assert (low.priority, high.priority, holder.priority) == (-1, 2, 0)
    await world.until(high.id, lambda job: job.queue_position == 1)
    await world.until(low.id, lambda job: job.queue_position == 2)
    with pytest.raises(openai.BadRequestError, match="priority"):
        await jobs.create(model="smollm2", training_file="file-train", extra_body={"priority": 3})
