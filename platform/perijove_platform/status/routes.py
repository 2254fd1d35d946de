"""`/healthz` and `/v1/status`."""

import asyncio
import time
from typing import Annotated

import psutil
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from perijove_platform import __version__
from perijove_platform.rbac import Caller, requires
from perijove_platform.runtimes.base import Cluster
from perijove_platform.status.schemas import Engine, Status

router = APIRouter(tags=["status"])


@router.get("/healthz", response_class=PlainTextResponse, openapi_extra={"security": []})
async def get_health() -> str:
    """Answers once every service has started. Needs no key and tells nothing else."""
    return "ok"


@router.get("/v1/status")
async def get_status(request: Request, caller: Annotated[Caller, requires("platform.read")]) -> Status:
    """Version, memory and engines of this platform process."""
    cluster: Cluster = request.app.state.cluster
    capacity = await cluster.capacity()
    process = psutil.Process()
    memory = await asyncio.to_thread(process.memory_info)
    return Status(
        version=__version__,
        uptime_seconds=round(time.time() - process.create_time(), 1),
        memory_bytes=memory.rss,
        disk_free_bytes=capacity.disk_free_bytes,
        engines=[
            Engine(model=e.model_id, state=e.state.value, reason=e.reason, memory_bytes=e.memory_bytes)
            for e in cluster.serving.engines()
        ],
    )
