"""Rows as the API returns them."""

from typing import Any, Literal

from perijove_platform.fine_tuning.schemas import (
    Checkpoint,
    CheckpointMetrics,
    FineTuningJob,
    JobEvent,
    Progress,
    WireHyperparameters,
    WireMethod,
    WireSupervised,
)
from perijove_platform.fine_tuning.store import CheckpointRow, FineTuningJobRow
from perijove_platform.jobs.schemas import JobError
from perijove_platform.jobs.store import JobEventRow
from perijove_platform.runtimes.base import JobState

Status = Literal["validating_files", "queued", "running", "pausing", "paused", "succeeded", "failed", "cancelled"]
"""OpenAI's; its client knows the first two and the last four of the others by name, and passes on what it gets."""
_STATUS: dict[JobState, Status] = {
    JobState.QUEUED: "queued",
    JobState.ADMITTED: "queued",
    JobState.RUNNING: "running",
    JobState.PAUSED: "paused",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
_ID_CHARACTERS = 8


def model_name(row: FineTuningJobRow) -> str:
    """``ft:<base>:<suffix>:<id>``, whose last part is the end of the job's id."""
    return f"ft:{row.model}:{row.suffix or ''}:{row.id[-_ID_CHARACTERS:]}"


def status_of(row: FineTuningJobRow) -> Status:
    """OpenAI's `status`, which follows from the state and from what is still to be done."""
    state = JobState(row.state)
    if row.desired == "pause" and not state.final and state is not JobState.PAUSED:
        return "pausing"
    if state is JobState.QUEUED and not row.inputs:
        return "validating_files"
    return _STATUS[state]


def public_job(row: FineTuningJobRow) -> FineTuningJob:
    requested = WireHyperparameters.model_validate(row.requested)
    return FineTuningJob(
        id=row.id,
        created_at=row.created_at,
        error=JobError.model_validate(row.error) if row.error else None,
        fine_tuned_model=row.fine_tuned_model,
        finished_at=row.finished_at,
        estimated_finish=row.estimated_finish,
        hyperparameters=WireHyperparameters.model_validate({**row.requested, **row.decided}),
        method=WireMethod(supervised=WireSupervised(hyperparameters=requested)),
        model=row.model,
        organization_id=row.organization_id,
        result_files=row.result_files,
        seed=row.seed,
        status=status_of(row),
        trained_tokens=row.trained_tokens,
        training_file=row.training_file,
        validation_file=row.validation_file,
        suffix=row.suffix,
        user_provided_suffix=row.suffix,
        metadata=row.job_metadata,
        state=JobState(row.state),
        state_reason=row.state_reason,
        queue_position=row.queue_position,
        cluster=row.cluster,
        priority=row.priority,
        max_run_seconds=row.max_run_seconds,
        progress=Progress.model_validate(row.progress) if row.progress else None,
    )


def public_event(row: JobEventRow) -> JobEvent:
    return JobEvent.model_validate(
        {
            "id": row.id,
            "created_at": row.created_at,
            "level": row.level,
            "message": row.message,
            "type": row.type,
            "data": row.data,
            "job_id": row.job_id,
        }
    )


def public_checkpoint(job: FineTuningJobRow, row: CheckpointRow) -> Checkpoint:
    known: dict[str, Any] = {name: row.metrics.get(name) for name in CheckpointMetrics.model_fields}
    known["full_valid_loss"] = row.metrics.get("valid_loss")
    known["full_valid_mean_token_accuracy"] = row.metrics.get("valid_mean_token_accuracy")
    return Checkpoint(
        id=row.id,
        created_at=row.created_at,
        fine_tuned_model_checkpoint=f"{model_name(job)}:ckpt-step-{row.step_number}",
        fine_tuning_job_id=row.job_id,
        metrics=CheckpointMetrics(**known),
        step_number=row.step_number,
    )
