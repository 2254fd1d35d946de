"""The rules of files: whole or not there, immutable, gone when they expire."""

import asyncio
import contextlib
import threading
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from perijove_platform.database import Database, now
from perijove_platform.errors import ApiError, BadRequest, NotFound, OutOfStorage
from perijove_platform.events import EventBus
from perijove_platform.files.forms import LineCounter, content_type_of, filename_of, parse_fields
from perijove_platform.files.multipart import MultipartReader
from perijove_platform.files.preview import preview_lines
from perijove_platform.files.schemas import (
    ExpiresAfter,
    FileForm,
    FileListParams,
    FileObject,
    Preview,
    Purpose,
    Validation,
)
from perijove_platform.files.store import FileRow, FileStore
from perijove_platform.files.training import MAX_ERRORS, Findings, TokenCounter, validate_training_file
from perijove_platform.ids import new_id
from perijove_platform.objects import Chunk, ObjectMissing, ObjectStore, Stored
from perijove_platform.pagination import Page, page
from perijove_platform.rbac import Caller
from perijove_platform.schemas import Deleted

BATCH_SECONDS = 30 * 24 * 3600
"""OpenAI keeps files with purpose ``batch`` for 30 days unless told otherwise."""
_KEPT_VALIDATIONS = 64
_VALIDATIONS_AT_ONCE = 1
_RESERVE_BYTES = 16 * 1024 * 1024
_READ_BYTES = 1024 * 1024


@dataclass(frozen=True)
class NewFile:
    """What is known of a file before its content is there."""

    id: str
    filename: str
    purpose: str
    content_type: str
    seconds: int | None = None


class FilesService:
    """Files of every project.

    Args:
        max_file_bytes: of one file.
        max_tokens: of one training example, unless `validate` is told otherwise.
    """

    def __init__(
        self, database: Database, events: EventBus, objects: ObjectStore, *, max_file_bytes: int, max_tokens: int
    ) -> None:
        self._database = database
        self._events = events
        self._objects = objects
        self._max_file_bytes = max_file_bytes
        self._max_tokens = max_tokens
        self._validations: OrderedDict[tuple[str, int], Validation] = OrderedDict()
        self._validating = asyncio.Semaphore(_VALIDATIONS_AT_ONCE)
        self.expiry_changed = asyncio.Event()

    async def create(self, caller: Caller, form: MultipartReader, *, announced_bytes: int | None) -> FileObject:
        """A file from a form as it arrives.

        Args:
            announced_bytes: of the whole body, so that what cannot fit is refused before it is sent.
        """
        await self.check_room(announced_bytes)
        part = await form.open()
        if "purpose" in form.fields:
            parse_fields(FileForm, form.fields)
        filename = filename_of(part, "file")
        file_id = new_id("file-")
        counter = LineCounter()
        async with self._stored(caller, file_id, counter.count(form.chunks())) as stored:
            await form.finish()
            fields = parse_fields(FileForm, form.fields)
            new = NewFile(
                id=file_id,
                filename=filename,
                purpose=fields.purpose,
                content_type=content_type_of(filename, part.content_type),
                seconds=lifetime(fields.purpose, fields.expires_after),
            )
            return await self._record(caller, new, stored, counter.lines)

    async def create_from_path(
        self, caller: Caller, path: Path, *, filename: str, purpose: Purpose, file_id: str | None = None
    ) -> FileObject:
        """Keep a copy of a file of this machine; with a `file_id` that exists already, nothing changes."""
        if file_id is not None:
            existing = await self.find(caller.project_id, file_id)
            if existing is not None:
                return existing
        new = NewFile(
            id=file_id or new_id("file-"),
            filename=filename,
            purpose=purpose,
            content_type=content_type_of(filename, None),
            seconds=lifetime(purpose, None),
        )
        return await self.create_from_chunks(caller, new, _read(path))

    async def create_from_chunks(self, caller: Caller, new: NewFile, chunks: AsyncIterable[bytes]) -> FileObject:
        """A file whose content is made or read by the platform itself."""
        counter = LineCounter()
        async with self._stored(caller, new.id, counter.count(chunks)) as stored:
            return await self._record(caller, new, stored, counter.lines)

    @asynccontextmanager
    async def _stored(self, caller: Caller, file_id: str, chunks: AsyncIterable[Chunk]) -> AsyncIterator[Stored]:
        """The object of a new file, which is removed again when the block raises."""
        key = object_key(caller.project_id, file_id)
        stored = await self._objects.put(key, chunks)
        try:
            if stored.size == 0:
                raise BadRequest("The file is empty (0 bytes). Send its content.", param="file", code="empty_file")
            yield stored
        except Exception:
            # A commit whose answer was lost may have worked, so it is the row that decides. A cancellation is not
            # waited for here: what it leaves without a row is swept at the next start.
            if await self.find(caller.project_id, file_id) is None:
                await self._objects.delete(key)
            raise

    async def _record(self, caller: Caller, new: NewFile, stored: Stored, lines: int | None) -> FileObject:
        async with self._database.write() as session:
            return await self.add_row(FileStore(session, caller.project_id), caller, new, stored, lines)

    async def add_row(
        self, store: FileStore, caller: Caller, new: NewFile, stored: Stored, lines: int | None
    ) -> FileObject:
        """The row of a file whose object is there, and its event, in the store's transaction."""
        at = now()
        row = await store.add(
            FileRow(
                id=new.id,
                organization_id=caller.organization_id,
                project_id=caller.project_id,
                created_by=caller.user_id,
                created_at=at,
                filename=new.filename,
                purpose=new.purpose,
                content_type=new.content_type,
                bytes=stored.size,
                lines=lines,
                sha256=stored.sha256,
                object_key=object_key(caller.project_id, new.id),
                expires_at=at + new.seconds if new.seconds is not None else None,
            )
        )
        public = to_public(row)
        await self._events.publish(store.session, "file.created", row, row.id, public)
        if row.expires_at is not None:
            self.expiry_changed.set()
        return public

    async def check_room(self, needed: int | None) -> None:
        """Raises `OutOfStorage` when so many bytes cannot fit, before any of them is taken."""
        free = await self._objects.free_bytes()
        if needed is not None and free is not None and needed + _RESERVE_BYTES > free:
            raise OutOfStorage(
                f"This needs {needed:,} bytes of storage and {max(0, free - _RESERVE_BYTES):,} are free. "
                "Free some space or delete files, then send it again."
            )

    async def list(self, caller: Caller, params: FileListParams) -> Page[FileObject]:
        async with self._database.read() as session:
            rows, more = await FileStore(session, caller.project_id).list(params)
        return page([to_public(row) for row in rows], more)

    async def find(self, project_id: str, file_id: str) -> FileObject | None:
        """The file, or ``None`` when the project has none of that id."""
        async with self._database.read() as session:
            row = await FileStore(session, project_id).get(file_id)
        return to_public(row) if row is not None else None

    async def get(self, project_id: str, file_id: str) -> FileObject:
        """The file. Raises `NotFound`."""
        found = await self.find(project_id, file_id)
        if found is None:
            raise no_file(file_id)
        return found

    async def delete(self, caller: Caller, file_id: str) -> Deleted:
        async with self._database.write() as session:
            store = FileStore(session, caller.project_id)
            row = await store.get(file_id)
            if row is None:
                raise no_file(file_id)
            await self.remove_row(store, row)
        await self._objects.delete(row.object_key)
        return Deleted(id=file_id, object="file")

    async def remove_row(self, store: FileStore, row: FileRow) -> None:
        """Delete the row, with its event; the object is deleted once this is committed."""
        await store.delete(row)
        await self._events.publish(store.session, "file.deleted", row, row.id, to_public(row))

    async def open(
        self, project_id: str, file_id: str, *, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """The content from byte `start` up to, not including, `stop`. Raises `NotFound` at the first piece."""
        await self.get(project_id, file_id)
        try:
            async for chunk in self._objects.get(object_key(project_id, file_id), start=start, stop=stop):
                yield chunk
        except ObjectMissing:
            raise no_file(file_id) from None

    @asynccontextmanager
    async def local_path(self, project_id: str, file_id: str) -> AsyncIterator[Path]:
        """The content as a file of this machine, to be read while the context lasts. Raises `NotFound`."""
        await self.get(project_id, file_id)
        async with contextlib.AsyncExitStack() as stack:
            try:
                path = await stack.enter_async_context(self._objects.local_path(object_key(project_id, file_id)))
            except ObjectMissing:
                raise no_file(file_id) from None
            yield path

    async def preview(self, project_id: str, file_id: str, *, offset: int, limit: int) -> Preview:
        """Lines of a text file; of any other, that it is binary."""
        file = await self.get(project_id, file_id)
        lines = []
        if file.lines is not None:
            async with self.local_path(project_id, file_id) as path:
                lines = await asyncio.to_thread(preview_lines, path, offset=offset, limit=limit)
        return Preview(
            file_id=file_id,
            binary=file.lines is None,
            offset=offset,
            lines=lines,
            total_lines=file.lines,
            has_more=file.lines is not None and offset + len(lines) < file.lines,
        )

    async def validate(
        self, project_id: str, file_id: str, *, max_tokens: int | None = None, count_tokens: TokenCounter | None = None
    ) -> Validation:
        """Whether the file can be trained on; the result is kept, since files do not change.

        Args:
            count_tokens: of the base model; without it, tokens are estimated.
        """
        limit = max_tokens or self._max_tokens
        file = await self.get(project_id, file_id)
        known = self._validations.get((file_id, limit))
        if known is not None and count_tokens is None:
            self._validations.move_to_end((file_id, limit))
            return known
        if file.lines is None:
            findings = Findings()
            findings.fault(0, "The file is not text: it has NUL bytes. Training files are JSON Lines in UTF-8.")
        else:
            async with self._validating, self.local_path(project_id, file_id) as path:
                findings = await _validate(path, limit, count_tokens)
        result = _validation(file_id, findings)
        if count_tokens is None:
            self._validations[file_id, limit] = result
            while len(self._validations) > _KEPT_VALIDATIONS:
                self._validations.popitem(last=False)
        return result


async def _validate(path: Path, limit: int, count_tokens: TokenCounter | None) -> Findings:
    """In a thread, which ends soon after nobody waits for it any more."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(
            validate_training_file, path, max_tokens=limit, count_tokens=count_tokens, stop=stop
        )
    finally:
        stop.set()


def _validation(file_id: str, findings: Findings) -> Validation:
    return Validation(
        file_id=file_id,
        valid=findings.valid,
        lines=findings.lines,
        examples=findings.examples,
        estimated_tokens=findings.tokens,
        errors=findings.errors,
        error_count=findings.error_count,
        warnings=findings.warnings,
        truncated=findings.error_count > MAX_ERRORS,
    )


async def _read(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while data := await asyncio.to_thread(file.read, _READ_BYTES):
            yield data
    finally:
        file.close()


def lifetime(purpose: str, given: ExpiresAfter | None) -> int | None:
    """Seconds until the file is deleted by itself."""
    if given is not None:
        return given.seconds
    return BATCH_SECONDS if purpose == "batch" else None


def object_key(project_id: str, file_id: str) -> str:
    """Where a file's content lies in the object store, for `JobSpec.inputs` too."""
    return f"files/{project_id}/{file_id}"


def no_file(file_id: str) -> ApiError:
    return NotFound(f"No file has the id '{file_id[:80]}'. GET /v1/files lists those of this project.", param="file_id")


def to_public(row: FileRow) -> FileObject:
    return FileObject.model_validate(
        {
            "id": row.id,
            "bytes": row.bytes,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "filename": row.filename,
            "purpose": row.purpose,
            "sha256": row.sha256,
            "content_type": row.content_type,
            "lines": row.lines,
        }
    )
