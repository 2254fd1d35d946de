"""Fine-tuning jobs on the wire: OpenAI's fields, then ours."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from perijove_platform.jobs.schemas import Id, JobError, Level, MaxRunSeconds, Priority
from perijove_platform.runtimes.base import JobState
from perijove_platform.schemas import Metadata, Request, Response

Auto = Literal["auto"]


class Hyperparameters(Request):
    """OpenAI's three, and ours: `max_steps` ends the training early, `lora_r` and `lora_alpha` shape the adapter."""

    n_epochs: Annotated[int, Field(ge=1, le=50)] | Auto = "auto"
    batch_size: Annotated[int, Field(ge=1, le=256)] | Auto = "auto"
    learning_rate_multiplier: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | Auto = "auto"
    max_steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    lora_r: Annotated[int, Field(ge=1, le=256)] = 8
    lora_alpha: Annotated[int, Field(ge=1, le=1024)] = 16


class Supervised(Request):
    hyperparameters: Hyperparameters = Field(default_factory=Hyperparameters)


class Method(Request):
    """Only `supervised` is honoured; the others are refused with a message that says so."""

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: Supervised | None = None
    dpo: dict[str, Any] | None = None
    reinforcement: dict[str, Any] | None = None


class JobCreate(Request):
    """What `POST /v1/fine_tuning/jobs` takes. `hyperparameters` is OpenAI's older place for those of `method`."""

    model: Id
    training_file: Id
    validation_file: Id | None = None
    suffix: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    hyperparameters: Hyperparameters | None = None
    method: Method | None = None
    integrations: list[dict[str, Any]] | None = None
    metadata: Metadata | None = None
    cluster: Id = "local"
    priority: Priority = 0
    max_run_seconds: MaxRunSeconds | None = None


class Progress(Response):
    """How far a run is; what is not known yet is null."""

    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    eta_seconds: float | None = None


class WireHyperparameters(Response):
    """The values in use: "auto" until the trainer has decided."""

    n_epochs: int | Auto
    batch_size: int | Auto
    learning_rate_multiplier: float | Auto
    max_steps: int | None = None
    lora_r: int = 8
    lora_alpha: int = 16


class WireSupervised(Response):
    hyperparameters: WireHyperparameters


class WireMethod(Response):
    type: Literal["supervised"] = "supervised"
    supervised: WireSupervised


class FineTuningJob(Response):
    """OpenAI's object; `state` and the fields after it are ours."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    error: JobError | None
    fine_tuned_model: str | None
    finished_at: int | None
    estimated_finish: int | None
    hyperparameters: WireHyperparameters
    method: WireMethod
    model: str
    organization_id: str
    result_files: list[str]
    seed: int
    status: Literal["validating_files", "queued", "running", "pausing", "paused", "succeeded", "failed", "cancelled"]
    trained_tokens: int | None
    training_file: str
    validation_file: str | None
    suffix: str | None
    user_provided_suffix: str | None
    integrations: list[dict[str, Any]] = Field(default_factory=list)
    metadata: dict[str, str]
    state: JobState
    state_reason: str | None
    queue_position: int | None
    cluster: str
    priority: int
    max_run_seconds: int | None
    progress: Progress | None


class JobEvent(Response):
    """Something that happened to a job. `job_id` is ours; `trainer.report` describes the `data` of ``metrics``."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Level
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, Any] | None
    job_id: str


class CheckpointMetrics(Response):
    """OpenAI's names; what was not measured is left out by them and null here."""

    step: float | None = None
    train_loss: float | None = None
    train_mean_token_accuracy: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None
    full_valid_loss: float | None = None
    full_valid_mean_token_accuracy: float | None = None


class Checkpoint(Response):
    """A point that an interrupted job goes on from. The engine serves the final model only."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    metrics: CheckpointMetrics
    step_number: int
