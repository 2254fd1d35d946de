"""`/v1/uploads`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from perijove_platform.errors import ApiError
from perijove_platform.files.multipart import MultipartReader
from perijove_platform.files.schemas import Upload, UploadComplete, UploadCreate, UploadPart
from perijove_platform.files.uploads import UploadsService
from perijove_platform.rbac import Caller, requires
from perijove_platform.settings import Settings

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["data"],
                    "properties": {
                        "data": {"type": "string", "format": "binary"},
                        "offset": {"type": "integer", "minimum": 0},
                    },
                }
            }
        },
    }
}


def _service(request: Request) -> UploadsService:
    service: UploadsService = request.app.state.uploads
    return service


Service = Annotated[UploadsService, Depends(_service)]
Writer = Annotated[Caller, requires("files.write")]


@router.post("")
async def create_upload(service: Service, caller: Writer, body: UploadCreate) -> Upload:
    """Announce a file that will be sent in parts within an hour."""
    return await service.create(caller, body)


@router.get("/{upload_id}")
async def retrieve_upload(
    service: Service, caller: Annotated[Caller, requires("files.read")], upload_id: str
) -> Upload:
    """The upload with the parts received so far, for resuming."""
    return await service.get(caller, upload_id)


@router.post("/{upload_id}/parts", openapi_extra=_FORM)
async def add_upload_part(request: Request, service: Service, caller: Writer, upload_id: str) -> UploadPart:
    """Send one part; several may be sent at once, in any order."""
    settings: Settings = request.app.state.settings
    form = MultipartReader(request, file_field="data", max_bytes=settings.max_upload_part_bytes)
    try:
        return await service.add_part(caller, upload_id, form)
    except ApiError:
        await form.drain()
        raise


@router.post("/{upload_id}/complete")
async def complete_upload(service: Service, caller: Writer, upload_id: str, body: UploadComplete) -> Upload:
    """Join the parts, in the given order, to a file."""
    return await service.complete(caller, upload_id, body)


@router.post("/{upload_id}/cancel")
async def cancel_upload(service: Service, caller: Writer, upload_id: str) -> Upload:
    """Drop the upload and its parts."""
    return await service.cancel(caller, upload_id)
