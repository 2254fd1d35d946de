"""`/v1/fine_tuning/jobs`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from perijove_platform.fine_tuning.schemas import Checkpoint, FineTuningJob, JobCreate, JobEvent
from perijove_platform.fine_tuning.service import FineTuningService
from perijove_platform.jobs.schemas import EventListParams, JobListParams, LogParams, metadata_filter
from perijove_platform.pagination import ListParams, Page
from perijove_platform.rbac import Caller, requires

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"])


def _service(request: Request) -> FineTuningService:
    service: FineTuningService = request.app.state.fine_tuning
    return service


def _metadata(request: Request) -> dict[str, str]:
    return metadata_filter(request.query_params)


Service = Annotated[FineTuningService, Depends(_service)]
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
