"""`GET /v1/events`: the project's events as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from perijove_platform.errors import BadRequest
from perijove_platform.events.schemas import Event
from perijove_platform.events.service import EventBus, Recorded
from perijove_platform.rbac import Caller, requires

KEEP_ALIVE_SECONDS = 15
MAX_EVENT_ID_DIGITS = 18
router = APIRouter(tags=["events"])


@router.get("/v1/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def stream_events(
    request: Request,
    caller: Annotated[Caller, requires("events.read")],
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Everything that changes in the project and its organization, from now on or after ``Last-Event-ID``.

    An event ``reset`` says that events in between are gone and lists must be read again.
    """
    bus: EventBus = request.app.state.events
    if last_event_id is not None and not (last_event_id.isdecimal() and len(last_event_id) <= MAX_EVENT_ID_DIGITS):
        raise BadRequest("Last-Event-ID is the number that an earlier event carried as its id.", param="Last-Event-ID")
    last_id = int(last_event_id) if last_event_id is not None else await bus.newest()
    events = bus.subscribe(project_id=caller.project_id, organization_id=caller.organization_id, last_id=last_id)
    return StreamingResponse(
        _encode(events, last_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _encode(events: AsyncIterator[Recorded], last_id: int) -> AsyncIterator[bytes]:
    # The first bytes say that the stream stands and where it starts, so that a client that loses it at once resumes.
    yield f": connected\nid: {last_id}\n\n".encode()
    waiting = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait([waiting], timeout=KEEP_ALIVE_SECONDS)
            if not done:
                yield b": keep-alive\n\n"
                continue
            yield _frame(waiting.result())
            waiting = asyncio.ensure_future(anext(events))
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def _frame(event: Recorded) -> bytes:
    body = Event(
        id=event.id, type=event.type, created_at=event.created_at, object_id=event.object_id, data=event.data
    ).model_dump_json()
    return f"id: {event.id}\nevent: {event.type}\ndata: {body}\n\n".encode()
