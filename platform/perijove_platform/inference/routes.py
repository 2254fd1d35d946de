"""`/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from perijove_platform.inference import chat, completions
from perijove_platform.inference.schemas import ChatRequest, CompletionRequest, EmbeddingRequest
from perijove_platform.inference.service import InferenceService
from perijove_platform.inference.sse import EventStream, answer_while_connected
from perijove_platform.rbac import Caller, requires

router = APIRouter(tags=["inference"])


def _service(request: Request) -> InferenceService:
    service: InferenceService = request.app.state.inference
    return service


Service = Annotated[InferenceService, Depends(_service)]


@router.post("/v1/chat/completions", response_model=None)
async def create_chat_completion(
    body: ChatRequest, request: Request, service: Service, caller: Annotated[Caller, requires("inference.use")]
) -> Response:
    """An answer to a conversation, at once or as server-sent events."""
    chat.check(body)
    if body.stream:
        return EventStream(service.chat_stream(caller, body))
    return await answer_while_connected(request, service.chat(caller, body))


@router.post("/v1/completions", response_model=None)
async def create_completion(
    body: CompletionRequest, request: Request, service: Service, caller: Annotated[Caller, requires("inference.use")]
) -> Response:
    """A continuation of each prompt, at once or as server-sent events."""
    completions.check(body)
    if body.stream:
        return EventStream(service.completion_stream(caller, body))
    return await answer_while_connected(request, service.completion(caller, body))


@router.post("/v1/embeddings", response_model=None)
async def create_embeddings(
    body: EmbeddingRequest, request: Request, service: Service, caller: Annotated[Caller, requires("inference.use")]
) -> Response:
    """One vector for each input."""
    return await answer_while_connected(request, service.embed(caller, body))
