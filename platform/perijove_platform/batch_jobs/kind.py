"""What batch jobs have of their own between their creation and their end."""

from __future__ import annotations

from perijove_platform.batch_jobs.schemas import (
    BatchJob,
    BatchJobEvent,
    Status,
    WireBatchJobFile,
    WireBatchJobResources,
)
from perijove_platform.batch_jobs.store import KIND, BatchJobRow
from perijove_platform.errors import NotFound
from perijove_platform.jobs.kinds import JobKind
from perijove_platform.jobs.schemas import JobError
from perijove_platform.jobs.store import JobEventRow
from perijove_platform.runtimes.base import JobSpec, JobState, JobUpdate, Resources

_STATUS: dict[JobState, Status] = {
    JobState.QUEUED: "queued",
    JobState.ADMITTED: "queued",
    JobState.RUNNING: "running",
    JobState.PAUSED: "paused",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


class BatchCommands(JobKind[BatchJobRow]):
    """Nothing is prepared and nothing is left: a command runs, so often as it is asked for."""

    table = BatchJobRow
    name = KIND
    object = "batch_job"
    event_prefix = "batchevent-"
    created = "Created batch job"
    started = "Batch job started"
    resumed = "The job is resumed; commands that were stopped begin anew"
    interrupted = "the command begins anew, since it has no checkpoints"

    def public(self, row: BatchJobRow) -> BatchJob:
        return BatchJob(
            id=row.id,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            name=row.name,
            image=row.image,
            command=row.command,
            environment_names=sorted(row.environment),
            files=[WireBatchJobFile.model_validate(file) for file in row.files],
            resources=WireBatchJobResources.model_validate(row.resources),
            completions=row.completions,
            parallelism=row.parallelism,
            completed=row.completed,
            priority=row.priority,
            max_run_seconds=row.max_run_seconds,
            cluster=row.cluster,
            metadata=row.job_metadata,
            organization_id=row.organization_id,
            status=_status(row),
            state=JobState(row.state),
            state_reason=row.state_reason,
            queue_position=row.queue_position,
            error=JobError.model_validate(row.error) if row.error else None,
        )

    def public_event(self, row: JobEventRow) -> BatchJobEvent:
        return BatchJobEvent.model_validate(
            {
                "id": row.id,
                "created_at": row.created_at,
                "level": row.level,
                "message": row.message,
                "job_id": row.job_id,
            }
        )

    def not_found(self, job_id: str) -> NotFound:
        return NotFound(f"No batch job '{job_id}'.", param="batch_job_id", code="job_not_found")

    async def spec(self, row: BatchJobRow) -> JobSpec:
        return JobSpec(
            job_id=row.id,
            project_id=row.project_id,
            program="batch",
            config={
                "image": row.image,
                "command": row.command,
                "environment": row.environment,
                "completions": row.completions,
                "parallelism": row.parallelism,
            },
            inputs=row.inputs,
            resources=Resources(**row.resources),
            priority=row.priority,
            max_run_seconds=row.max_run_seconds,
        )

    def moved(self, row: BatchJobRow, update: JobUpdate) -> None:
        if update.completed is not None:
            row.completed = update.completed
        if update.state is JobState.SUCCEEDED:
            row.completed = row.completions
        if update.state is not None and update.state.final:
            row.environment = dict.fromkeys(row.environment, "")  # nobody needs the secrets any more


def _status(row: BatchJobRow) -> Status:
    """As of a fine-tune: it follows from the state and from what is still to be done."""
    state = JobState(row.state)
    if row.desired == "pause" and not state.final and state is not JobState.PAUSED:
        return "pausing"
    return _STATUS[state]
