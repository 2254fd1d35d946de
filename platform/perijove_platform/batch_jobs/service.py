"""The rules of batch jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from perijove_platform.batch_jobs.kind import BatchCommands
from perijove_platform.batch_jobs.schemas import BatchJob, BatchJobCreate, BatchJobEvent
from perijove_platform.batch_jobs.sources import InputFiles
from perijove_platform.batch_jobs.store import BatchJobRow
from perijove_platform.errors import BadRequest, NotFound
from perijove_platform.ids import new_id
from perijove_platform.jobs.lifecycle import JobLifecycle
from perijove_platform.jobs.schemas import EventListParams, JobListParams, LogParams
from perijove_platform.pagination import Page, page
from perijove_platform.rbac import Caller
from perijove_platform.runtimes.base import Cluster, JobState


class BatchJobsService:
    """Creates, lists and steers batch jobs."""

    def __init__(self, lifecycle: JobLifecycle, files: InputFiles) -> None:
        self._files = files
        self._kind = BatchCommands()
        self._jobs = lifecycle.manage(self._kind)

    async def create(self, caller: Caller, request: BatchJobCreate) -> BatchJob:
        """Queue a command.

        Raises:
            BadRequest: a file is not there, or the cluster cannot run such a job.
            RateLimited: too many unfinished jobs.
        """
        cluster = await self._jobs.cluster(caller, request.cluster)
        _check_place(cluster, request)
        row = BatchJobRow(
            id=new_id("batchjob-"),
            organization_id=caller.organization_id,
            project_id=caller.project_id,
            created_by=caller.user_id,
            cluster=cluster.name,
            job_metadata=request.metadata,
            inputs=await self._inputs(caller, request),
            priority=request.priority,
            max_run_seconds=request.max_run_seconds,
            desired="run",
            state=str(JobState.QUEUED),
            name=request.name,
            image=request.image,
            command=request.command,
            environment=request.environment,
            files=[file.model_dump() for file in request.files],
            resources=request.resources.model_dump(),
            completions=request.completions,
            parallelism=min(request.parallelism, request.completions),
            completed=0,
        )
        created = self._kind.public(await self._jobs.create(row))
        await self._jobs.carry_out(row)
        return created

    async def list_jobs(self, caller: Caller, params: JobListParams, metadata: Mapping[str, str]) -> Page[BatchJob]:
        rows, more = await self._jobs.page(caller, params, metadata)
        return page([self._kind.public(row) for row in rows], more)

    async def get(self, caller: Caller, job_id: str) -> BatchJob:
        return self._kind.public(await self._jobs.get(caller, job_id))

    async def events(self, caller: Caller, job_id: str, params: EventListParams) -> Page[BatchJobEvent]:
        rows, more = await self._jobs.events(caller, job_id, params)
        return page([self._kind.public_event(row) for row in rows], more)

    async def cancel(self, caller: Caller, job_id: str) -> BatchJob:
        """Raises `BadRequest` when the job has ended otherwise."""
        return self._kind.public(await self._jobs.cancel(caller, job_id))

    async def pause(self, caller: Caller, job_id: str) -> BatchJob:
        """Stop; commands that had not ended begin anew later."""
        return self._kind.public(await self._jobs.pause(caller, job_id))

    async def resume(self, caller: Caller, job_id: str) -> BatchJob:
        """Raises `BadRequest` when the job is not paused."""
        return self._kind.public(await self._jobs.resume(caller, job_id))

    async def logs(self, caller: Caller, job_id: str, params: LogParams) -> AsyncIterator[bytes]:
        """The job's log; found or not is known before the first byte."""
        return await self._jobs.logs(caller, job_id, params)

    async def _inputs(self, caller: Caller, request: BatchJobCreate) -> dict[str, str]:
        inputs = {}
        for number, file in enumerate(request.files):
            try:
                inputs[file.path] = await self._files.key_of(caller, file.file_id)
            except NotFound as error:
                param = f"files[{number}].file_id"
                raise BadRequest(error.message, param=param, code="file_not_found") from error
        return inputs


def _check_place(cluster: Cluster, request: BatchJobCreate) -> None:
    if cluster.jobs.takes_images:
        if request.image is None:
            message = f"The command runs in a container on '{cluster.name}'. Name its image in 'image'."
            raise BadRequest(message, param="image", code="image_required")
        return
    if request.image is not None:
        message = f"The command runs as a program of this machine on '{cluster.name}'. Leave 'image' out."
        raise BadRequest(message, param="image", code="image_not_supported")
    if request.resources.gpus:
        message = f"'{cluster.name}' has no GPUs to give away. Leave 'gpus' out, or name another cluster."
        raise BadRequest(message, param="resources.gpus", code="no_gpus")
