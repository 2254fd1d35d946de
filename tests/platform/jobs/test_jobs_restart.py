"""The platform ends at bad moments; after its start every job goes on or has ended, and nothing is made twice."""

import asyncio
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from perijove_platform.models.schemas import ModelListParams
from perijove_platform.models.service import ModelsService
from perijove_platform.rbac import Caller

Start = Callable[[], Any]
OWNER = Caller(
    user_id="user", user_name="", organization_id="org", project_id="proj-local", scopes=frozenset(), key_id=""
)


class Killed(BaseException):
    """Stands for kill -9: ends whoever takes the results over, past everything that handles errors."""


async def create(world: Any) -> Any:
    return await world.client().fine_tuning.jobs.create(model="smollm2", training_file="file-train", suffix="s")


def in_state(state: str) -> Any:
    return lambda job: job.state == state


def at_step(step: int) -> Any:
    return lambda job: job.progress is not None and job.progress.step == step


async def test_running_queued_and_paused_jobs_outlive_the_platform(start: Start) -> None:
    async with start() as world:
        world.script["wait_at"] = 2
        paused = await create(world)
        await world.until(paused.id, at_step(2))
        await world.client().fine_tuning.jobs.pause(paused.id)
        running, queued = await create(world), await create(world)
        await world.until(running.id, at_step(2))
        process = psutil.Process(int((world.folder(running.id) / "pid").read_text()))
    assert not process.is_running()
    async with start() as world:
        world.script.pop("wait_at")
        for folder in world.settings.jobs_dir.glob("ftjob-*"):
            (folder / "go").touch()
        await world.until(running.id, in_state("succeeded"))
        await world.until(queued.id, in_state("succeeded"))
        assert (await world.client().fine_tuning.jobs.retrieve(paused.id)).state == "paused"
        events = [event.message async for event in world.client().fine_tuning.jobs.list_events(running.id)]
        assert any("platform was restarted" in message for message in events)
        await world.client().fine_tuning.jobs.resume(paused.id)
        await world.until(paused.id, in_state("succeeded"))


async def test_a_cancel_that_was_written_down_is_carried_out(start: Start) -> None:
    async with start() as world:
        world.script["wait_at"] = 1
        job = await create(world)
        await world.until(job.id, in_state("running"))
        await world.service._jobs._wish(OWNER, job.id, "cancel")
    async with start() as world:
        # On PostgreSQL it leads only once the connection of the one before has been noticed to be gone.
        await world.until(job.id, lambda job: job.status == "cancelled")


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_kill_while_the_result_is_registered(
    start: Start, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    register = ModelsService.register_adapter
    died = asyncio.Event()

    async def killed(*arguments: Any, **named: Any) -> Any:
        if moment == "after":
            await register(*arguments, **named)
        died.set()
        raise Killed

    async with start() as world:
        monkeypatch.setattr(ModelsService, "register_adapter", killed)
        job = await create(world)
        async with asyncio.timeout(60):
            await died.wait()
        assert (await world.client().fine_tuning.jobs.retrieve(job.id)).state_reason == "registering the model"
    monkeypatch.setattr(ModelsService, "register_adapter", register)
    async with start() as world:
        done = await world.until(job.id, in_state("succeeded"))
        models = await world.models.list_models(OWNER, ModelListParams())
        tuned = [model.id for model in models.data if model.base_model is not None]
        assert tuned == [done.fine_tuned_model]
        assert list(world.files.results) == done.result_files
