"""The managers of jobs have this in common: creating, steering and watching jobs, whatever their kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Generic

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database
from perijove_platform.errors import BadRequest, Conflict, RateLimited
from perijove_platform.events import EventBus
from perijove_platform.events.wakeups import notify
from perijove_platform.jobs.journal import JobJournal
from perijove_platform.jobs.kinds import JobKind, JobKinds
from perijove_platform.jobs.leadership import Leadership
from perijove_platform.jobs.recorder import JobRecorder
from perijove_platform.jobs.schemas import EventListParams, LogParams
from perijove_platform.jobs.store import JobEventRow, JobStore, Row, find_job, unfinished_jobs
from perijove_platform.jobs.tracker import CHANNEL, JobTracker
from perijove_platform.pagination import ListParams
from perijove_platform.rbac import Caller
from perijove_platform.runtimes.base import Cluster, Clusters, JobState, JobUpdate, Wish

_WAIT_SECONDS = 5.0


class JobLifecycle:
    """What becomes of the jobs of every kind, from their start to their end.

    Args:
        clusters: those that there are; requests default to ``local``.
        max_queued: unfinished jobs that a project may have, of all kinds together.

    Attributes:
        journal: writes jobs down within a transaction.
    """

    def __init__(self, database: Database, events: EventBus, clusters: Clusters, *, max_queued: int) -> None:
        self._database = database
        self._events = events
        self._clusters = clusters
        self._max_queued = max_queued
        self._kinds = JobKinds()
        self.journal = JobJournal(events, self._kinds)
        recorder = JobRecorder(database, self.journal, self._kinds)
        self._tracker = JobTracker(database, clusters, Leadership(database), self.journal, recorder, self._kinds)

    async def start(self) -> None:
        """Take up the jobs that a stop or a crash interrupted; every kind, and the clusters, are there before."""
        await self._tracker.start()

    async def stop(self) -> None:
        await self._tracker.stop()

    def manage(self, kind: JobKind[Row]) -> ManagedJobs[Row]:
        """The jobs of one more kind."""
        self._kinds.add(kind)
        return ManagedJobs(
            self._database, self._events, self._clusters, self.journal, self._tracker, kind, self._max_queued
        )

    async def wish_of(self, job_id: str) -> Wish | None:
        """What the owner of a job wants, whosever it is; ``None`` when it is unknown or has ended."""
        async with self._database.read() as session:
            row = await find_job(session, job_id)
        return None if row is None or JobState(row.state).final else row.desired

    async def unfinished_on(self, organization_id: str, cluster: str) -> int:
        """See `clusters.sources.PlacedJobs`."""
        async with self._database.read() as session:
            return len(await unfinished_jobs(session, organization_id=organization_id, cluster=cluster))


class ManagedJobs(Generic[Row]):
    """The jobs of one kind, for their manager; made by `JobLifecycle.manage`."""

    def __init__(
        self,
        database: Database,
        events: EventBus,
        clusters: Clusters,
        journal: JobJournal,
        tracker: JobTracker,
        kind: JobKind[Row],
        max_queued: int,
    ) -> None:
        self._database = database
        self._events = events
        self._clusters = clusters
        self._journal = journal
        self._tracker = tracker
        self._kind = kind
        self._max_queued = max_queued

    async def cluster(self, caller: Caller, name: str) -> Cluster:
        """The cluster that a request names. Raises `BadRequest` with those that there are."""
        cluster = await self._clusters.get(name, caller.organization_id)
        if cluster is None:
            known = ", ".join(await self._clusters.names(caller.organization_id))
            raise BadRequest(f"Unknown cluster '{name}'. There is: {known}.", param="cluster")
        return cluster

    async def create(self, row: Row) -> Row:
        """Queue a new job. Raises `RateLimited` when the project has too many that have not ended."""
        async with self._database.write() as session:
            if await JobStore(session, row.project_id, self._kind.table).count_unfinished() >= self._max_queued:
                message = f"{self._max_queued} jobs are waiting or running. Wait for some to end, or cancel them."
                raise RateLimited(message)
            await self._journal.create(session, row)
            await notify(session, CHANNEL)
        return row

    async def carry_out(self, row: Row) -> None:
        """Have a new job done."""
        await self._tracker.carry_out(row)

    async def page(self, caller: Caller, params: ListParams, metadata: Mapping[str, str]) -> tuple[list[Row], bool]:
        async with self._database.read() as session:
            return await JobStore(session, caller.project_id, self._kind.table).page(params, metadata)

    async def get(self, caller: Caller, job_id: str) -> Row:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            return await self._require(session, caller, job_id)

    async def events(self, caller: Caller, job_id: str, params: EventListParams) -> tuple[list[JobEventRow], bool]:
        await self.get(caller, job_id)
        async with self._database.read() as session:
            return await JobStore(session, caller.project_id, self._kind.table).events(job_id, params)

    async def cancel(self, caller: Caller, job_id: str) -> Row:
        """Raises `BadRequest` when the job has ended otherwise."""
        newest = await self._events.newest()
        row = await self._wish(caller, job_id, "cancel")
        if row.state == JobState.CANCELLED:
            return row
        if row.state == JobState.PAUSED or not self._kind.is_ready(row):
            ended = await self._end_unsubmitted(caller, job_id, JobState.CANCELLED)
            await self._tracker.carry_out(row)  # a cluster keeps that with which a paused job would go on
            return ended
        return await self._settled(caller, row, JobState.CANCELLED, newest)

    async def pause(self, caller: Caller, job_id: str) -> Row:
        """Stop, to go on later."""
        newest = await self._events.newest()
        row = await self._wish(caller, job_id, "pause")
        if row.state == JobState.PAUSED:
            return row
        if not self._kind.is_ready(row):
            return await self._end_unsubmitted(caller, job_id, JobState.PAUSED)
        return await self._settled(caller, row, JobState.PAUSED, newest)

    async def resume(self, caller: Caller, job_id: str) -> Row:
        """Raises `BadRequest` when the job is not paused."""
        async with self._database.write() as session:
            row = await self._require(session, caller, job_id, lock=True)
            if row.state != JobState.PAUSED:
                raise BadRequest(f"Job '{job_id}' is {row.state}; only a paused job can be resumed.", code="not_paused")
            row.desired = "run"
            await self._journal.set_state(session, row, JobUpdate(job_id=row.id, state=JobState.QUEUED))
            await notify(session, CHANNEL)
        await self._tracker.carry_out(row)
        return await self.get(caller, job_id)

    async def logs(self, caller: Caller, job_id: str, params: LogParams) -> AsyncIterator[bytes]:
        """The job's log; found or not is known before the first byte."""
        if params.tail is not None and params.tail_bytes is not None:
            raise BadRequest("Give 'tail' (lines) or 'tail_bytes', not both.", param="tail_bytes")
        row = await self.get(caller, job_id)
        cluster = await self._clusters.get(row.cluster, row.organization_id)
        if cluster is None:
            raise Conflict(f"The cluster '{row.cluster}', which has this job, is no longer there.", code="cluster_gone")
        return cluster.jobs.logs(job_id, follow=params.follow, tail_lines=params.tail, tail_bytes=params.tail_bytes)

    async def _end_unsubmitted(self, caller: Caller, job_id: str, state: JobState) -> Row:
        """For a job that no cluster runs: one that is paused, or is being made ready."""
        self._tracker.end_preparation(job_id)
        async with self._database.write() as session:
            row = await self._require(session, caller, job_id, lock=True)
            if not JobState(row.state).final:
                await self._journal.set_state(session, row, JobUpdate(job_id=job_id, state=state, reason=str(state)))
        return row

    async def _wish(self, caller: Caller, job_id: str, desired: Wish) -> Row:
        """Write down what the owner wants before asking the cluster, so that a crash in between forgets nothing."""
        async with self._database.write() as session:
            row = await self._require(session, caller, job_id, lock=True)
            if desired == "cancel" and row.state == JobState.CANCELLED:
                return row
            if JobState(row.state).final:
                raise BadRequest(f"Job '{job_id}' has already {_past(row.state)}.", code="job_ended")
            if desired == "pause" and row.desired == "cancel":
                raise BadRequest(f"Job '{job_id}' is being cancelled.", code="job_ended")
            row.desired = desired
            await notify(session, CHANNEL)
            return row

    async def _settled(self, caller: Caller, row: Row, state: JobState, last_event: int) -> Row:
        """The job once it has reached `state` or ended otherwise; as it is when that takes too long."""
        if await self._clusters.get(row.cluster, row.organization_id) is None:
            message = f"The cluster '{row.cluster}', which has this job, is no longer there."
            raise Conflict(message, code="cluster_gone")
        await self._tracker.carry_out(row)
        changes = self._events.subscribe(project_id=caller.project_id, last_id=last_event)
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                async for event in changes:
                    if event.object_id == row.id or event.type == "reset":
                        row = await self.get(caller, row.id)
                        if row.state == state or JobState(row.state).final:
                            return row
        except TimeoutError:
            pass
        return await self.get(caller, row.id)

    async def _require(self, session: AsyncSession, caller: Caller, job_id: str, *, lock: bool = False) -> Row:
        """With `lock`, what others have done of the job is seen, and they wait for what this transaction does."""
        jobs = JobStore(session, caller.project_id, self._kind.table)
        row = await jobs.get(job_id, lock=lock)
        if row is None:
            refusal = self._kind.not_found(job_id)
            refusal.elsewhere = await jobs.elsewhere(job_id)
            raise refusal
        return row


def _past(state: str) -> str:
    return "been cancelled" if state == JobState.CANCELLED else state
