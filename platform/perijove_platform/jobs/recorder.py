"""Records what clusters tell about jobs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import asyncpg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database
from perijove_platform.jobs.journal import JobJournal
from perijove_platform.jobs.kinds import JobFailed, JobKinds, Report
from perijove_platform.jobs.run_store import JobRunStore, take_reports
from perijove_platform.jobs.store import JobRow, find_job
from perijove_platform.legible import legible, legible_json
from perijove_platform.runtimes.base import Cluster, JobState, JobUpdate

logger = logging.getLogger(__name__)

_PAGE = 200
_AWAY = (DBAPIError, NoConnection, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_REFUSALS = ("22", "23")
"""Classes of PostgreSQL's SQLSTATEs: a value that it cannot take, a constraint."""


class JobRecorder:
    """One transaction for each thing that happened. Metrics come in groups, see `JobJournal.add_metrics`."""

    def __init__(self, database: Database, journal: JobJournal, kinds: JobKinds) -> None:
        self._database = database
        self._journal = journal
        self._kinds = kinds

    async def record(self, cluster: Cluster, update: JobUpdate) -> None:
        """Everything but metrics. A job ends after all that it has reported."""
        update = _legible(update)
        if update.report is not None:
            await self._record_report(update.job_id, update.report, update.number)
        if update.state is not None and update.state.final:
            await self.catch_up(update.job_id)
        if update.state is JobState.SUCCEEDED:
            await self._succeed(cluster, update)
        elif update.state is not None:
            await self._record_state(update)

    async def record_metrics(self, job_id: str, updates: Sequence[JobUpdate]) -> None:
        """Steps of one job, oldest first."""
        async with self._database.write() as session:
            row = await self._open(session, job_id)
            taken = await take_reports(session, [update.number for update in updates if update.number is not None])
            reports = [
                update.report
                for update in updates
                if update.report is not None and (update.number is None or update.number in taken)
            ]
            if row is not None and reports:
                await self._journal.add_metrics(session, row, reports)

    async def catch_up(self, job_id: str) -> None:
        """Record what the job has reported, oldest first, and nobody has recorded: such as a replica that led before.

        A report that cannot be recorded is left out, unless that is because the database is away, which raises.
        """
        last = 0
        while True:
            async with self._database.read() as session:
                rows = await JobRunStore(session).waiting_of(job_id, last, limit=_PAGE)
            updates = [_legible(JobUpdate(job_id=job_id, report=row.report, number=row.id)) for row in rows]
            for _, group in groupby(updates, key=lambda update: None if is_metrics(update) else update.number):
                try:
                    await self._record_missed(job_id, list(group))
                except Exception as error:
                    if database_is_away(error):
                        raise
                    logger.exception("A report of job %s cannot be recorded and is left out", job_id)
            if len(rows) < _PAGE:
                return
            last = rows[-1].id

    async def fail(self, job_id: str, failure: JobFailed) -> None:
        """For failures on our side of the cluster."""
        error = {"code": failure.code, "message": failure.message, "param": failure.param}
        self._journal.keep_error(job_id, error)
        await self._record_state(JobUpdate(job_id=job_id, state=JobState.FAILED, reason=failure.message))

    async def delay(self, job_id: str, reason: str) -> None:
        """Say why a job does not get on, without moving it."""
        async with self._database.write() as session:
            row = await self._open(session, job_id)
            if row is not None:
                row.state_reason = reason
                await self._journal.updated(session, row)

    async def _open(self, session: AsyncSession, job_id: str) -> JobRow | None:
        row = await find_job(session, job_id, lock=True)
        return None if row is None or JobState(row.state).final else row

    async def _record_state(self, update: JobUpdate) -> None:
        async with self._database.write() as session:
            row = await self._open(session, update.job_id)
            if row is None or update.state is None:
                return
            if row.state == JobState.PAUSED and row.desired == "pause" and not update.state.final:
                return  # a cluster that was asked late is still stopping it
            await self._journal.set_state(session, row, update)

    async def _record_missed(self, job_id: str, updates: Sequence[JobUpdate]) -> None:
        """Either metrics, or one other report."""
        report = updates[0].report or {}
        if is_metrics(updates[0]):
            await self.record_metrics(job_id, updates)
        # Of a failure, whoever follows the job's cluster may know more by now than the program.
        elif report.get("type") != "error" or not self._journal.knows_error(job_id):
            await self._record_report(job_id, report, updates[0].number)

    async def _record_report(self, job_id: str, report: Report, number: int | None) -> None:
        if report.get("type") == "error":
            # A numbered one is not taken: until the state that it explains has come, a restart must not forget it.
            self._journal.keep_error(job_id, report)
            return
        async with self._database.write() as session:
            # The row first, as whoever ends the job does, who removes its reports: two could wait for each other.
            row = await self._open(session, job_id)
            taken = number is None or bool(await take_reports(session, [number]))
            if row is None or not taken:
                return
            if report.get("type") == "message":
                await self._journal.add_message(session, row, str(report["level"]), str(report["message"]))
                return
            await self._kinds.of(row.kind).record_report(self._journal, session, row, report)

    async def _succeed(self, cluster: Cluster, update: JobUpdate) -> None:
        """Take over the results, then say so; a platform that is killed in between does the rest after its restart."""
        async with self._database.read() as session:
            row = await find_job(session, update.job_id)
        if row is None or JobState(row.state).final:
            return
        try:
            outcome = await self._kinds.of(row.kind).collect(cluster, row)
        except JobFailed as failure:
            await self.fail(row.id, failure)
            return
        async with self._database.write() as session:
            row = await self._open(session, update.job_id)
            if row is None:
                return
            for column, value in outcome.columns.items():
                setattr(row, column, value)
            if outcome.message is not None:
                await self._journal.add_message(session, row, "info", outcome.message)
            await self._journal.set_state(session, row, update)


def is_metrics(update: JobUpdate) -> bool:
    return update.report is not None and update.report.get("type") == "metrics"


def database_is_away(error: Exception) -> bool:
    """Whether something could not be recorded because of the database, so that it can be later, not of what it is."""
    sqlstate = str(getattr(getattr(error, "orig", None), "sqlstate", None))
    refused = isinstance(error, DataError | IntegrityError | ProgrammingError) or sqlstate.startswith(_REFUSALS)
    return isinstance(error, _AWAY) and not refused


def _legible(update: JobUpdate) -> JobUpdate:
    return replace(
        update,
        reason=None if update.reason is None else legible(update.reason),
        code=None if update.code is None else legible(update.code),
        interruption=None if update.interruption is None else legible(update.interruption),
        report=legible_json(update.report),
    )
