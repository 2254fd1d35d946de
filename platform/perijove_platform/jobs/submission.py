"""What a cluster is given for a job, and in whose name the platform goes on with one."""

from perijove_platform.jobs.sources import TrainableModels
from perijove_platform.jobs.store import JobRow
from perijove_platform.rbac import Caller
from perijove_platform.runtimes.base import JobSpec

TRAINING_INPUT = "inputs/training.jsonl"
VALIDATION_INPUT = "inputs/validation.jsonl"


def owner_of(row: JobRow) -> Caller:
    """Who created the job, for what is done in their name after their request; without any scope."""
    return Caller(
        user_id=row.created_by,
        user_name="",
        organization_id=row.organization_id,
        project_id=row.project_id,
        scopes=frozenset(),
        key_id="",
    )


async def job_spec(row: JobRow, models: TrainableModels) -> JobSpec:
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
    )
