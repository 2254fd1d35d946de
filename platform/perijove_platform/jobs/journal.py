"""A job's row and events as they change, within the transaction of whoever changes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import now
from perijove_platform.events import EventBus
from perijove_platform.ids import new_id
from perijove_platform.jobs.kinds import JobKinds, Report
from perijove_platform.jobs.run_store import forget_reports
from perijove_platform.jobs.store import JobEventRow, JobRow, JobStore
from perijove_platform.runtimes.base import JobState, JobUpdate

KEPT_EVENTS = 10_000
"""Events kept of one job; the oldest go first."""
_PRUNE_EVERY = 500
_MAX_MESSAGE = 4000


class JobJournal:
    """Writes jobs down and tells the streams."""

    def __init__(self, events: EventBus, kinds: JobKinds) -> None:
        self._events = events
        self._kinds = kinds
        self._errors: dict[str, Report] = {}
        self._metrics_since_prune: defaultdict[str, int] = defaultdict(int)

    async def create(self, session: AsyncSession, row: JobRow) -> None:
        """A new job."""
        await JobStore(session, row.project_id, JobRow).add(row)
        kind = self._kinds.of(row.kind)
        await self._events.publish(session, f"{kind.object}.created", row, row.id, kind.public(row))
        await self.add_message(session, row, "info", f"{kind.created}: {row.id}")

    async def set_state(self, session: AsyncSession, row: JobRow, update: JobUpdate) -> None:
        """Move a job. What its owner would ask about becomes an event, too."""
        state = update.state
        assert state is not None
        kind = self._kinds.of(row.kind)
        if (said := self._announcement(row, update)) is not None:
            await self.add_message(session, row, *said)
        row.state, row.state_reason, row.queue_position = str(state), update.reason, update.queue_position
        if state is JobState.RUNNING:
            row.started_at = row.started_at or now()
        if state.final:
            row.finished_at = now()
            self._metrics_since_prune.pop(row.id, None)
            error = self._errors.pop(row.id, None)
            await forget_reports(session, row.id)
            if state is JobState.FAILED:
                row.error = _public_error(error, update)
        kind.moved(row, update)
        await self.updated(session, row)

    async def add_message(self, session: AsyncSession, row: JobRow, level: str, message: str) -> None:
        event = self._event(row, type="message", level=level, message=message[:_MAX_MESSAGE], data=None)
        await JobStore(session, row.project_id, JobRow).add_events([event])
        await self._publish_event(session, row, event)

    async def add_metrics(self, session: AsyncSession, row: JobRow, reports: Sequence[Report]) -> None:
        """Steps of one job, oldest first: all are kept, the newest is pushed."""
        kind = self._kinds.of(row.kind)
        rows = [
            self._event(
                row,
                type="metrics",
                level="info",
                message=kind.metrics_message(report),
                data={name: value for name, value in report.items() if name != "type"},
            )
            for report in reports
        ]
        jobs = JobStore(session, row.project_id, JobRow)
        await jobs.add_events(rows)
        self._metrics_since_prune[row.id] += len(rows)
        if self._metrics_since_prune[row.id] >= _PRUNE_EVERY:
            self._metrics_since_prune[row.id] = 0
            await jobs.keep_events(row.id, KEPT_EVENTS)
        kind.record_metrics(row, reports)
        await self._publish_event(session, row, rows[-1])
        await self.updated(session, row)

    async def updated(self, session: AsyncSession, row: JobRow) -> None:
        """The row has changed."""
        await session.flush()
        kind = self._kinds.of(row.kind)
        await self._events.publish(session, f"{kind.object}.updated", row, row.id, kind.public(row))

    def keep_error(self, job_id: str, error: Report) -> None:
        """What will explain the job's failure, once that is told."""
        self._errors[job_id] = error

    def knows_error(self, job_id: str) -> bool:
        """Whether something is kept that will explain the job's failure."""
        return job_id in self._errors

    def _announcement(self, row: JobRow, update: JobUpdate) -> tuple[str, str] | None:
        """Level and text of the event that a change is worth, if any."""
        why = update.interruption
        # It stands among the reasons for as long as the job waits, and is told once.
        if why is not None and row.desired == "run" and why not in _waits_because(row):
            return "warn", f"The job was interrupted: {why}"
        if row.state == update.state:
            return None
        because = f": {update.reason}" if update.reason else ""
        match update.state:
            case JobState.RUNNING:
                if row.started_at is None:
                    return "info", self._kinds.of(row.kind).started
                return "info", "The job is running again"
            case JobState.QUEUED | JobState.ADMITTED if row.state == JobState.PAUSED:
                return "info", self._kinds.of(row.kind).resumed
            case JobState.ADMITTED if row.state == JobState.QUEUED:
                return "info", "The job is admitted"
            case JobState.PAUSED:
                return "info", "The job is paused"
            case JobState.SUCCEEDED:
                return "info", "The job has successfully completed"
            case JobState.FAILED:
                return "error", f"The job failed{because}"
            case JobState.CANCELLED:
                return "warn", "The job was cancelled"
        return None

    def _event(self, row: JobRow, *, type: str, level: str, message: str, data: dict[str, Any] | None) -> JobEventRow:
        return JobEventRow(
            id=new_id(self._kinds.of(row.kind).event_prefix),
            job_id=row.id,
            level=level,
            message=message,
            type=type,
            data=data,
            organization_id=row.organization_id,
            project_id=row.project_id,
            created_by=row.created_by,
            created_at=now(),
        )

    async def _publish_event(self, session: AsyncSession, row: JobRow, event: JobEventRow) -> None:
        kind = self._kinds.of(row.kind)
        await self._events.publish(session, f"{kind.object}.event", row, row.id, kind.public_event(event))


def _waits_because(row: JobRow) -> str:
    return "" if row.state == JobState.RUNNING else row.state_reason or ""


def _public_error(error: Report | None, update: JobUpdate) -> dict[str, Any]:
    if error is None:
        return {"code": update.code or "job_failed", "message": update.reason or "The job failed.", "param": None}
    return {name: error.get(name) for name in ("code", "message", "param")}
