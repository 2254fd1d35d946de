"""`/v1/batch_jobs`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from perijove_platform.batch_jobs.schemas import BatchJob, BatchJobCreate, BatchJobEvent
from perijove_platform.batch_jobs.service import BatchJobsService
from perijove_platform.jobs.schemas import EventListParams, JobListParams, LogParams, metadata_filter
from perijove_platform.pagination import Page
from perijove_platform.rbac import Caller, requires

router = APIRouter(prefix="/v1/batch_jobs", tags=["batch jobs"])


def _service(request: Request) -> BatchJobsService:
    service: BatchJobsService = request.app.state.batch_jobs
    return service


def _metadata(request: Request) -> dict[str, str]:
    return metadata_filter(request.query_params)


Service = Annotated[BatchJobsService, Depends(_service)]
Reader = Annotated[Caller, requires("jobs.read")]
Writer = Annotated[Caller, requires("jobs.write")]


@router.post("")
async def create_batch_job(service: Service, caller: Writer, body: BatchJobCreate) -> BatchJob:
    """Queue a command."""
    return await service.create(caller, body)


@router.get("")
async def list_batch_jobs(
    service: Service,
    caller: Reader,
    params: Annotated[JobListParams, Query()],
    metadata: Annotated[dict[str, str], Depends(_metadata)],
) -> Page[BatchJob]:
    """The project's batch jobs; `metadata[key]=value` filters."""
    return await service.list_jobs(caller, params, metadata)


@router.get("/{job_id}")
async def get_batch_job(service: Service, caller: Reader, job_id: str) -> BatchJob:
    """One job."""
    return await service.get(caller, job_id)


@router.post("/{job_id}/cancel")
async def cancel_batch_job(service: Service, caller: Writer, job_id: str) -> BatchJob:
    """Stop a job for good, within a second."""
    return await service.cancel(caller, job_id)


@router.post("/{job_id}/pause")
async def pause_batch_job(service: Service, caller: Writer, job_id: str) -> BatchJob:
    """Stop a job for now; commands that have not ended begin anew when it is resumed."""
    return await service.pause(caller, job_id)


@router.post("/{job_id}/resume")
async def resume_batch_job(service: Service, caller: Writer, job_id: str) -> BatchJob:
    """Queue a paused job again."""
    return await service.resume(caller, job_id)


@router.get("/{job_id}/events")
async def list_batch_job_events(
    service: Service, caller: Reader, job_id: str, params: Annotated[EventListParams, Query()]
) -> Page[BatchJobEvent]:
    """What happened to the job, newest first."""
    return await service.events(caller, job_id, params)


@router.get("/{job_id}/logs", response_class=StreamingResponse)
async def get_batch_job_logs(
    service: Service, caller: Reader, job_id: str, params: Annotated[LogParams, Query()]
) -> StreamingResponse:
    """What the command wrote, as plain text; with `follow`, until the run ends."""
    chunks = await service.logs(caller, job_id, params)
    return StreamingResponse(chunks, media_type="text/plain; charset=utf-8")
