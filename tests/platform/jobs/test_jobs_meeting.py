"""Requests that meet over one job."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from perijove_platform.database import Database
from perijove_platform.jobs.journal import JobJournal
from perijove_platform.jobs.store import JobRow
from perijove_platform.runtimes.base import JobState, JobUpdate
from perijove_platform.settings import Settings
from sqlalchemy.ext.asyncio import AsyncSession

from .replicas import CALLER, LIMIT_SECONDS, replica


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The same database once more, for what the test looks at behind the platform's back."""
    database = Database(settings.sql_url)
    yield database
    await database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("first", ["resume", "cancel"])
async def test_a_cancel_and_a_resume_at_the_same_moment(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Whichever comes second sees what the first has done."""
    set_state = JobJournal.set_state
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(self: JobJournal, session: AsyncSession, row: Any, update: JobUpdate) -> None:
        if not inside.is_set():
            inside.set()
            await go_on.wait()
        await set_state(self, session, row, update)

    async with replica(settings) as one:
        job_id = await one.create()
        await one.asked(("submit", job_id))
        one.tell(job_id, JobState.PAUSED)
        await one.reach(job_id, JobState.PAUSED)
        monkeypatch.setattr(JobJournal, "set_state", slow)
        asked = [one.service.resume, one.service.cancel]
        if first == "cancel":
            asked.reverse()
        earlier = asyncio.create_task(asked[0](CALLER, job_id))
        await inside.wait()
        later = asyncio.create_task(asked[1](CALLER, job_id))
        await waits_for_a_lock(database, later)
        go_on.set()
        if first == "resume":
            await one.asked(("cancel", job_id))
            one.tell(job_id, JobState.CANCELLED, "cancelled")
        await asyncio.gather(earlier, later, return_exceptions=True)
        assert (await one.service.get(CALLER, job_id)).state is JobState.CANCELLED
        assert (await one.said(job_id)).count("The job was cancelled") == 1
        async with database.read() as session:
            assert await session.scalar(sa.select(JobRow.desired)) == "cancel"


async def waits_for_a_lock(database: Database, task: asyncio.Task[Any]) -> None:
    """Until the task's transaction waits for another one's, or the task has ended."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with asyncio.timeout(LIMIT_SECONDS), database.read() as session:
        while not task.done() and not await session.scalar(waiting):
            await session.rollback()  # what there is to see is fixed within a transaction
            await asyncio.sleep(0.01)
