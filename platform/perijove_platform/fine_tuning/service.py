"""The rules of fine-tuning jobs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping

from perijove_platform.database import Database
from perijove_platform.errors import BadRequest, Conflict, NotFound
from perijove_platform.fine_tuning.inputs import checked_inputs
from perijove_platform.fine_tuning.kind import FineTuning
from perijove_platform.fine_tuning.public import public_checkpoint, public_event, public_job
from perijove_platform.fine_tuning.schemas import (
    Checkpoint,
    FineTuningJob,
    Hyperparameters,
    JobCreate,
    JobEvent,
)
from perijove_platform.fine_tuning.sources import TrainableModels, TrainingFiles
from perijove_platform.fine_tuning.store import CheckpointStore, FineTuningJobRow
from perijove_platform.ids import new_id
from perijove_platform.jobs.lifecycle import JobLifecycle
from perijove_platform.jobs.schemas import EventListParams, JobListParams, LogParams
from perijove_platform.pagination import ListParams, Page, page
from perijove_platform.rbac import Caller
from perijove_platform.runtimes.base import JobState

_CHECK_SECONDS = 3.0
"""Files that take longer to check are checked after the job has been created."""


class FineTuningService:
    """Creates, lists and steers fine-tuning jobs."""

    def __init__(
        self, database: Database, lifecycle: JobLifecycle, models: TrainableModels, files: TrainingFiles
    ) -> None:
        self._database = database
        self._models = models
        self._files = files
        self._jobs = lifecycle.manage(FineTuning(database, lifecycle.journal, models, files))

    async def create(self, caller: Caller, request: JobCreate) -> FineTuningJob:
        """Check everything that can be checked at once, then queue. Large files are checked afterwards.

        Raises:
            BadRequest: the model cannot be trained, a file cannot be used (naming its lines), or a field is not
                honoured.
            RateLimited: too many unfinished jobs.
        """
        hyperparameters = _hyperparameters(request)
        cluster = await self._jobs.cluster(caller, request.cluster)
        model = await self._base_model(caller, request.model)
        inputs = await self._inputs(caller, request)
        row = FineTuningJobRow(
            id=new_id("ftjob-"),
            organization_id=caller.organization_id,
            project_id=caller.project_id,
            created_by=caller.user_id,
            model=model,
            training_file=request.training_file,
            validation_file=request.validation_file,
            suffix=request.suffix,
            seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
            cluster=cluster.name,
            requested=hyperparameters.model_dump(),
            decided={},
            job_metadata=request.metadata or {},
            inputs=inputs,
            priority=request.priority,
            max_run_seconds=request.max_run_seconds,
            desired="run",
            state=str(JobState.QUEUED),
            state_reason=None if inputs else "checking the files",
            result_files=[],
        )
        created = public_job(await self._jobs.create(row))
        await self._jobs.carry_out(row)
        return created

    async def list_jobs(
        self, caller: Caller, params: JobListParams, metadata: Mapping[str, str]
    ) -> Page[FineTuningJob]:
        rows, more = await self._jobs.page(caller, params, metadata)
        return page([public_job(row) for row in rows], more)

    async def get(self, caller: Caller, job_id: str) -> FineTuningJob:
        return public_job(await self._jobs.get(caller, job_id))

    async def events(self, caller: Caller, job_id: str, params: EventListParams) -> Page[JobEvent]:
        rows, more = await self._jobs.events(caller, job_id, params)
        return page([public_event(row) for row in rows], more)

    async def checkpoints(self, caller: Caller, job_id: str, params: ListParams) -> Page[Checkpoint]:
        job = await self._jobs.get(caller, job_id)
        async with self._database.read() as session:
            rows, more = await CheckpointStore(session, caller.project_id).page(job_id, params)
        return page([public_checkpoint(job, row) for row in rows], more)

    async def cancel(self, caller: Caller, job_id: str) -> FineTuningJob:
        """Raises `BadRequest` when the job has ended otherwise."""
        return public_job(await self._jobs.cancel(caller, job_id))

    async def pause(self, caller: Caller, job_id: str) -> FineTuningJob:
        """Stop, to go on later from the last checkpoint."""
        return public_job(await self._jobs.pause(caller, job_id))

    async def resume(self, caller: Caller, job_id: str) -> FineTuningJob:
        """Raises `BadRequest` when the job is not paused."""
        return public_job(await self._jobs.resume(caller, job_id))

    async def logs(self, caller: Caller, job_id: str, params: LogParams) -> AsyncIterator[bytes]:
        """The job's log; found or not is known before the first byte."""
        return await self._jobs.logs(caller, job_id, params)

    async def _inputs(self, caller: Caller, request: JobCreate) -> dict[str, str]:
        """What `checked_inputs` finds, or nothing when that takes longer than a request should."""
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                return await checked_inputs(self._files, caller, request.training_file, request.validation_file)
        except TimeoutError:
            return {}

    async def _base_model(self, caller: Caller, name: str) -> str:
        """The name of the model to train, with aliases resolved."""
        try:
            model = await self._models.get(caller, name)
        except NotFound as error:
            raise BadRequest(error.message, param="model", code="model_not_found") from error
        if model.base_model is not None:
            message = f"'{name}' is itself a fine-tuned model. Start from its base '{model.base_model}'."
            raise BadRequest(message, param="model", code="model_not_available")
        if model.kind != "chat":
            message = f"'{name}' is an {model.kind} model; only chat models can be fine-tuned."
            raise BadRequest(message, param="model", code="model_not_available")
        try:
            await self._models.spec(caller, model.id)
        except Conflict as error:
            raise BadRequest(error.message, param="model", code="model_not_available") from error
        return model.id


def _hyperparameters(request: JobCreate) -> Hyperparameters:
    if request.integrations:
        message = "Integrations are not available. Leave 'integrations' out; the metrics are in the job's events."
        raise BadRequest(message, param="integrations", code="unsupported_parameter")
    method = request.method
    if method is None:
        return request.hyperparameters or Hyperparameters()
    if method.type != "supervised" or method.dpo is not None or method.reinforcement is not None:
        kind = method.type if method.type != "supervised" else "dpo or reinforcement"
        message = f"The method '{kind}' is not available. Use 'supervised'."
        raise BadRequest(message, param="method.type", code="unsupported_method")
    if request.hyperparameters is not None and method.supervised is not None:
        message = "Give the hyperparameters in 'method.supervised', not also in 'hyperparameters'."
        raise BadRequest(message, param="hyperparameters", code="invalid_value")
    if method.supervised is not None:
        return method.supervised.hyperparameters
    return request.hyperparameters or Hyperparameters()
