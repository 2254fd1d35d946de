"""What is wanted of jobs and cannot be done at once is done later."""

import asyncio

import pytest
from perijove_platform.batch_jobs.kind import BatchCommands
from perijove_platform.batch_jobs.store import BatchJobRow
from perijove_platform.runtimes.base import JobSpec, JobState
from perijove_platform.settings import Settings

from .replicas import CALLER, replica


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A fake fault: what a job is made of cannot be read the first time, as while a database restarts.

    Returns the jobs to which it happened.
    """
    happened: list[str] = []
    read = BatchCommands.spec

    async def spec(self: BatchCommands, row: BatchJobRow) -> JobSpec:
        if row.id not in happened:
            happened.append(row.id)
            raise ConnectionError("the database restarts")
        return await read(self, row)

    monkeypatch.setattr(BatchCommands, "spec", spec)
    return happened


async def test_a_job_whose_submission_fails_is_submitted_later(settings: Settings, unreadable: list[str]) -> None:
    async with replica(settings) as one:
        jobs = [await one.create() for _ in range(2)]
        await one.asked(*(("submit", job_id) for job_id in jobs))
        assert unreadable == jobs


async def test_a_job_whose_submission_fails_once_it_is_ready_is_submitted_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, unreadable: list[str]
) -> None:
    """A fake kind: its jobs have to be made ready."""
    ready: list[str] = []

    async def make_ready(self: BatchCommands, row: BatchJobRow) -> BatchJobRow:
        ready.append(row.id)
        return row

    monkeypatch.setattr(BatchCommands, "is_ready", lambda self, row: row.id in ready)
    monkeypatch.setattr(BatchCommands, "make_ready", make_ready)
    async with replica(settings) as one:
        job_id = await one.create()
        await one.asked(("submit", job_id))
        assert (ready, unreadable) == ([job_id], [job_id])


async def test_a_job_that_cannot_be_taken_up_keeps_no_platform_from_starting(
    settings: Settings, unreadable: list[str]
) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        await one.asked(("submit", job_id))
    unreadable.clear()
    async with replica(settings) as again:
        await again.asked(("submit", job_id))


async def test_a_wish_that_cannot_be_passed_on_is_passed_on_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        await one.asked(("submit", job_id))
        cancel, fails = one.cluster.jobs.cancel, True

        async def fail_once(job_id: str) -> None:
            nonlocal fails
            if fails:
                fails = False
                raise ConnectionError("a fake fault")
            await cancel(job_id)

        monkeypatch.setattr(one.cluster.jobs, "cancel", fail_once)
        cancelling = asyncio.create_task(one.service.cancel(CALLER, job_id))
        await one.asked(("cancel", job_id))
        one.tell(job_id, JobState.CANCELLED)
        assert (await cancelling).state is JobState.CANCELLED
