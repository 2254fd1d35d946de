"""`/v1/job_runs`: what the runner in a job's pod asks of the platform, with that job's own token."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import SecurityScopes

from perijove_platform.errors import Unauthorized
from perijove_platform.jobs.run_schemas import Attempt, Inputs, ReportsCreate, ReportsReceived, Urls, UrlsCreate
from perijove_platform.jobs.run_service import JobRunsService
from perijove_platform.jobs.run_store import JobRunRow
from perijove_platform.rbac import authenticates

router = APIRouter(prefix="/v1/job_runs/{job_id}", tags=["job runs"])


def _service(request: Request) -> JobRunsService:
    service: JobRunsService = request.app.state.job_runs
    return service


Service = Annotated[JobRunsService, Depends(_service)]


@authenticates
async def _run(request: Request, service: Service, needed: SecurityScopes, job_id: str) -> JobRunRow:
    """The run whose token was given: it allows what this job's runner may do, and nothing else."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        message = "No job token was given. It lies in the job's Secret; API keys are not taken here."
        raise Unauthorized(message, code="invalid_job_token", headers={"WWW-Authenticate": "Bearer"})
    return await service.authenticate(job_id, token.strip())


Run = Annotated[JobRunRow, Security(_run, scopes=["job_runs.write"])]


@router.post("/attempts", status_code=201)
async def create_attempt(service: Service, run: Run) -> Attempt:
    """A pod begins: earlier pods of the job are refused from now on."""
    return await service.new_attempt(run)


@router.get("/inputs")
async def get_inputs(service: Service, run: Run) -> Inputs:
    """Fresh addresses of the job's inputs, and of the newest checkpoint if there is one."""
    return await service.inputs(run)


@router.post("/urls")
async def create_urls(service: Service, run: Run, body: UrlsCreate) -> Urls:
    """Addresses to write checkpoints and results to, for 15 minutes."""
    return await service.urls(run, body)


@router.post("/reports")
async def create_reports(service: Service, run: Run, body: ReportsCreate) -> ReportsReceived:
    """What the program has reported, in order; what has been received before changes nothing."""
    return await service.add_reports(run, body)
