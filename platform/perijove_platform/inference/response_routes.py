"""`/v1/responses`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse
from starlette.responses import Response as HttpResponse

from perijove_platform.errors import BadRequest
from perijove_platform.inference import response_input
from perijove_platform.inference.response_schemas import Includable, ItemList, ResponseRequest
from perijove_platform.inference.response_stream import Event
from perijove_platform.inference.responses import ResponsesService
from perijove_platform.inference.sse import EventStream, answer_while_connected, named_frame
from perijove_platform.pagination import ListParams
from perijove_platform.rbac import Caller, requires
from perijove_platform.schemas import Deleted

router = APIRouter(tags=["responses"])


def _service(request: Request) -> ResponsesService:
    service: ResponsesService = request.app.state.responses
    return service


Service = Annotated[ResponsesService, Depends(_service)]
User = Annotated[Caller, requires("inference.use")]


async def _frames(events: AsyncGenerator[Event]) -> AsyncGenerator[bytes]:
    async with aclosing(events):
        async for event in events:
            yield named_frame(event["type"], event)


def _error_frame(envelope: dict[str, Any]) -> bytes:
    return named_frame("error", envelope)


@router.post("/v1/responses", response_model=None)
async def create_response(body: ResponseRequest, request: Request, service: Service, caller: User) -> HttpResponse:
    """An answer that can be continued by its id, at once or as semantic events."""
    response_input.check(body)
    if body.stream:
        return EventStream(_frames(service.stream(caller, body)), _error_frame)
    return await answer_while_connected(request, service.create(caller, body))


@router.get("/v1/responses/{response_id}", response_model=None)
async def get_response(
    response_id: str,
    service: Service,
    caller: User,
    include: Annotated[list[Includable] | None, Query()] = None,
    include_array: Annotated[list[Includable] | None, Query(alias="include[]")] = None,
    stream: bool = False,
    starting_after: int | None = None,
    include_obfuscation: bool = False,
) -> HttpResponse:
    """A stored response. `include` changes nothing: what is kept is what was included at creation."""
    if stream or starting_after is not None or include_obfuscation:
        raise BadRequest(
            "A stored response is not streamed: leave out 'stream', 'starting_after' and 'include_obfuscation'.",
            param="stream",
            code="unsupported_parameter",
        )
    return JSONResponse(await service.retrieve(caller, response_id))


@router.delete("/v1/responses/{response_id}")
async def delete_response(response_id: str, service: Service, caller: User) -> Deleted:
    """Forget a response; those that continue it can no longer be continued."""
    await service.delete(caller, response_id)
    return Deleted(id=response_id, object="response")


@router.post("/v1/responses/{response_id}/cancel", response_model=None)
async def cancel_response(response_id: str, service: Service, caller: User) -> None:
    """A 400: only background responses, which this platform does not have, can be cancelled."""
    await service.cancel(caller, response_id)


@router.get("/v1/responses/{response_id}/input_items")
async def list_input_items(
    response_id: str,
    service: Service,
    caller: User,
    params: Annotated[ListParams, Query()],
    include: Annotated[list[Includable] | None, Query()] = None,
    include_array: Annotated[list[Includable] | None, Query(alias="include[]")] = None,
) -> ItemList:
    """What was sent to make a response."""
    return await service.input_items(caller, response_id, params)
