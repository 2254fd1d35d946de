"""`/v1/objects`: the bytes of one object, for who holds an address that was signed for it.

Only a platform that keeps its objects in a folder serves these; on S3 the signed addresses lead there.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Security
from fastapi.responses import Response, StreamingResponse
from fastapi.security import SecurityScopes
from starlette.requests import ClientDisconnect

from perijove_platform.errors import ApiError, BadRequest, NotFound, TooLarge
from perijove_platform.objects.base import Chunk, ObjectMissing, ObjectStore
from perijove_platform.objects.folder import FolderStore
from perijove_platform.rbac import authenticates
from perijove_platform.settings import Settings

router = APIRouter(prefix="/v1/objects", tags=["objects"])

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


class RangeNotSatisfiable(ApiError):
    status = 416
    type = "invalid_request_error"
    default_code = "range_not_satisfiable"


def _folder(request: Request) -> FolderStore:
    store: ObjectStore = request.app.state.objects
    if not isinstance(store, FolderStore):
        raise NotFound("This platform keeps its objects in S3; the addresses that it signs lead there.")
    return store


Folder = Annotated[FolderStore, Depends(_folder)]


@authenticates
async def _signed(
    request: Request,
    store: Folder,
    needed: SecurityScopes,
    key: str,
    expires: Annotated[int, Query(ge=0, le=2**53)],
    signature: Annotated[str, Query(max_length=256)],
) -> str:
    """The key, once the address has been found to be signed for it; what was signed stands for the scope."""
    await asyncio.to_thread(store.verify, request.method, key, expires, signature)
    return key


SignedKey = Annotated[str, Security(_signed, scopes=["objects.signed"])]


@router.get(
    "/{key:path}",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, 206: {}, 416: {}},
)
async def get_object(request: Request, store: Folder, key: SignedKey) -> Response:
    """The object's bytes; one range that begins at a byte can be asked for."""
    try:
        size = await store.size(key)
    except ObjectMissing:
        raise NotFound("There is no such object any more.", code="object_missing") from None
    bounds = _range(request.headers, size)
    start, stop = bounds or (0, size)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(stop - start), "X-Content-Type-Options": "nosniff"}
    if bounds is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return StreamingResponse(
        store.get(key, start=start, stop=stop),
        status_code=200 if bounds is None else 206,
        headers=headers,
        media_type="application/octet-stream",
    )


def _range(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, or ``None`` for the whole, as for a header of another form."""
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if found is None:
        return None
    start = int(found[1])
    stop = min(size, int(found[2]) + 1) if found[2] else size
    if start >= stop:
        message = f"The object has {size} bytes; the range '{headers['range'][:60]}' lies outside."
        raise RangeNotSatisfiable(message, headers={"Content-Range": f"bytes */{size}"})
    return start, stop


@router.put("/{key:path}", status_code=204, response_class=Response)
async def put_object(request: Request, store: Folder, key: SignedKey) -> Response:
    """Write the object, as it arrives; it appears whole and durable, or not at all."""
    settings: Settings = request.app.state.settings
    announced = request.headers.get("content-length", "")
    if not announced.isascii() or not announced.isdecimal():
        message = "The length of the object has to be announced: send a Content-Length."
        raise BadRequest(message, code="length_required")
    if len(announced) > 18 or int(announced) > settings.max_file_bytes:
        raise TooLarge(f"An object has at most {settings.max_file_bytes} bytes.")
    try:
        await store.put(key, _body(request, int(announced)))
    except ClientDisconnect:
        raise BadRequest("The connection was cut before the whole object had arrived. Send it again.") from None
    return Response(status_code=204)


async def _body(request: Request, announced: int) -> AsyncIterator[Chunk]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > announced:
            raise BadRequest("More bytes have arrived than were announced. Send the object again.")
        yield chunk
    if received != announced:
        raise BadRequest(f"Of {announced} bytes {received} have arrived. Send the object again.")
