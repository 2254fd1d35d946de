"""Follows the clusters: takes up unfinished jobs at the start, carries out wishes, records what is pushed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database
from perijove_platform.events.wakeups import listen
from perijove_platform.jobs.followers import ClusterFollower
from perijove_platform.jobs.journal import JobJournal
from perijove_platform.jobs.kinds import JobFailed, JobKinds
from perijove_platform.jobs.leadership import Leadership
from perijove_platform.jobs.recorder import JobRecorder
from perijove_platform.jobs.store import JobRow, find_job, unfinished_jobs
from perijove_platform.runtimes.base import Cluster, ClusterChange, Clusters, JobState, JobUpdate, Wish

logger = logging.getLogger(__name__)

CHANNEL = "perijove_job_wishes"
_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 10.0


class JobTracker:
    """The background half of the managers of jobs.

    Of several replicas one leads. It gives jobs to clusters and records what becomes of them. The others pass on
    wishes to their own view of a lasting cluster only, so that no two of them want different things of a job.
    """

    def __init__(
        self,
        database: Database,
        clusters: Clusters,
        leadership: Leadership,
        journal: JobJournal,
        recorder: JobRecorder,
        kinds: JobKinds,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._leadership = leadership
        self._journal = journal
        self._recorder = recorder
        self._kinds = kinds
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._followers: dict[Cluster, asyncio.Task[None]] = {}
        self._carried: dict[str, Wish] = {}
        self._undone: set[str] = set()
        self._failed = asyncio.Event()
        self._taken_up = asyncio.Event()
        self._wished = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        changes = self._clusters.watch()
        for cluster in self._clusters.all():
            self._follow(cluster)
        self._spawn(self._look(changes))
        self._spawn(self._try_again())
        await self._leadership.start()
        if self._leadership.alone:
            await self._take_up_all()
            return
        self._spawn(self._lead())
        self._spawn(listen(self._database, self._wished.set, CHANNEL))
        self._spawn(self._hear_wishes())
        await self._taken_up.wait()

    async def stop(self) -> None:
        tasks = [*self._followers.values(), *self._preparing.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._leadership.stop()

    async def carry_out(self, row: JobRow) -> None:
        """Have done what the owner of the job wants; here, or by the replica that leads, which hears of it.

        What fails is tried again later: the wish has been written down, and is not refused any more.
        """
        try:
            await self._carry_out(row)
        except Exception:
            logger.exception("What is wanted of job %s cannot be done now; trying again", row.id)
            self._later(row.id)

    async def _carry_out(self, row: JobRow) -> None:
        if not self._leadership.alone:
            earlier = self._carried.get(row.id)
            if earlier == row.desired:
                return
            leads = await self._leadership.decided()
            if not leads and row.desired == "run" and earlier is None:
                return
            self._carried[row.id] = row.desired
        else:
            leads = True
        if row.desired != "run":
            self.end_preparation(row.id)
        cluster = await self._clusters.get(row.cluster, row.organization_id)
        lasting = cluster is not None and cluster.jobs.lasting
        if row.desired == "run":
            if leads or (lasting and self._kinds.of(row.kind).is_ready(row)):
                await self._submit(row)
        elif cluster is not None and (leads or lasting):
            await (cluster.jobs.cancel(row.id) if row.desired == "cancel" else cluster.jobs.suspend(row.id))

    def end_preparation(self, job_id: str) -> None:
        """Stop making the job ready, if that is what it is waiting for."""
        if (task := self._preparing.pop(job_id, None)) is not None:
            task.cancel()

    # Giving jobs to clusters.

    async def _submit(self, row: JobRow) -> None:
        """Hand a job to its cluster, once it is ready; one that cannot be handed over has failed."""
        kind = self._kinds.of(row.kind)
        if not kind.is_ready(row):
            self.end_preparation(row.id)
            self._preparing[row.id] = task = asyncio.create_task(self._prepare(row))
            task.add_done_callback(lambda done: self._forget_preparation(row.id, done))
            return
        cluster = await self._clusters.get(row.cluster, row.organization_id)
        try:
            if cluster is None:
                raise JobFailed("cluster_gone", f"The cluster '{row.cluster}' is no longer there.")
            spec = await kind.spec(row)
        except JobFailed as failure:
            await self._recorder.fail(row.id, failure)
            return
        self._follow(cluster)  # it may have come so lately that nobody has told yet
        await cluster.jobs.submit(spec)
        # A wish that was written meanwhile found a cluster that did not know the job yet.
        async with self._database.read() as session:
            current = await find_job(session, row.id)
        if current is not None and current.desired == "cancel":
            await cluster.jobs.cancel(row.id)
        elif current is not None and current.desired == "pause":
            await cluster.jobs.suspend(row.id)

    def _forget_preparation(self, job_id: str, task: asyncio.Task[None]) -> None:
        if self._preparing.get(job_id) is task:
            del self._preparing[job_id]
        if task.cancelled():
            if job_id not in self._preparing:
                self._carried.pop(job_id, None)  # it may be resumed before anyone hears that it was paused
        elif (error := task.exception()) is not None:
            logger.error("Job %s cannot be handed over now; trying again", job_id, exc_info=error)
            self._later(job_id)

    async def _prepare(self, row: JobRow) -> None:
        try:
            ready = await self._kinds.of(row.kind).make_ready(row)
        except JobFailed as failure:
            await self._recorder.fail(row.id, failure)
            return
        except Exception:
            logger.exception("Job %s cannot be made ready", row.id)
            message = "The files could not be checked; the platform's log says why. Create the job again."
            await self._recorder.fail(row.id, JobFailed("input", message))
            return
        if ready is not None:
            await self._submit(ready)
        else:
            self._later(row.id)  # it was paused, and may have been resumed meanwhile

    # What fails.

    def _later(self, job_id: str) -> None:
        self._carried.pop(job_id, None)
        self._undone.add(job_id)
        self._failed.set()

    async def _try_again(self) -> None:
        """One job after the other; more and more slowly for as long as one of them fails."""
        wait = _RETRY_SECONDS
        while True:
            await self._failed.wait()
            await asyncio.sleep(wait)
            self._failed.clear()
            undone, self._undone = self._undone, set()
            for job_id in sorted(undone):
                try:
                    async with self._database.read() as session:
                        row = await find_job(session, job_id)
                    # A cluster has to hear of a job's cancelling even if that has been recorded.
                    if row is not None and (row.desired == "cancel" or not JobState(row.state).final):
                        await self._carry_out(row)
                except Exception as error:
                    logger.warning("What is wanted of job %s still cannot be done: %s", job_id, error)
                    self._later(job_id)
            wait = min(2 * wait, _LONGEST_RETRY_SECONDS) if self._undone else _RETRY_SECONDS

    # Leading.

    async def _lead(self) -> None:
        """Take the jobs up whenever the lead comes from another replica; leave them to the one that it goes to."""
        leads: bool | None = None
        while True:
            leads = await self._leadership.changed(leads)
            self._taken_up.clear()
            try:
                if leads:
                    self._carried.clear()
                    await self._take_up_all()
                else:
                    await self._leave_all()
                self._taken_up.set()
                self._wished.set()  # what was heard of meanwhile has waited
            except Exception:
                logger.exception("The jobs cannot be taken up; trying again in %s s", _RETRY_SECONDS)
                leads = None
                await asyncio.sleep(_RETRY_SECONDS)

    async def _take_up_all(self) -> None:
        async with self._database.read() as session:
            rows = await unfinished_jobs(session)
        for row in rows:
            await self._take_up(row)

    async def _take_up(self, row: JobRow) -> None:
        await self._recorder.catch_up(row.id)
        state = {"cancel": JobState.CANCELLED, "pause": JobState.PAUSED}.get(row.desired)
        if row.state == state == JobState.PAUSED:
            return
        cluster = await self._clusters.get(row.cluster, row.organization_id)
        lasting = cluster is not None and cluster.jobs.lasting
        if cluster is not None and lasting and state is not None and await self._end_on(cluster, row):
            return
        if state is not None or not lasting:
            async with self._database.write() as session:
                current = await find_job(session, row.id, lock=True)
                if current is None or JobState(current.state).final:
                    return
                await self._begin_anew(session, current, state)
                row = current
        if state is None:
            await self.carry_out(row)

    async def _end_on(self, cluster: Cluster, row: JobRow) -> bool:
        """Have a lasting cluster pause or cancel what it may have of a job, down to what a crash has left half made;
        it tells when it has. False for a job that it cannot have."""
        kind = self._kinds.of(row.kind)
        try:
            if not kind.is_ready(row):
                return False
            spec = await kind.spec(row)
        except JobFailed:
            return False
        await cluster.jobs.submit(spec)
        await (cluster.jobs.cancel(row.id) if row.desired == "cancel" else cluster.jobs.suspend(row.id))
        return True

    async def _begin_anew(self, session: AsyncSession, row: JobRow, state: JobState | None) -> None:
        """Its program ended with the platform, or is to end: `state` is where it stands now, else it queues again."""
        reason = None if state is not None else "taken up again after a restart of the platform"
        if row.state == JobState.RUNNING and state is None:
            message = f"The platform was restarted; {self._kinds.of(row.kind).interrupted}"
            await self._journal.add_message(session, row, "warn", message)
        update = JobUpdate(job_id=row.id, state=state or JobState.QUEUED, reason=reason)
        await self._journal.set_state(session, row, update)

    async def _leave_all(self) -> None:
        """What runs as children of this process is the leading replica's to run."""
        for task in list(self._preparing.values()):
            task.cancel()
        async with self._database.read() as session:
            rows = await unfinished_jobs(session)
        for row in rows:
            cluster = await self._clusters.get(row.cluster, row.organization_id)
            if cluster is not None and not cluster.jobs.lasting:
                await cluster.jobs.suspend(row.id)

    async def _hear_wishes(self) -> None:
        """Those that were written by other replicas."""
        while True:
            await self._wished.wait()
            self._wished.clear()
            if not self._taken_up.is_set():
                continue
            try:
                async with self._database.read() as session:
                    rows = await unfinished_jobs(session)
                unfinished = {row.id for row in rows}
                self._carried = {job_id: wish for job_id, wish in self._carried.items() if job_id in unfinished}
                for row in rows:
                    if row.state != JobState.PAUSED or row.desired == "run":
                        await self.carry_out(row)
            except Exception:
                logger.exception("Wishes for jobs cannot be read; trying again in %s s", _RETRY_SECONDS)
                await asyncio.sleep(_RETRY_SECONDS)
                self._wished.set()

    # Following clusters.

    def _follow(self, cluster: Cluster) -> None:
        if cluster not in self._followers:
            follower = ClusterFollower(cluster, self._recorder, self._leadership)
            self._followers[cluster] = asyncio.create_task(follower.run())

    async def _look(self, changes: AsyncIterator[ClusterChange]) -> None:
        """Follow the clusters that come; the jobs of one that has gone for good have failed."""
        async for change in changes:
            if change.present:
                self._follow(change.cluster)
                continue
            follower = self._followers.pop(change.cluster, None)
            if follower is not None:
                follower.cancel()
                await asyncio.gather(follower, return_exceptions=True)
            try:
                await self._fail_all(change)
            except Exception:
                logger.exception("The jobs of cluster %s cannot be ended", change.cluster.name)

    async def _fail_all(self, gone: ClusterChange) -> None:
        name = gone.cluster.name
        async with self._database.read() as session:
            rows = await unfinished_jobs(session, organization_id=gone.organization_id, cluster=name)
        for row in rows:
            self.end_preparation(row.id)
            await self._recorder.fail(row.id, JobFailed("cluster_gone", f"The cluster '{name}' was deleted."))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))
