"""A multipart/form-data body as it arrives (RFC 7578): fields are collected, the one file is handed on in pieces.

Nothing is spooled: a piece of the file is the network buffer that it came in.
"""

import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

import python_multipart
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from perijove_platform.errors import ApiError, BadRequest, TooLarge

MAX_FIELD_BYTES = 16 * 1024
MAX_PARTS = 32
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0


@dataclass(frozen=True)
class FilePart:
    """What the part's headers say: the name as sent (never a path of ours), the type ``None`` where none is given."""

    filename: str | None
    content_type: str | None


@dataclass
class _Part:
    """The part whose content is being read."""

    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    value: bytearray = field(default_factory=bytearray)


class MultipartReader:
    """Reads one request's form.

    First `open`, which returns at the file's headers, then `chunks` to their end, then `finish`;
    `fields` grows all along, since a field may come before or after the file.

    Args:
        file_field: the name of the part that is the file.
        max_bytes: of the file.
    """

    def __init__(self, request: Request, *, file_field: str, max_bytes: int) -> None:
        self.fields: dict[str, str] = {}
        self._file_field = file_field
        self._max_bytes = max_bytes
        self._stream = request.stream()
        self._parser = python_multipart.MultipartParser(
            _boundary(request.headers.get("content-type")),
            callbacks={
                "on_part_begin": self._on_part_begin,
                "on_header_begin": self._on_header_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )
        self._ready: deque[FilePart | bytes | Literal["end"]] = deque()
        self._parts = 0
        self._part = _Part()
        self._header = (bytearray(), bytearray())
        self._files = 0
        self._file_bytes = 0
        self._ended = False

    async def open(self) -> FilePart:
        """The file's headers. Raises `BadRequest` when the form has no such file."""
        part = await self._next()
        if part is None:
            raise BadRequest(
                f"The form has no part '{self._file_field}'. Send the content as multipart/form-data in that part.",
                param=self._file_field,
                code="missing_required_parameter",
            )
        assert isinstance(part, FilePart)
        return part

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file's content. Raises `TooLarge` once it passes the limit, `BadRequest` when the body breaks off."""
        while True:
            item = await self._next()
            if item == "end" or item is None:
                return
            assert isinstance(item, bytes)
            self._file_bytes += len(item)
            if self._file_bytes > self._max_bytes:
                raise too_large(self._max_bytes, self._file_field)
            yield item

    async def finish(self) -> None:
        """Read what follows the file."""
        while await self._next() is not None:
            pass

    async def drain(self) -> None:
        """After a failure, take a bounded rest of the body, so that the client gets to read the answer."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        left = _DRAIN_BYTES
        with contextlib.suppress(ClientDisconnect):
            async for data in self._stream:
                left -= len(data)
                if left <= 0 or time.monotonic() > deadline:
                    return

    async def _next(self) -> FilePart | bytes | Literal["end"] | None:
        while not self._ready:
            try:
                data = await anext(self._stream, b"")
            except ClientDisconnect:
                raise BadRequest("The connection ended in the middle of the form.", code="incomplete_body") from None
            if not data:
                if self._ended:
                    return None
                raise BadRequest("The form ends too early: its closing boundary is missing.", code="invalid_multipart")
            if self._ended:
                continue
            try:
                self._parser.write(data)
            except FormParserError as error:
                message = f"The body is not valid multipart/form-data: {error}."
                raise BadRequest(message, code="invalid_multipart") from error
        return self._ready.popleft()

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadRequest(f"The form has over {MAX_PARTS} parts.", code="invalid_multipart")
        self._part = _Part()

    def _on_header_begin(self) -> None:
        self._header = (bytearray(), bytearray())

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        # latin-1 keeps every byte as it is; `parse_options_header` gives the bytes of a parameter back.
        self._part.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def _on_headers_finished(self) -> None:
        disposition, options = parse_options_header(self._part.headers.get("content-disposition"))
        name = options.get(b"name")
        if disposition != b"form-data" or name is None:
            raise BadRequest(
                "A part of the form has no header 'Content-Disposition: form-data; name=…'.", code="invalid_multipart"
            )
        self._part.name = name.decode(errors="replace")
        self._part.is_file = self._part.name == self._file_field
        if not self._part.is_file:
            if b"filename" in options:
                message = f"Unknown file '{self._part.name}'. Send the content in the part '{self._file_field}'."
                raise BadRequest(message, param=self._part.name, code="unknown_parameter")
            return
        self._files += 1
        if self._files > 1:
            raise BadRequest(
                f"The form has '{self._file_field}' twice. Send one file at a time.", param=self._file_field
            )
        filename = options.get(b"filename")
        self._ready.append(
            FilePart(
                filename.decode(errors="replace") if filename is not None else None,
                self._part.headers.get("content-type"),
            )
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            self._ready.append(data if start == 0 and end == len(data) else data[start:end])
            return
        self._part.value.extend(data[start:end])
        if len(self._part.value) > MAX_FIELD_BYTES:
            message = f"The field '{self._part.name}' has over {MAX_FIELD_BYTES:,} bytes."
            raise BadRequest(message, param=self._part.name)

    def _on_part_end(self) -> None:
        if self._part.is_file:
            self._ready.append("end")
            return
        try:
            value = self._part.value.decode()
        except UnicodeDecodeError:
            raise BadRequest(f"The field '{self._part.name}' is not UTF-8.", param=self._part.name) from None
        if self._part.name in self.fields:
            raise BadRequest(f"The form has the field '{self._part.name}' twice.", param=self._part.name)
        self.fields[self._part.name] = value

    def _on_end(self) -> None:
        self._ended = True


def too_large(max_bytes: int, param: str) -> ApiError:
    return TooLarge(f"The content has over {max_bytes:,} bytes, the most that is taken here. Split it.", param=param)


def _boundary(content_type: str | None) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise BadRequest(
            "This route takes multipart/form-data with a boundary, as `curl -F file=@name -F purpose=fine-tune` sends.",
            code="invalid_content_type",
        )
    if len(boundary) > 200:
        raise BadRequest("The multipart boundary is longer than 200 characters.", code="invalid_multipart")
    return boundary
