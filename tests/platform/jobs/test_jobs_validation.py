"""Files that take long to check: the job is there at once, says what it waits for, and can be steered meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from perijove_platform.fine_tuning import service
from perijove_platform.fine_tuning.sources import LineError
from perijove_platform.rbac import Caller

OWNER = Caller(
    user_id="user", user_name="", organization_id="org", project_id="proj-local", scopes=frozenset(), key_id=""
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_CHECK_SECONDS", 0.05)


async def create(world: Any, **more: Any) -> Any:
    return await world.client().fine_tuning.jobs.create(**({"model": "smollm2", "training_file": "file-train"} | more))


def in_status(status: str) -> Any:
    return lambda job: job.status == status


async def test_a_job_waits_for_the_check_of_its_files(world: Any) -> None:
    world.files.checking.clear()
    job = await create(world, validation_file="file-valid")
    assert (job.status, job.state, job.state_reason) == ("validating_files", "queued", "checking the files")
    assert not world.folder(job.id).exists(), "the cluster has it already"
    world.files.checking.set()
    done = await world.until(job.id, in_status("succeeded"))
    assert done.state_reason is None
    events = [event.message async for event in world.client().fine_tuning.jobs.list_events(job.id)]
    assert events.index("Files validated, the job is queued") > events.index("Fine-tuning job started")


async def test_files_that_cannot_be_used_fail_the_job(world: Any) -> None:
    world.files.add("file-bad", problems=(LineError(3, "no 'messages'"),))
    world.files.checking.clear()
    job = await create(world, validation_file="file-bad")
    assert job.status == "validating_files"
    world.files.checking.set()
    failed = await world.until(job.id, in_status("failed"))
    assert (failed.error.code, failed.error.param) == ("invalid_training_file", "validation_file")
    assert "line 3: no 'messages'" in failed.error.message


async def test_a_file_that_goes_meanwhile_fails_the_job(world: Any) -> None:
    world.files.checking.clear()
    job = await create(world)
    await world.client().fine_tuning.jobs.pause(job.id)
    del world.files.files["file-train"]
    await world.client().fine_tuning.jobs.resume(job.id)
    failed = await world.until(job.id, in_status("failed"))
    assert (failed.error.code, failed.error.param) == ("file_not_found", "training_file")


async def test_it_can_be_cancelled(world: Any) -> None:
    world.files.checking.clear()
    job = await create(world)
    cancelled = await world.client().fine_tuning.jobs.cancel(job.id)
    assert cancelled.status == "cancelled" and cancelled.finished_at is not None
    world.files.checking.set()
    other = await create(world)
    await world.until(other.id, in_status("succeeded"))
    assert (await world.client().fine_tuning.jobs.retrieve(job.id)).status == "cancelled"
    assert not world.folder(job.id).exists()


async def test_it_can_be_paused_and_resumed(world: Any) -> None:
    world.files.checking.clear()
    job = await create(world)
    assert (await world.client().fine_tuning.jobs.pause(job.id)).status == "paused"
    resumed = await world.client().fine_tuning.jobs.resume(job.id)
    assert resumed.status == "validating_files"
    world.files.checking.set()
    await world.until(job.id, in_status("succeeded"))


async def test_a_restart_checks_again(start: Callable[[], Any]) -> None:
    async with start() as world:
        world.files.checking.clear()
        job = await create(world)
    async with start() as world:
        assert (await world.client().fine_tuning.jobs.retrieve(job.id)).status == "validating_files"
        world.files.checking.set()
        await world.until(job.id, in_status("succeeded"))


async def test_a_job_that_is_being_paused_says_so(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake fault: the wish is not told, or it might have been carried out before anybody looks."""

    async def nothing(*_: object) -> None:
        return

    world.script["wait_at"] = 1
    job = await create(world)
    await world.until(job.id, in_status("running"))
    with monkeypatch.context() as silent:
        silent.setattr("perijove_platform.jobs.lifecycle.notify", nothing)
        await world.service._jobs._wish(OWNER, job.id, "pause")
    assert (await world.client().fine_tuning.jobs.retrieve(job.id)).status == "pausing"
    assert (await world.client().fine_tuning.jobs.pause(job.id)).status == "paused"
