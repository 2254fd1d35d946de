"""Writes what clusters tell about jobs into the tables, and tells the streams."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database, after_commit, now
from perijove_platform.errors import ApiError, Unavailable
from perijove_platform.events import EventBus
from perijove_platform.ids import new_id
from perijove_platform.jobs.public import model_name, public_event, public_job
from perijove_platform.jobs.run_store import forget_reports, take_reports
from perijove_platform.jobs.sources import TrainableModels, TrainingFiles
from perijove_platform.jobs.store import CheckpointRow, JobEventRow, JobRow, JobStore, find_job
from perijove_platform.jobs.submission import owner_of
from perijove_platform.runtimes.base import Cluster, JobState, JobUpdate

logger = logging.getLogger(__name__)

KEPT_EVENTS = 10_000
"""Events kept of one job; the oldest go first."""
KEPT_CHECKPOINTS = 100
_PRUNE_EVERY = 500
_MAX_MESSAGE = 4000

Report = Mapping[str, Any]


class JobRecorder:
    """One transaction for each thing that happened.

    Metrics come in groups (see `record_metrics`): all are kept, the newest of a group is pushed.
    """

    def __init__(self, database: Database, events: EventBus, models: TrainableModels, files: TrainingFiles) -> None:
        self._database = database
        self._events = events
        self._models = models
        self._files = files
        self._errors: dict[str, Report] = {}
        self._metrics_since_prune: defaultdict[str, int] = defaultdict(int)
        self._changed = asyncio.Event()

    def changed(self) -> asyncio.Event:
        """Set when the next change of any job has been committed."""
        return self._changed

    async def record(self, cluster: Cluster, update: JobUpdate) -> None:
        """Everything but metrics."""
        if update.report is not None:
            await self._record_report(update.job_id, update.report, update.number)
        if update.state is JobState.SUCCEEDED:
            await self._succeed(cluster, update.job_id)
        elif update.state is not None:
            await self._record_state(update.job_id, update.state, update.reason, update.queue_position)

    async def record_metrics(self, job_id: str, updates: Sequence[JobUpdate]) -> None:
        """Steps of one job, oldest first."""
        async with self._database.write() as session:
            taken = await take_reports(session, [update.number for update in updates if update.number is not None])
            reports = [
                update.report
                for update in updates
                if update.report is not None and (update.number is None or update.number in taken)
            ]
            row = await self._open(session, job_id)
            if row is None or not reports:
                return
            rows = [_metrics_event(row, report) for report in reports]
            jobs = JobStore(session, row.project_id)
            await jobs.add_events(rows)
            self._metrics_since_prune[job_id] += len(rows)
            if self._metrics_since_prune[job_id] >= _PRUNE_EVERY:
                self._metrics_since_prune[job_id] = 0
                await jobs.keep_events(job_id, KEPT_EVENTS)
            _advance(row, reports)
            await self._events.publish(session, "fine_tuning.job.event", row, row.id, public_event(rows[-1]))
            await self._updated(session, row)

    async def fail(self, job_id: str, code: str, message: str, param: str | None = None) -> None:
        """For failures on our side of the cluster."""
        self._errors[job_id] = {"code": code, "message": message, "param": param}
        await self._record_state(job_id, JobState.FAILED, message, None)

    async def files_checked(self, job_id: str, inputs: Mapping[str, str]) -> JobRow | None:
        """The job, which is queued from now on; ``None`` when it is not wanted any more."""
        async with self._database.write() as session:
            row = await self._open(session, job_id)
            if row is None or row.desired != "run" or row.state != JobState.QUEUED:
                return None
            row.inputs, row.state_reason = dict(inputs), None
            await self.add_message(session, row, "info", "Files validated, the job is queued")
            await self._updated(session, row)
            return row

    async def set_state(
        self, session: AsyncSession, row: JobRow, state: JobState, reason: str | None, position: int | None = None
    ) -> None:
        """Move a job within a transaction; its first running, its pause and its end become events, too."""
        if row.state != state and (said := _ANNOUNCED.get(state)) is not None:
            level, message = said
            await self.add_message(session, row, level, f"{message}: {reason}" if level == "error" else message)
        row.state, row.state_reason, row.queue_position = str(state), reason, position
        if state is not JobState.RUNNING:
            row.estimated_finish = None
        if state.final:
            row.finished_at = now()
            self._metrics_since_prune.pop(row.id, None)
            error = self._errors.pop(row.id, None)
            await forget_reports(session, row.id)
            if state is JobState.FAILED:
                row.error = _public_error(error, reason)
        await self._updated(session, row)

    async def add_message(self, session: AsyncSession, row: JobRow, level: str, message: str) -> None:
        event = _event(row, type="message", level=level, message=message[:_MAX_MESSAGE], data=None)
        await JobStore(session, row.project_id).add_events([event])
        await self._events.publish(session, "fine_tuning.job.event", row, row.id, public_event(event))

    async def _open(self, session: AsyncSession, job_id: str) -> JobRow | None:
        row = await find_job(session, job_id)
        return None if row is None or JobState(row.state).final else row

    async def _updated(self, session: AsyncSession, row: JobRow) -> None:
        await session.flush()
        await self._events.publish(session, "fine_tuning.job.updated", row, row.id, public_job(row))
        after_commit(session, self._ring)

    def _ring(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _record_state(self, job_id: str, state: JobState, reason: str | None, position: int | None) -> None:
        async with self._database.write() as session:
            row = await self._open(session, job_id)
            if row is not None:
                await self.set_state(session, row, state, reason, position)

    async def _record_report(self, job_id: str, report: Report, number: int | None) -> None:
        if report.get("type") == "error":
            # A numbered one is not taken: until the state that it explains has come, a restart must not forget it.
            self._errors[job_id] = report
            return
        async with self._database.write() as session:
            if number is not None and not await take_reports(session, [number]):
                return
            row = await self._open(session, job_id)
            if row is None:
                return
            match report.get("type"):
                case "message":
                    await self.add_message(session, row, str(report["level"]), str(report["message"]))
                case "progress":
                    row.state_reason = str(report["message"])
                    if report.get("phase") == "install":
                        await self.add_message(session, row, "info", row.state_reason)
                    await self._updated(session, row)
                case "plan":
                    names = ("n_epochs", "batch_size", "learning_rate_multiplier")
                    row.decided = {name: report[name] for name in names}
                    row.progress = {**(row.progress or {}), "total_steps": report["total_steps"]}
                    row.state_reason = None
                    await self._updated(session, row)
                case "checkpoint":
                    await self._record_checkpoint(session, row, report)
                case "result":
                    row.result, row.trained_tokens = dict(report), report["trained_tokens"]
                    row.state_reason = "registering the model"
                    await self._updated(session, row)
                case unknown:
                    logger.warning("Job %s reported %r, which nobody knows", job_id, unknown)

    async def _record_checkpoint(self, session: AsyncSession, row: JobRow, report: Report) -> None:
        checkpoint = CheckpointRow(
            id=new_id("ftckpt_"),
            job_id=row.id,
            step_number=report["step"],
            metrics=report["metrics"],
            **_owner(row),
        )
        await JobStore(session, row.project_id).put_checkpoint(checkpoint, keep=KEPT_CHECKPOINTS)
        await self.add_message(session, row, "info", f"Checkpoint created at step {report['step']}")
        await self._updated(session, row)

    async def _succeed(self, cluster: Cluster, job_id: str) -> None:
        """Register the result, then say so.

        Each step does nothing when it has been done before, so that a platform that is killed in between does the
        rest after its restart.
        """
        async with self._database.read() as session:
            row = await self._open(session, job_id)
        if row is None:
            return
        if row.result is None:
            await self.fail(job_id, "no_result", "The trainer ended without a result; its log has the details.")
            return
        name = model_name(row)
        caller = owner_of(row)
        metrics_file = f"file-{row.id.rpartition('-')[2]}"
        try:
            folder = await cluster.jobs.work_folder(job_id)
            await self._files.add_result(
                caller, file_id=metrics_file, filename="step_metrics.csv", path=folder / row.result["metrics_file"]
            )
            await self._models.register_adapter(
                caller, name=name, base_model=row.model, adapter_path=folder / row.result["adapter"], job_id=row.id
            )
        except Unavailable:
            raise  # the object store is away: the result is not lost, and is registered by another attempt
        except (ApiError, OSError) as error:
            logger.warning("The result of job %s cannot be registered", job_id, exc_info=True)
            await self.fail(job_id, "registration_failed", f"The trained model cannot be registered: {error}")
            return
        async with self._database.write() as session:
            row = await self._open(session, job_id)
            if row is not None:
                row.fine_tuned_model, row.result_files = name, [metrics_file]
                await self.add_message(session, row, "info", f"New fine-tuned model created: {name}")
                await self.set_state(session, row, JobState.SUCCEEDED, None)


_ANNOUNCED = {
    JobState.RUNNING: ("info", "Fine-tuning job started"),
    JobState.PAUSED: ("info", "The job is paused"),
    JobState.SUCCEEDED: ("info", "The job has successfully completed"),
    JobState.FAILED: ("error", "The job failed"),
    JobState.CANCELLED: ("warn", "The job was cancelled"),
}


def _owner(row: JobRow) -> dict[str, str]:
    return {
        "organization_id": row.organization_id,
        "project_id": row.project_id,
        "created_by": row.created_by,
    }


def _event(row: JobRow, *, type: str, level: str, message: str, data: dict[str, Any] | None) -> JobEventRow:
    return JobEventRow(
        id=new_id("ftevent-"),
        job_id=row.id,
        level=level,
        message=message,
        type=type,
        data=data,
        created_at=now(),
        **_owner(row),
    )


def _metrics_event(row: JobRow, report: Report) -> JobEventRow:
    data = {name: value for name, value in report.items() if name != "type"}
    name, loss = (
        ("training loss", report.get("train_loss"))
        if "train_loss" in report
        else (
            "validation loss",
            report.get("valid_loss"),
        )
    )
    figure = "not a number" if loss is None else f"{loss:.4f}"
    message = f"Step {report['step']}/{report['total_steps']}: {name}={figure}"
    return _event(row, type="metrics", level="info", message=message, data=data)


def _advance(row: JobRow, reports: Sequence[Report]) -> None:
    newest = reports[-1]
    losses = [report["train_loss"] for report in reports if "train_loss" in report]
    earlier = (row.progress or {}).get("loss")
    eta = newest.get("eta_seconds")
    row.progress = {
        "step": newest["step"],
        "total_steps": newest["total_steps"],
        "epoch": newest["epoch"],
        "loss": losses[-1] if losses else earlier,
        "eta_seconds": eta,
    }
    row.estimated_finish = None if eta is None else now() + round(eta)


def _public_error(error: Report | None, reason: str | None) -> dict[str, Any]:
    if error is None:
        return {"code": "job_failed", "message": reason or "The job failed.", "param": None}
    return {name: error.get(name) for name in ("code", "message", "param")}
