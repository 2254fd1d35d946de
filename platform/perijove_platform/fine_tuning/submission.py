"""What a cluster is given for a job."""

from perijove_platform.fine_tuning.sources import TrainableModels
from perijove_platform.fine_tuning.store import FineTuningJobRow
from perijove_platform.jobs.kinds import owner_of
from perijove_platform.runtimes.base import JobSpec

TRAINING_INPUT = "inputs/training.jsonl"
VALIDATION_INPUT = "inputs/validation.jsonl"


async def job_spec(row: FineTuningJobRow, models: TrainableModels) -> JobSpec:
    """The base model's file is looked up anew each time, since the data directory may have moved.

    Raises:
        errors.ApiError: the base model has gone, or has no weights.
    """
    base = await models.spec(owner_of(row), row.model)
    return JobSpec(
        job_id=row.id,
        project_id=row.project_id,
        program="trainer",
        config={
            "base_model": str(base.path),
            "training_file": TRAINING_INPUT,
            "validation_file": VALIDATION_INPUT if VALIDATION_INPUT in row.inputs else None,
            "seed": row.seed,
            **row.requested,
        },
        inputs=row.inputs,
        priority=row.priority,
        max_run_seconds=row.max_run_seconds,
    )
