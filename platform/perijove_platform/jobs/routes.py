"""`/v1/fine_tuning/jobs`."""

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from perijove_platform.jobs.schemas import (
    Checkpoint,
    EventListParams,
    FineTuningJob,
    JobCreate,
    JobEvent,
    JobListParams,
    LogParams,
)
from perijove_platform.jobs.service import JobsService
from perijove_platform.pagination import ListParams, Page
from perijove_platform.rbac import Caller, requires

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"])

_METADATA = re.compile(r"metadata\[(.+)\]")


def _service(request: Request) -> JobsService:
    service: JobsService = request.app.state.jobs
    return service


def _metadata(request: Request) -> dict[str, str]:
    """The filter ``?metadata[key]=value``, which may be given for several keys."""
    pairs = request.query_params.items()
    return {match[1]: value for name, value in pairs if (match := _METADATA.fullmatch(name)) is not None}


Service = Annotated[JobsService, Depends(_service)]
Reader = Annotated[Caller, requires("jobs.read")]
Writer = Annotated[Caller, requires("jobs.write")]


@router.post("")
async def create_fine_tuning_job(service: Service, caller: Writer, body: JobCreate) -> FineTuningJob:
    """Check the files and the model, then queue a fine-tune."""
    return await service.create(caller, body)


@router.get("")
async def list_fine_tuning_jobs(
    service: Service,
    caller: Reader,
    params: Annotated[JobListParams, Query()],
    metadata: Annotated[dict[str, str], Depends(_metadata)],
) -> Page[FineTuningJob]:
    """The project's jobs; `metadata[key]=value` filters."""
    return await service.list_jobs(caller, params, metadata)


@router.get("/{job_id}")
async def get_fine_tuning_job(service: Service, caller: Reader, job_id: str) -> FineTuningJob:
    """One job."""
    return await service.get(caller, job_id)


@router.post("/{job_id}/cancel")
async def cancel_fine_tuning_job(service: Service, caller: Writer, job_id: str) -> FineTuningJob:
    """Stop a job for good, within a second."""
    return await service.cancel(caller, job_id)


@router.post("/{job_id}/pause")
async def pause_fine_tuning_job(service: Service, caller: Writer, job_id: str) -> FineTuningJob:
    """Stop a job, to go on later from its last checkpoint."""
    return await service.pause(caller, job_id)


@router.post("/{job_id}/resume")
async def resume_fine_tuning_job(service: Service, caller: Writer, job_id: str) -> FineTuningJob:
    """Queue a paused job again."""
    return await service.resume(caller, job_id)


@router.get("/{job_id}/events")
async def list_fine_tuning_events(
    service: Service, caller: Reader, job_id: str, params: Annotated[EventListParams, Query()]
) -> Page[JobEvent]:
    """What happened to the job, newest first."""
    return await service.events(caller, job_id, params)


@router.get("/{job_id}/checkpoints")
async def list_fine_tuning_checkpoints(
    service: Service, caller: Reader, job_id: str, params: Annotated[ListParams, Query()]
) -> Page[Checkpoint]:
    """The job's checkpoints, newest first."""
    return await service.checkpoints(caller, job_id, params)


@router.get("/{job_id}/logs", response_class=StreamingResponse)
async def get_fine_tuning_logs(
    service: Service, caller: Reader, job_id: str, params: Annotated[LogParams, Query()]
) -> StreamingResponse:
    """What the trainer wrote, as plain text; with `follow`, until the run ends."""
    chunks = await service.logs(caller, job_id, params)
    return StreamingResponse(chunks, media_type="text/plain; charset=utf-8")
