"""What clusters tell of jobs is recorded although it holds anything, the database was away, or another replica led."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from perijove_platform.database import Database
from perijove_platform.jobs.run_store import JobRunReportRow, JobRunRow, JobRunStore
from perijove_platform.runtimes.base import JobState, JobUpdate
from perijove_platform.settings import Settings

from .test_jobs_lasting import replica


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The same database once more, for what the tests look at and do behind the platform's back."""
    database = Database(settings.sql_url)
    yield database
    await database.close()


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "level": "info", "message": text}


async def arrive(database: Database, job_id: str, *reports: dict[str, Any]) -> list[JobUpdate]:
    """Reports of the job's program, as the platform keeps them until they have been recorded; nobody is told."""
    async with database.write() as session:
        run = await session.get(JobRunRow, job_id) or JobRunRow(
            job_id=job_id,
            project_id="proj",
            cluster="moon",
            inputs={},
            checksums={},
            token_hashes=[],
            attempt=1,
            received=0,
            results={},
        )
        session.add(run)
        await session.flush()
        await JobRunStore(session).append(run, reports)
    async with database.read() as session:
        rows = (await session.scalars(sa.select(JobRunReportRow).order_by(JobRunReportRow.id))).all()
    return [JobUpdate(job_id=job_id, report=row.report, number=row.id) for row in rows]


async def test_words_may_hold_control_characters(settings: Settings, database: Database) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        error = {"type": "error", "code": "c\0", "message": "its\0 own words", "param": None}
        for update in await arrive(database, job_id, message("a\0b\x1b[0m\tc\ud800"), error):
            one.cluster.jobs.told.put_nowait(update)
        one.tell(job_id, JobState.QUEUED, "waits", interruption="evicted\0: why")
        one.tell(job_id, JobState.FAILED, "exit code 1: x\0y")
        failed = await one.reach(job_id, JobState.FAILED, "exit code 1: xy")
        assert failed.error is not None and (failed.error.code, failed.error.message) == ("c", "its own words")
        assert (await one.said(job_id))[1:] == [
            "ab[0m\tc",
            "The job was interrupted: evicted: why",
            "The job failed: exit code 1: xy",
        ]
