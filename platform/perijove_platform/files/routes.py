"""`/v1/files`."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from perijove_platform.errors import ApiError
from perijove_platform.files.multipart import MultipartReader
from perijove_platform.files.schemas import UPLOAD_PURPOSES, FileListParams, FileObject, Preview, Validation
from perijove_platform.files.service import FilesService
from perijove_platform.pagination import Page
from perijove_platform.rbac import Caller, requires
from perijove_platform.schemas import Deleted
from perijove_platform.settings import Settings

router = APIRouter(prefix="/v1/files", tags=["files"])

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_PLAIN = re.compile(r"[^A-Za-z0-9 !#$&+.^_`|~()\[\]{}@=-]")
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": list(UPLOAD_PURPOSES)},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2592000},
                    },
                }
            }
        },
    }
}


class RangeNotSatisfiable(ApiError):
    status = 416
    type = "invalid_request_error"
    default_code = "range_not_satisfiable"


def _service(request: Request) -> FilesService:
    service: FilesService = request.app.state.files
    return service


Service = Annotated[FilesService, Depends(_service)]


@router.post("", openapi_extra=_FORM)
async def create_file(
    request: Request, service: Service, caller: Annotated[Caller, requires("files.write")]
) -> FileObject:
    """Upload a file; it is streamed to the object store as it arrives."""
    settings: Settings = request.app.state.settings
    form = MultipartReader(request, file_field="file", max_bytes=settings.max_file_bytes)
    try:
        return await service.create(caller, form, announced_bytes=body_bytes(request))
    except ApiError:
        await form.drain()
        raise


def body_bytes(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


@router.get("")
async def list_files(
    service: Service, caller: Annotated[Caller, requires("files.read")], params: Annotated[FileListParams, Query()]
) -> Page[FileObject]:
    """The project's files."""
    return await service.list(caller, params)


@router.get("/{file_id}")
async def retrieve_file(
    service: Service, caller: Annotated[Caller, requires("files.read")], file_id: str
) -> FileObject:
    """One file."""
    return await service.get(caller.project_id, file_id)


@router.delete("/{file_id}")
async def delete_file(service: Service, caller: Annotated[Caller, requires("files.write")], file_id: str) -> Deleted:
    """Delete a file; it is removed from every vector store too."""
    return await service.delete(caller, file_id)


@router.get(
    "/{file_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, 206: {}, 416: {}},
)
async def retrieve_file_content(
    request: Request, service: Service, caller: Annotated[Caller, requires("files.read")], file_id: str
) -> Response:
    """The content; one range of bytes can be asked for."""
    file = await service.get(caller.project_id, file_id)
    bounds = _range(request.headers, file)
    start, stop = bounds or (0, file.bytes)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(stop - start),
        "Content-Disposition": content_disposition(file.filename),
        "ETag": f'"{file.sha256}"',
        # What was uploaded must never run as a page of this server.
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    if bounds is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.bytes}"
    return StreamingResponse(
        service.open(caller.project_id, file_id, start=start, stop=stop),
        status_code=200 if bounds is None else 206,
        headers=headers,
        media_type=file.content_type,
    )


def _range(headers: Mapping[str, str], file: FileObject) -> tuple[int, int] | None:
    """First byte and the one after the last, or ``None`` for the whole (RFC 9110, section 14.2).

    A header of another form, several ranges included, is passed over, as is one with an `If-Range` that differs.
    """
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if found is None or found[0] == "bytes=-" or headers.get("if-range", f'"{file.sha256}"') != f'"{file.sha256}"':
        return None
    first, last = found[1], found[2]
    if not first:
        start, stop = max(0, file.bytes - int(last)), file.bytes
    else:
        start = int(first)
        stop = min(file.bytes, int(last) + 1) if last else file.bytes
        if last and int(last) < start:
            return None
    if start >= stop:
        message = f"The file has {file.bytes} bytes; the range '{headers['range'][:60]}' lies outside."
        raise RangeNotSatisfiable(message, headers={"Content-Range": f"bytes */{file.bytes}"})
    return start, stop


def content_disposition(filename: str) -> str:
    """``attachment`` with the name in full (RFC 8187) and, for old clients, in plain characters (RFC 6266)."""
    plain = _PLAIN.sub("_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


@router.get("/{file_id}/preview")
async def preview_file(
    service: Service,
    caller: Annotated[Caller, requires("files.read")],
    file_id: str,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Preview:
    """Some lines of a text file and how many it has."""
    return await service.preview(caller.project_id, file_id, offset=offset, limit=limit)


@router.get("/{file_id}/validation")
async def validate_file(
    service: Service,
    caller: Annotated[Caller, requires("files.read")],
    file_id: str,
    purpose: Literal["fine-tune"] = "fine-tune",
    max_tokens: Annotated[int | None, Query(ge=1, le=10_000_000, description="The longest example allowed.")] = None,
) -> Validation:
    """Whether the file can be trained on, and which lines cannot."""
    return await service.validate(caller.project_id, file_id, max_tokens=max_tokens)
