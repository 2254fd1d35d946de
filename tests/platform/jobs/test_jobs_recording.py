"""What clusters tell of jobs is recorded although it holds anything, the database was away, or another replica led."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from perijove_platform.database import Database
from perijove_platform.jobs import followers
from perijove_platform.jobs.journal import JobJournal
from perijove_platform.jobs.recorder import database_is_away
from perijove_platform.jobs.run_store import JobRunReportRow, JobRunRow, JobRunStore
from perijove_platform.runtimes.base import JobState, JobUpdate
from perijove_platform.settings import Settings
from sqlalchemy.exc import OperationalError

from .replicas import LIMIT_SECONDS, Replica, replica

several = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def others(settings: Settings, tmp_path: Path) -> Settings:
    """Of a second replica."""
    return settings.model_copy(update={"data_dir": tmp_path / "other"})


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


async def kept(database: Database) -> int:
    """Reports that have not been recorded."""
    async with database.read() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(JobRunReportRow)) or 0


async def until_said(replica: Replica, job_id: str, text: str) -> list[str]:
    async with asyncio.timeout(LIMIT_SECONDS):
        while text not in (said := await replica.said(job_id)):
            await asyncio.sleep(0.01)
    return said


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


class Outage:
    """A fake fault: while it lasts, transactions of the recorder's fail as those of a database that is away do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures = 0
        self.lasts = False
        monkeypatch.setattr(followers, "_RETRY_SECONDS", 0.01)
        for name in ("set_state", "add_message", "add_metrics"):
            self._break(monkeypatch, name)

    def _break(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        works = getattr(JobJournal, name)

        async def fails(*arguments: Any) -> None:
            if self.lasts:
                self.failures += 1
                raise OperationalError("INSERT", {}, ConnectionRefusedError("a fake outage"))
            await works(*arguments)

        monkeypatch.setattr(JobJournal, name, fails)

    async def is_noticed(self, times: int) -> None:
        """More often than anything is tried that the database refuses."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while self.failures < times:
                await asyncio.sleep(0.01)
        self.failures = 0


METRICS = {"type": "metrics", "step": 1, "total_steps": 2, "epoch": 0.5, "train_loss": 1.0}
STEP = "Step 1/2"


@pytest.mark.parametrize("what", ["state", "message", "metrics"])
async def test_what_was_told_while_the_database_was_away_is_recorded_afterwards(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    outage = Outage(monkeypatch)
    async with replica(settings) as one:
        job_id = await one.create()
        one.tell(job_id, JobState.RUNNING)
        await one.reach(job_id, JobState.RUNNING)
        outage.lasts = True
        if what == "state":
            one.tell(job_id, JobState.QUEUED, "older")
            one.tell(job_id, JobState.RUNNING, "newest")
        else:
            for update in await arrive(database, job_id, message("hello") if what == "message" else METRICS):
                one.cluster.jobs.told.put_nowait(update)
        await outage.is_noticed(6)
        outage.lasts = False
        if what == "state":
            await one.reach(job_id, JobState.RUNNING, "newest")
        else:
            await until_said(one, job_id, "hello" if what == "message" else STEP)
            assert await kept(database) == 0


async def test_what_cannot_be_recorded_holds_nothing_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "_RETRY_SECONDS", 0.01)
    async with replica(settings) as one:
        first, second = await one.create(), await one.create()
        one.cluster.jobs.told.put_nowait(JobUpdate(job_id=first, report={"type": "message"}))
        for job_id in (first, second):
            one.tell(job_id, JobState.RUNNING)
            await one.reach(job_id, JobState.RUNNING)


async def test_a_job_ends_after_all_that_it_has_reported(settings: Settings, database: Database) -> None:
    """Nobody has told of the reports: such as a replica that led when they came, and then went."""
    async with replica(settings) as one:
        done, failed = await one.create(), await one.create()
        await arrive(database, done, message("first"), METRICS, message("last"))
        one.tell(done, JobState.SUCCEEDED)
        await one.reach(done, JobState.SUCCEEDED)
        said = ["first", STEP, "last", "The job has successfully completed"]
        assert (await one.said(done))[1:] == said
        await arrive(database, failed, {"type": "error", "code": "c", "message": "its own words", "param": None})
        one.tell(failed, JobState.FAILED, "exit code 1", code="crashed")
        ended = await one.reach(failed, JobState.FAILED, "exit code 1")
        assert ended.error is not None and (ended.error.code, ended.error.message) == ("c", "its own words")
        assert await kept(database) == 0


async def test_of_a_failure_the_cluster_may_know_more_than_the_program(settings: Settings, database: Database) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        error = {"type": "error", "code": "failed", "message": "its own words", "param": None}
        for update in await arrive(database, job_id, error):
            one.cluster.jobs.told.put_nowait(update)
        better = {**error, "code": "out_of_memory", "message": "out of memory"}
        one.cluster.jobs.told.put_nowait(JobUpdate(job_id=job_id, report=better))
        one.tell(job_id, JobState.FAILED, "out of memory", code="out_of_memory")
        failed = await one.reach(job_id, JobState.FAILED, "out of memory")
        assert failed.error is not None and failed.error.code == "out_of_memory"


@several
async def test_a_replica_that_comes_to_lead_records_what_the_former_one_has_not(
    settings: Settings, others: Settings, database: Database
) -> None:
    async with AsyncExitStack() as first, replica(others) as two:
        job_id = await two.create()
        await two.asked(("submit", job_id))
        one = await first.enter_async_context(replica(settings))
        two.tell(job_id, JobState.RUNNING)
        await two.reach(job_id, JobState.RUNNING)
        for update in await arrive(database, job_id, message("heard"), message("not yet")):
            one.cluster.jobs.told.put_nowait(update)  # it does not lead, and does not record it
        one.tell(job_id, JobState.RUNNING, "told to who does not lead")
        async with asyncio.timeout(LIMIT_SECONDS):
            while not one.cluster.jobs.told.empty():
                await asyncio.sleep(0.01)
        await two.lifecycle.stop()
        assert (await until_said(one, job_id, "not yet"))[-2:] == ["heard", "not yet"]
        assert await kept(database) == 0


@asynccontextmanager
async def table(database: Database) -> AsyncIterator[sa.Table]:
    """A scratch table."""
    scratch = sa.Table(
        "scratch", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text)
    )
    async with database.engine.begin() as connection:
        await connection.run_sync(scratch.metadata.create_all)
    yield scratch


@pytest.mark.parametrize(
    "values",
    [
        {"id": 1, "text": "x"},
        {"id": 2, "text": "\ud800"},
        {"id": "x", "text": "x"},
        {"id": 2, "text": []},
        {"id": 2**70},
    ],
    ids=["twice", "surrogate", "no number", "list", "too large"],
)
async def test_a_database_that_refuses_a_value_is_not_away(
    settings: Settings, database: Database, values: dict[str, Any]
) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with table(database) as scratch:
        async with database.write() as session:
            await session.execute(sa.insert(scratch).values(id=1, text="x"))
        if values.get("id") == "x" and database.engine.dialect.name == "sqlite":
            values = {"id": 1, "text": "x"}  # it takes any value in any column but a key
        with pytest.raises(Exception) as refused:  # noqa: PT011
            async with database.write() as session:
                await session.execute(sa.insert(scratch), [values])
        assert not database_is_away(refused.value), repr(refused.value)


@several
async def test_a_database_that_refuses_a_nul_is_not_away_and_one_that_does_not_answer_is(
    settings: Settings, database: Database
) -> None:
    async with table(database) as scratch:
        with pytest.raises(Exception) as refused:  # noqa: PT011
            async with database.write() as session:
                await session.execute(sa.insert(scratch).values(id=1, text="\0"))
        assert not database_is_away(refused.value)
    absent = Database(settings.sql_url.replace("/t_", "/absent_"))
    with pytest.raises(Exception) as away:  # noqa: PT011
        async with absent.read() as session:
            await session.execute(sa.text("SELECT 1"))
    assert database_is_away(away.value), repr(away.value)
    await absent.close()
