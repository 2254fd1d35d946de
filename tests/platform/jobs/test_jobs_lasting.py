"""Jobs of a cluster that goes on without the platform: what is recorded, after restarts and by several replicas."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from perijove_platform.batch_jobs.kind import BatchCommands
from perijove_platform.batch_jobs.store import BatchJobRow
from perijove_platform.database import Database
from perijove_platform.errors import Unavailable
from perijove_platform.jobs.kinds import Outcome
from perijove_platform.runtimes.base import Cluster, JobState
from perijove_platform.settings import Settings

from .replicas import CALLER, Replica, replica

EVICTED = "evicted: the node was drained"


async def test_what_happens_to_a_job_is_told_once(settings: Settings) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        await one.asked(("submit", job_id))
        waits = f"{EVICTED}; begins anew"
        steps: list[tuple[JobState, str | None, dict[str, Any]]] = [
            (JobState.QUEUED, "waiting for 1 CPU: none is free", {"queue_position": 2}),
            (JobState.QUEUED, "waiting for 1 CPU: none is free", {"queue_position": 1}),
            (JobState.ADMITTED, "starting", {}),
            (JobState.ADMITTED, "pulling the image", {}),
            (JobState.RUNNING, None, {}),
            (JobState.RUNNING, f"being stopped: {EVICTED}", {}),
            (JobState.ADMITTED, "starting", {}),
            (JobState.QUEUED, waits, {"interruption": EVICTED}),
            (JobState.QUEUED, f"{waits}; waiting", {"interruption": EVICTED}),
            (JobState.ADMITTED, waits, {"interruption": EVICTED}),
            (JobState.RUNNING, None, {}),
            (JobState.SUCCEEDED, None, {}),
        ]
        for state, reason, more in steps:
            one.tell(job_id, state, reason, **more)
        done = await one.until(job_id, lambda job: job.state.final)
        assert done.state is JobState.SUCCEEDED
        assert await one.said(job_id) == [
            f"Created batch job: {job_id}",
            "The job is admitted",
            "Batch job started",
            f"The job was interrupted: {EVICTED}",
            "The job is admitted",
            "The job is running again",
            "The job has successfully completed",
        ]


async def test_a_failure_keeps_the_clusters_code(settings: Settings) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        one.tell(job_id, JobState.FAILED, "stopped: maximum run time of 1 h", code="time_limit")
        failed = await one.until(job_id, lambda job: job.state.final)
        assert failed.error is not None and failed.error.code == "time_limit"


async def test_results_that_have_to_wait_hold_up_no_other_job(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake fault: the object store is away for the results of one job."""
    collect, back = BatchCommands.collect, asyncio.Event()
    waiting: list[str] = []

    async def collect_later(self: BatchCommands, cluster: Cluster, row: BatchJobRow) -> Outcome:
        if row.id in waiting and not back.is_set():
            raise Unavailable("The object store does not answer.", code="object_store_unavailable")
        return await collect(self, cluster, row)

    monkeypatch.setattr(BatchCommands, "collect", collect_later)
    async with replica(settings) as one:
        slow, fast = await one.create(), await one.create()
        waiting.append(slow)
        for job_id in (slow, fast):
            one.tell(job_id, JobState.RUNNING)
        for job_id in (slow, slow, fast):
            one.tell(job_id, JobState.SUCCEEDED)
        await one.reach(fast, JobState.SUCCEEDED)
        why = "the results cannot be taken over yet, trying again: The object store does not answer."
        await one.reach(slow, JobState.RUNNING, why)
        back.set()
        await one.reach(slow, JobState.SUCCEEDED)
        assert (await one.said(slow))[-1] == "The job has successfully completed"


async def test_a_job_that_ran_while_the_platform_was_away_is_not_queued_again(settings: Settings) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        one.tell(job_id, JobState.RUNNING, "on its way")
        before = await one.reach(job_id, JobState.RUNNING, "on its way")
    async with replica(settings) as two:
        await two.asked(("submit", job_id))
        assert await two.service.get(CALLER, job_id) == before
        two.tell(job_id, JobState.RUNNING, "further on")
        await two.reach(job_id, JobState.RUNNING, "further on")
        said = await two.said(job_id)
        assert said == [f"Created batch job: {job_id}", "Batch job started"]


@pytest.fixture
def others(settings: Settings, tmp_path: Path) -> Settings:
    """Of a second replica."""
    return settings.model_copy(update={"data_dir": tmp_path / "other"})


async def write(settings: Settings, statement: str, **values: str) -> None:
    """Into the database, as another replica does."""
    database = Database(settings.sql_url)
    async with database.write() as session:
        await session.execute(sa.text(statement), values)
    await database.close()


several = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@several
async def test_of_two_replicas_one_records(settings: Settings, others: Settings) -> None:
    async with replica(settings) as one:
        first = await one.create()
        await one.asked(("submit", first))  # it leads
        async with replica(others) as two:
            second = await two.create()
            await one.asked(("submit", second))
            assert two.cluster.jobs.asked == []
            for job_id in (first, second):
                for each in (two, one):
                    each.tell(job_id, JobState.ADMITTED, "starting")
                    each.tell(job_id, JobState.RUNNING)
                await two.reach(job_id, JobState.RUNNING)
            paused = asyncio.create_task(two.service.pause(CALLER, first))
            await one.asked(("suspend", first))
            one.tell(first, JobState.PAUSED)
            assert (await paused).state is JobState.PAUSED
            # A replica that does not lead wants the same of the cluster: it may see the job, too.
            await two.asked(("suspend", first))
            resumed = await two.service.resume(CALLER, first)
            assert resumed.state is JobState.QUEUED
            await one.asked(("submit", first), times=2)
            cancelled = asyncio.create_task(two.service.cancel(CALLER, second))
            await one.asked(("cancel", second))
            for each in (two, one):
                each.tell(second, JobState.CANCELLED, "cancelled")
            assert (await cancelled).state is JobState.CANCELLED
            assert await one.said(second) == [
                f"Created batch job: {second}",
                "The job is admitted",
                "Batch job started",
                "The job was cancelled",
            ]


async def pause(asked: Replica, leader: Replica, job_id: str) -> None:
    """By one replica, of a job that the leading one runs."""
    pausing = asyncio.create_task(asked.service.pause(CALLER, job_id))
    await leader.asked(("suspend", job_id))
    leader.tell(job_id, JobState.PAUSED)
    assert (await pausing).state is JobState.PAUSED


@several
async def test_what_dies_with_the_platform_is_run_by_the_leading_replica_alone(
    settings: Settings, others: Settings
) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        await one.asked(("submit", job_id))
        async with replica(others) as two:
            for each in (one, two):
                each.cluster.jobs.lasting = False
            await pause(two, one, job_id)
            assert (await two.service.resume(CALLER, job_id)).state is JobState.QUEUED
            await one.asked(("submit", job_id), times=2)
            assert two.cluster.jobs.asked == []


@several
async def test_a_resumed_job_is_made_ready_by_the_leading_replica_alone(
    settings: Settings, others: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake kind: its jobs have to be made ready again once they are resumed."""
    prepared: list[BatchCommands] = []
    """By replica: each has its own."""

    async def make_ready(self: BatchCommands, row: BatchJobRow) -> BatchJobRow:
        prepared.append(self)
        return row

    async with replica(settings) as one:
        job_id = await one.create()
        await one.asked(("submit", job_id))
        async with replica(others) as two:
            await pause(two, one, job_id)
            monkeypatch.setattr(BatchCommands, "is_ready", lambda self, row: self in prepared)
            monkeypatch.setattr(BatchCommands, "make_ready", make_ready)
            await two.service.resume(CALLER, job_id)
            await one.asked(("submit", job_id), times=2)
            assert len(prepared) == 1
            assert two.cluster.jobs.asked == [("suspend", job_id)]


@several
@pytest.mark.parametrize("here", [True, False], ids=["here", "elsewhere"])
async def test_a_job_is_resumed_whose_pause_was_not_heard_of(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, here: bool
) -> None:
    """A fake kind: its jobs have to be made ready. A fake fault: wishes are not told while one is being made so."""
    checked, prepared = asyncio.Event(), 0

    async def make_ready(self: BatchCommands, row: BatchJobRow) -> BatchJobRow | None:
        nonlocal prepared
        prepared += 1
        if prepared > 1:
            return row
        await checked.wait()
        return None  # it is paused

    async def nothing(*_: object) -> None:
        return

    monkeypatch.setattr(BatchCommands, "is_ready", lambda self, row: prepared > 1)
    monkeypatch.setattr(BatchCommands, "make_ready", make_ready)
    async with replica(settings) as one:
        job_id = await one.create()
        with monkeypatch.context() as silent:
            silent.setattr("perijove_platform.jobs.lifecycle.notify", nothing)
            if here:
                await one.service.pause(CALLER, job_id)
            else:
                await write(settings, "UPDATE jobs SET desired = 'pause', state = 'paused'")
                checked.set()
        await one.service.resume(CALLER, job_id)
        await one.asked(("submit", job_id))


@several
async def test_when_the_leading_replica_goes_the_other_takes_over(settings: Settings, others: Settings) -> None:
    async with AsyncExitStack() as first, replica(others) as two:
        # The one that came first leads.
        job_id = await two.create()
        await two.asked(("submit", job_id))
        one = await first.enter_async_context(replica(settings))
        one.tell(job_id, JobState.RUNNING, "told to who does not lead")
        two.tell(job_id, JobState.RUNNING, "first")
        await one.reach(job_id, JobState.RUNNING, "first")
        await two.lifecycle.stop()
        await one.asked(("submit", job_id))
        one.tell(job_id, JobState.RUNNING, "second")
        await one.reach(job_id, JobState.RUNNING, "second")
        assert (await one.said(job_id)).count("Batch job started") == 1


async def test_a_paused_job_that_is_cancelled_is_so_on_its_cluster(settings: Settings) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        await one.asked(("submit", job_id))
        one.tell(job_id, JobState.RUNNING)
        await one.reach(job_id, JobState.RUNNING)
        pausing = asyncio.create_task(one.service.pause(CALLER, job_id))
        await one.asked(("suspend", job_id))
        one.tell(job_id, JobState.PAUSED)
        await pausing

        cancelled = await one.service.cancel(CALLER, job_id)

        assert cancelled.state is JobState.CANCELLED
        await one.asked(("cancel", job_id))


@pytest.mark.parametrize(("wish", "asked"), [("cancel", "cancel"), ("pause", "suspend")])
async def test_a_wish_that_a_crash_cut_off_is_carried_out_before_it_is_told(
    settings: Settings, wish: str, asked: str
) -> None:
    async with replica(settings) as one:
        job_id = await one.create()
        await one.asked(("submit", job_id))
        one.tell(job_id, JobState.RUNNING)
        await one.reach(job_id, JobState.RUNNING)
    await write(settings, "UPDATE jobs SET desired = :wish", wish=wish)

    async with replica(settings) as again:
        await again.asked(("submit", job_id), (asked, job_id))
        assert (await again.service.get(CALLER, job_id)).state is JobState.RUNNING
        ended = JobState.CANCELLED if wish == "cancel" else JobState.PAUSED
        again.tell(job_id, ended)
        await again.reach(job_id, ended)
