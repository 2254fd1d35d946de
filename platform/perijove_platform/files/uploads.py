"""The rules of uploads: a file sent in parts, in parallel and in any order, that can be resumed."""

from collections.abc import AsyncIterator, Sequence

from perijove_platform.database import Database, now
from perijove_platform.errors import ApiError, BadRequest, Conflict, NotFound
from perijove_platform.files.forms import LineCounter, content_type_of, parse_fields
from perijove_platform.files.multipart import MultipartReader, too_large
from perijove_platform.files.schemas import (
    MAX_PARTS,
    FileObject,
    PartForm,
    Upload,
    UploadComplete,
    UploadCreate,
    UploadPart,
)
from perijove_platform.files.service import FilesService, NewFile, lifetime, object_key, to_public
from perijove_platform.files.store import FileStore, UploadPartRow, UploadRow, UploadStore
from perijove_platform.ids import new_id
from perijove_platform.objects import ObjectMissing, ObjectStore, Stored
from perijove_platform.rbac import Caller

UPLOAD_SECONDS = 3600
"""As with OpenAI, an upload has an hour to be completed."""


class UploadsService:
    """Uploads of every project.

    Args:
        max_file_bytes: of the whole; `max_part_bytes` of one part.
    """

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        files: FilesService,
        *,
        max_file_bytes: int,
        max_part_bytes: int,
    ) -> None:
        self._database = database
        self._objects = objects
        self._files = files
        self._max_file_bytes = max_file_bytes
        self._max_part_bytes = max_part_bytes
        self._completing: set[str] = set()

    async def create(self, caller: Caller, body: UploadCreate) -> Upload:
        if body.bytes > self._max_file_bytes:
            raise too_large(self._max_file_bytes, "bytes")
        await self._files.check_room(body.bytes)
        at = now()
        row = UploadRow(
            id=new_id("upload_"),
            organization_id=caller.organization_id,
            project_id=caller.project_id,
            created_by=caller.user_id,
            created_at=at,
            filename=body.filename,
            purpose=body.purpose,
            mime_type=body.mime_type,
            bytes=body.bytes,
            status="pending",
            expires_at=at + UPLOAD_SECONDS,
            file_seconds=lifetime(body.purpose, body.expires_after),
        )
        async with self._database.write() as session:
            await UploadStore(session, caller.project_id).add(row)
        self._files.expiry_changed.set()
        return _public(row)

    async def get(self, caller: Caller, upload_id: str) -> Upload:
        """The upload with the parts received so far, or with its file."""
        async with self._database.read() as session:
            uploads = UploadStore(session, caller.project_id)
            row = await uploads.get(upload_id)
            if row is None:
                raise _no_upload(upload_id)
            parts = await uploads.parts(upload_id)
            file = await FileStore(session, caller.project_id).get(row.file_id) if row.file_id else None
        return _public(
            row, file=to_public(file) if file is not None else None, parts=[_public_part(part) for part in parts]
        )

    async def add_part(self, caller: Caller, upload_id: str, form: MultipartReader) -> UploadPart:
        """Keep one part as it arrives. Raises `BadRequest` when the upload is not pending."""
        upload = await self._pending(caller, upload_id)
        await form.open()
        part_id = new_id("part_")
        key = f"uploads/{caller.project_id}/{upload_id}/{part_id}"
        stored = await self._objects.put(key, form.chunks())
        try:
            await form.finish()
            fields = parse_fields(PartForm, form.fields)
            if stored.size == 0:
                raise BadRequest("The part is empty (0 bytes). Send its content.", param="data", code="empty_part")
            row = UploadPartRow(
                id=part_id,
                organization_id=caller.organization_id,
                project_id=caller.project_id,
                created_by=caller.user_id,
                created_at=now(),
                upload_id=upload_id,
                bytes=stored.size,
                offset=fields.offset,
                sha256=stored.sha256,
                object_key=key,
            )
            await self._add_row(caller, upload, row)
        except Exception:
            await self._objects.delete(key)
            raise
        return _public_part(row)

    async def _add_row(self, caller: Caller, upload: UploadRow, row: UploadPartRow) -> None:
        async with self._database.write() as session:
            store = UploadStore(session, caller.project_id)
            current = await store.get(upload.id, lock=True)
            if current is None or current.status != "pending":
                raise _not_pending(current or upload)
            count, received = await store.received(upload.id)
            # Parts may be sent twice, when an answer was lost, but not without end.
            if count >= MAX_PARTS or received + row.bytes > 2 * upload.bytes + self._max_part_bytes:
                raise BadRequest(
                    f"The upload has {count} parts of {received:,} bytes together already, for a file of "
                    f"{upload.bytes:,} bytes. Complete it with some of them, or cancel it.",
                    param="data",
                )
            await store.add(row)

    async def complete(self, caller: Caller, upload_id: str, body: UploadComplete) -> Upload:
        """Join the parts, in the given order, to the file."""
        upload = await self._pending(caller, upload_id)
        if upload_id in self._completing:
            raise Conflict(f"The upload '{upload_id}' is being completed already. Wait for that request to end.")
        self._completing.add(upload_id)
        try:
            return await self._complete(caller, upload, body)
        finally:
            self._completing.discard(upload_id)

    async def _complete(self, caller: Caller, upload: UploadRow, body: UploadComplete) -> Upload:
        keys = await self._chosen(caller, upload, body.part_ids)
        new = NewFile(
            id=new_id("file-"),
            filename=upload.filename,
            purpose=upload.purpose,
            content_type=content_type_of(upload.filename, upload.mime_type),
            seconds=upload.file_seconds,
        )
        counter = LineCounter()
        target = object_key(caller.project_id, new.id)
        try:
            stored = await self._objects.put(target, counter.count(self._joined(keys)), md5=body.md5 is not None)
        except ObjectMissing:
            raise _not_pending(upload) from None
        try:
            _check_md5(stored, body.md5)
            file = await self._record(caller, upload, new, stored, counter.lines)
        except Exception:
            if await self._files.find(caller.project_id, new.id) is None:
                await self._objects.delete(target)
            raise
        await self._objects.delete_prefix(parts_prefix(upload))
        upload.status = "completed"
        return _public(upload, file=file)

    async def _joined(self, keys: Sequence[str]) -> AsyncIterator[bytes]:
        for key in keys:
            async for chunk in self._objects.get(key):
                yield chunk

    async def _record(
        self, caller: Caller, upload: UploadRow, new: NewFile, stored: Stored, lines: int | None
    ) -> FileObject:
        async with self._database.write() as session:
            if not await UploadStore(session, caller.project_id).end(upload.id, "completed", file_id=new.id):
                raise _not_pending(upload)
            return await self._files.add_row(FileStore(session, caller.project_id), caller, new, stored, lines)

    async def _chosen(self, caller: Caller, upload: UploadRow, part_ids: Sequence[str]) -> list[str]:
        """The objects of the parts, in order."""
        if len(set(part_ids)) != len(part_ids):
            raise BadRequest("'part_ids' names a part twice.", param="part_ids")
        async with self._database.read() as session:
            parts = {part.id: part for part in await UploadStore(session, caller.project_id).parts(upload.id)}
        unknown = [part_id for part_id in part_ids if part_id not in parts]
        if unknown:
            raise BadRequest(f"The upload has no part '{unknown[0]}'.", param="part_ids", code="part_not_found")
        total = sum(parts[part_id].bytes for part_id in part_ids)
        if total != upload.bytes:
            raise BadRequest(
                f"The parts have {total:,} bytes together; the upload was announced with {upload.bytes:,}. "
                "Send what is missing, or create a new upload with the right size.",
                param="part_ids",
                code="size_mismatch",
            )
        return [parts[part_id].object_key for part_id in part_ids]

    async def cancel(self, caller: Caller, upload_id: str) -> Upload:
        upload = await self._pending(caller, upload_id)
        await self.end(upload, "cancelled")
        return _public(upload)

    async def end(self, upload: UploadRow, status: str) -> None:
        """End a pending upload without a file, and drop its parts."""
        async with self._database.write() as session:
            if not await UploadStore(session, upload.project_id).end(upload.id, status):
                raise _not_pending(upload)
        upload.status = status
        await self._objects.delete_prefix(parts_prefix(upload))

    async def _pending(self, caller: Caller, upload_id: str) -> UploadRow:
        async with self._database.read() as session:
            row = await UploadStore(session, caller.project_id).get(upload_id)
        if row is None:
            raise _no_upload(upload_id)
        if row.status != "pending" or row.expires_at <= now():
            raise _not_pending(row)
        return row


def parts_prefix(upload: UploadRow) -> str:
    return f"uploads/{upload.project_id}/{upload.id}/"


def _check_md5(stored: Stored, expected: str | None) -> None:
    if expected is not None and stored.md5 != expected.lower():
        raise BadRequest(
            f"The file's md5 is {stored.md5}, not {expected.lower()}. Check the order of 'part_ids', or send it again.",
            param="md5",
            code="md5_mismatch",
        )


def _no_upload(upload_id: str) -> ApiError:
    return NotFound(f"No upload has the id '{upload_id[:80]}'.", param="upload_id")


def _not_pending(row: UploadRow) -> ApiError:
    status = "expired" if row.status == "pending" and row.expires_at <= now() else row.status
    if status == "pending":
        status = "no longer pending"
    return BadRequest(
        f"The upload '{row.id}' is {status}. Create a new one.", param="upload_id", code="upload_not_pending"
    )


def _public_part(row: UploadPartRow) -> UploadPart:
    return UploadPart(
        id=row.id,
        created_at=row.created_at,
        upload_id=row.upload_id,
        bytes=row.bytes,
        offset=row.offset,
        sha256=row.sha256,
    )


def _public(row: UploadRow, *, file: FileObject | None = None, parts: list[UploadPart] | None = None) -> Upload:
    return Upload.model_validate(
        {
            "id": row.id,
            "bytes": row.bytes,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "filename": row.filename,
            "purpose": row.purpose,
            "status": "expired" if row.status == "pending" and row.expires_at <= now() else row.status,
            "mime_type": row.mime_type,
            "file": file,
            "parts": parts,
        }
    )
