"""What fine-tuning jobs have of their own between their creation and their end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database, now
from perijove_platform.errors import ApiError, NotFound, Unavailable
from perijove_platform.fine_tuning.inputs import checked_inputs
from perijove_platform.fine_tuning.public import model_name, public_event, public_job
from perijove_platform.fine_tuning.schemas import FineTuningJob, JobEvent
from perijove_platform.fine_tuning.sources import TrainableModels, TrainingFiles
from perijove_platform.fine_tuning.store import KIND, CheckpointRow, CheckpointStore, FineTuningJobRow
from perijove_platform.fine_tuning.submission import job_spec
from perijove_platform.ids import new_id
from perijove_platform.jobs.kinds import JobFailed, JobKind, Journal, Outcome, Report, owner_of
from perijove_platform.jobs.store import JobEventRow, find_job
from perijove_platform.runtimes.base import Cluster, JobSpec, JobState, JobUpdate

logger = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 100


class FineTuning(JobKind[FineTuningJobRow]):
    """Files are checked before, metrics and checkpoints come meanwhile, a model is registered afterwards."""

    table = FineTuningJobRow
    name = KIND
    object = "fine_tuning.job"
    event_prefix = "ftevent-"
    created = "Created fine-tuning job"
    started = "Fine-tuning job started"
    resumed = "The job is resumed; it goes on from its last checkpoint, if it had one"
    interrupted = "the job goes on from its last checkpoint, if it had one"

    def __init__(self, database: Database, journal: Journal, models: TrainableModels, files: TrainingFiles) -> None:
        self._database = database
        self._journal = journal
        self._models = models
        self._files = files

    def public(self, row: FineTuningJobRow) -> FineTuningJob:
        return public_job(row)

    def public_event(self, row: JobEventRow) -> JobEvent:
        return public_event(row)

    def not_found(self, job_id: str) -> NotFound:
        return NotFound(f"No fine-tuning job '{job_id}'.", param="fine_tuning_job_id", code="job_not_found")

    async def spec(self, row: FineTuningJobRow) -> JobSpec:
        try:
            return await job_spec(row, self._models)
        except ApiError as error:
            raise JobFailed(error.code or "model_not_found", error.message, "model") from error

    def is_ready(self, row: FineTuningJobRow) -> bool:
        return bool(row.inputs)

    async def make_ready(self, row: FineTuningJobRow) -> FineTuningJobRow | None:
        """Check files that were too large to be checked by the request."""
        try:
            inputs = await checked_inputs(self._files, owner_of(row), row.training_file, row.validation_file)
        except ApiError as error:
            raise JobFailed(error.code or "invalid_training_file", error.message, error.param) from error
        async with self._database.write() as session:
            current = await find_job(session, row.id, lock=True)
            if not isinstance(current, FineTuningJobRow):
                return None
            if current.desired != "run" or current.state != JobState.QUEUED:
                return None
            current.inputs, current.state_reason = inputs, None
            await self._journal.add_message(session, current, "info", "Files validated, the job is queued")
            await self._journal.updated(session, current)
            return current

    async def record_report(
        self, journal: Journal, session: AsyncSession, row: FineTuningJobRow, report: Report
    ) -> None:
        match report.get("type"):
            case "progress":
                row.state_reason = str(report["message"])
                if report.get("phase") == "install":
                    await journal.add_message(session, row, "info", row.state_reason)
            case "plan":
                names = ("n_epochs", "batch_size", "learning_rate_multiplier")
                row.decided = {name: report[name] for name in names}
                row.progress = {**(row.progress or {}), "total_steps": report["total_steps"]}
                row.state_reason = None
            case "checkpoint":
                await _add_checkpoint(session, row, report)
                await journal.add_message(session, row, "info", f"Checkpoint created at step {report['step']}")
            case "result":
                row.result, row.trained_tokens = dict(report), report["trained_tokens"]
                row.state_reason = "registering the model"
            case _:
                await super().record_report(journal, session, row, report)
        await journal.updated(session, row)

    def record_metrics(self, row: FineTuningJobRow, reports: Sequence[Report]) -> None:
        newest = reports[-1]
        losses = [report["train_loss"] for report in reports if "train_loss" in report]
        eta = newest.get("eta_seconds")
        row.progress = {
            "step": newest["step"],
            "total_steps": newest["total_steps"],
            "epoch": newest["epoch"],
            "loss": losses[-1] if losses else (row.progress or {}).get("loss"),
            "eta_seconds": eta,
        }
        row.estimated_finish = None if eta is None else now() + round(eta)

    def metrics_message(self, report: Report) -> str:
        name, loss = ("training loss", "train_loss") if "train_loss" in report else ("validation loss", "valid_loss")
        found: Any = report.get(loss)
        figure = "not a number" if found is None else f"{found:.4f}"
        return f"{super().metrics_message(report)}: {name}={figure}"

    async def collect(self, cluster: Cluster, row: FineTuningJobRow) -> Outcome:
        """Register the model. Each step does nothing when it has been done before."""
        if row.result is None:
            raise JobFailed("no_result", "The trainer ended without a result; its log has the details.")
        name = model_name(row)
        caller = owner_of(row)
        metrics_file = f"file-{row.id.rpartition('-')[2]}"
        try:
            folder = await cluster.jobs.work_folder(row.id)
            await self._files.add_result(
                caller, file_id=metrics_file, filename="step_metrics.csv", path=folder / row.result["metrics_file"]
            )
            await self._models.register_adapter(
                caller, name=name, base_model=row.model, adapter_path=folder / row.result["adapter"], job_id=row.id
            )
        except Unavailable:
            raise  # the object store is away: the result is not lost, and is registered by another attempt
        except (ApiError, OSError) as error:
            logger.warning("The result of job %s cannot be registered", row.id, exc_info=True)
            message = f"The trained model cannot be registered: {error}"
            raise JobFailed("registration_failed", message) from error
        columns = {"fine_tuned_model": name, "result_files": [metrics_file]}
        return Outcome(columns, f"New fine-tuned model created: {name}")

    def moved(self, row: FineTuningJobRow, update: JobUpdate) -> None:
        if update.state is not JobState.RUNNING:
            row.estimated_finish = None


async def _add_checkpoint(session: AsyncSession, row: FineTuningJobRow, report: Report) -> None:
    checkpoint = CheckpointRow(
        id=new_id("ftckpt_"),
        job_id=row.id,
        step_number=report["step"],
        metrics=report["metrics"],
        organization_id=row.organization_id,
        project_id=row.project_id,
        created_by=row.created_by,
    )
    await CheckpointStore(session, row.project_id).put(checkpoint, keep=KEPT_CHECKPOINTS)
