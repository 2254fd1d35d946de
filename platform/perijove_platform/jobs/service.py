"""The rules of fine-tuning jobs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping

from perijove_platform.database import Database
from perijove_platform.errors import BadRequest, Conflict, NotFound, RateLimited
from perijove_platform.events import EventBus
from perijove_platform.ids import new_id
from perijove_platform.jobs.inputs import checked_inputs
from perijove_platform.jobs.public import public_checkpoint, public_event, public_job
from perijove_platform.jobs.recorder import JobRecorder
from perijove_platform.jobs.schemas import (
    Checkpoint,
    EventListParams,
    FineTuningJob,
    Hyperparameters,
    JobCreate,
    JobEvent,
    JobListParams,
    LogParams,
)
from perijove_platform.jobs.sources import TrainableModels, TrainingFiles
from perijove_platform.jobs.store import JobRow, JobStore, find_job, unfinished_jobs
from perijove_platform.jobs.tracker import JobTracker
from perijove_platform.pagination import ListParams, Page, page
from perijove_platform.rbac import Caller
from perijove_platform.runtimes.base import Cluster, Clusters, JobState, Wish

_WAIT_SECONDS = 5.0
_CHECK_SECONDS = 3.0
"""Files that take longer to check are checked after the job has been created."""


class JobsService:
    """Creates, lists and steers fine-tuning jobs.

    Args:
        clusters: those that there are; requests default to ``local``.
        max_queued: unfinished jobs that a project may have.
    """

    def __init__(
        self,
        database: Database,
        events: EventBus,
        clusters: Clusters,
        models: TrainableModels,
        files: TrainingFiles,
        *,
        max_queued: int,
    ) -> None:
        self._database = database
        self._events = events
        self._clusters = clusters
        self._models = models
        self._files = files
        self._max_queued = max_queued
        self._recorder = JobRecorder(database, events, models, files)
        self._tracker = JobTracker(database, clusters, self._recorder, models, files)

    async def start(self) -> None:
        """Take up the jobs that a stop or a crash interrupted. The clusters and the models are started before."""
        await self._tracker.start()

    async def stop(self) -> None:
        await self._tracker.stop()

    async def create(self, caller: Caller, request: JobCreate) -> FineTuningJob:
        """Check everything that can be checked at once, then queue. Large files are checked afterwards.

        Raises:
            BadRequest: the model cannot be trained, a file cannot be used (naming its lines), or a field is not
                honoured.
            RateLimited: too many unfinished jobs.
        """
        hyperparameters = _hyperparameters(request)
        cluster = await self._clusters.get(request.cluster, caller.organization_id)
        if cluster is None:
            known = ", ".join(await self._clusters.names(caller.organization_id))
            raise BadRequest(f"Unknown cluster '{request.cluster}'. There is: {known}.", param="cluster")
        model = await self._base_model(caller, request.model)
        inputs = await self._inputs(caller, request)
        row = JobRow(
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
            desired="run",
            state=str(JobState.QUEUED),
            state_reason=None if inputs else "checking the files",
            result_files=[],
        )
        async with self._database.write() as session:
            jobs = JobStore(session, caller.project_id)
            if await jobs.count_unfinished() >= self._max_queued:
                message = f"{self._max_queued} jobs are waiting or running. Wait for some to end, or cancel them."
                raise RateLimited(message)
            await jobs.add(row)
            created = public_job(row)
            await self._events.publish(session, "fine_tuning.job.created", row, row.id, created)
            await self._recorder.add_message(session, row, "info", f"Created fine-tuning job: {row.id}")
        await self._tracker.submit(row)
        return created

    async def list_jobs(
        self, caller: Caller, params: JobListParams, metadata: Mapping[str, str]
    ) -> Page[FineTuningJob]:
        async with self._database.read() as session:
            rows, more = await JobStore(session, caller.project_id).page(params, metadata)
        return page([public_job(row) for row in rows], more)

    async def get(self, caller: Caller, job_id: str) -> FineTuningJob:
        return public_job(await self._row(caller, job_id))

    async def events(self, caller: Caller, job_id: str, params: EventListParams) -> Page[JobEvent]:
        await self._row(caller, job_id)
        async with self._database.read() as session:
            rows, more = await JobStore(session, caller.project_id).events(job_id, params)
        return page([public_event(row) for row in rows], more)

    async def checkpoints(self, caller: Caller, job_id: str, params: ListParams) -> Page[Checkpoint]:
        job = await self._row(caller, job_id)
        async with self._database.read() as session:
            rows, more = await JobStore(session, caller.project_id).checkpoints(job_id, params)
        return page([public_checkpoint(job, row) for row in rows], more)

    async def cancel(self, caller: Caller, job_id: str) -> FineTuningJob:
        """Raises `BadRequest` when the job has ended otherwise."""
        row = await self._wish(caller, job_id, "cancel")
        if row.state == JobState.CANCELLED:
            return public_job(row)
        if row.state == JobState.PAUSED or not row.inputs:
            return await self._end_unsubmitted(caller, job_id, JobState.CANCELLED)
        await (await self._cluster_of(row)).jobs.cancel(job_id)
        return await self._settled(caller, job_id, JobState.CANCELLED)

    async def pause(self, caller: Caller, job_id: str) -> FineTuningJob:
        """Stop, to go on later from the last checkpoint."""
        row = await self._wish(caller, job_id, "pause")
        if row.state == JobState.PAUSED:
            return public_job(row)
        if not row.inputs:
            return await self._end_unsubmitted(caller, job_id, JobState.PAUSED)
        await (await self._cluster_of(row)).jobs.suspend(job_id)
        return await self._settled(caller, job_id, JobState.PAUSED)

    async def resume(self, caller: Caller, job_id: str) -> FineTuningJob:
        """Raises `BadRequest` when the job is not paused."""
        async with self._database.write() as session:
            row = await self._require(JobStore(session, caller.project_id), job_id)
            if row.state != JobState.PAUSED:
                raise BadRequest(f"Job '{job_id}' is {row.state}; only a paused job can be resumed.", code="not_paused")
            row.desired = "run"
            await self._recorder.set_state(session, row, JobState.QUEUED, None)
            resumed = public_job(row)
        await self._tracker.submit(row)
        return resumed

    async def wish_of(self, job_id: str) -> Wish | None:
        """What the owner of a job wants, whosever it is; ``None`` when it is unknown or has ended."""
        async with self._database.read() as session:
            row = await find_job(session, job_id)
        return None if row is None or JobState(row.state).final else row.desired

    async def logs(self, caller: Caller, job_id: str, params: LogParams) -> AsyncIterator[bytes]:
        """The job's log; found or not is known before the first byte."""
        if params.tail is not None and params.tail_bytes is not None:
            raise BadRequest("Give 'tail' (lines) or 'tail_bytes', not both.", param="tail_bytes")
        row = await self._row(caller, job_id)
        cluster = await self._cluster_of(row)
        return cluster.jobs.logs(job_id, follow=params.follow, tail_lines=params.tail, tail_bytes=params.tail_bytes)

    async def unfinished_on(self, organization_id: str, cluster: str) -> int:
        """See `clusters.sources.PlacedJobs`."""
        async with self._database.read() as session:
            return len(await unfinished_jobs(session, organization_id=organization_id, cluster=cluster))

    async def _cluster_of(self, row: JobRow) -> Cluster:
        """Raises `Conflict` when the job's cluster has been deleted; the job fails by itself then."""
        cluster = await self._clusters.get(row.cluster, row.organization_id)
        if cluster is None:
            raise Conflict(f"The cluster '{row.cluster}', which has this job, is no longer there.", code="cluster_gone")
        return cluster

    async def _end_unsubmitted(self, caller: Caller, job_id: str, state: JobState) -> FineTuningJob:
        """For a job that no cluster has: one that is paused, or whose files are being checked."""
        self._tracker.end_check(job_id)
        async with self._database.write() as session:
            row = await self._require(JobStore(session, caller.project_id), job_id)
            if not JobState(row.state).final:
                await self._recorder.set_state(session, row, state, str(state))
        return public_job(row)

    async def _wish(self, caller: Caller, job_id: str, desired: Wish) -> JobRow:
        """Write down what the owner wants before asking the cluster, so that a crash in between forgets nothing."""
        async with self._database.write() as session:
            row = await self._require(JobStore(session, caller.project_id), job_id)
            if desired == "cancel" and row.state == JobState.CANCELLED:
                return row
            if JobState(row.state).final:
                raise BadRequest(f"Job '{job_id}' has already {_past(row.state)}.", code="job_ended")
            if desired == "pause" and row.desired == "cancel":
                raise BadRequest(f"Job '{job_id}' is being cancelled.", code="job_ended")
            row.desired = desired
            return row

    async def _settled(self, caller: Caller, job_id: str, state: JobState) -> FineTuningJob:
        """The job once it has reached `state` or ended otherwise; as it is when that takes too long."""
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                while True:
                    changed = self._recorder.changed()
                    row = await self._row(caller, job_id)
                    if row.state == state or JobState(row.state).final:
                        break
                    await changed.wait()
        except TimeoutError:
            row = await self._row(caller, job_id)
        return public_job(row)

    async def _row(self, caller: Caller, job_id: str) -> JobRow:
        async with self._database.read() as session:
            return await self._require(JobStore(session, caller.project_id), job_id)

    async def _require(self, jobs: JobStore, job_id: str) -> JobRow:
        row = await jobs.get(job_id)
        if row is None:
            raise NotFound(f"No fine-tuning job '{job_id}'.", param="fine_tuning_job_id", code="job_not_found")
        return row

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


def _past(state: str) -> str:
    return "been cancelled" if state == JobState.CANCELLED else state


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
