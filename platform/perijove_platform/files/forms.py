"""What a form says about its file, checked as a JSON body would be."""

import mimetypes
import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from perijove_platform.errors import BadRequest, from_validation
from perijove_platform.files.multipart import FilePart
from perijove_platform.files.schemas import check_filename

OCTETS = "application/octet-stream"
MAX_CONTENT_TYPE = 255
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9.+_-]+/[A-Za-z0-9.+_-]+( *; *[A-Za-z0-9_-]+=[A-Za-z0-9.+_-]+)*")
_NESTED = re.compile(r"(\w+)\[(\w+)\]")
_KNOWN_TYPES = {".jsonl": "application/jsonl", ".md": "text/markdown", ".ipynb": "application/x-ipynb+json"}
Form = TypeVar("Form", bound=BaseModel)


def parse_fields(form: type[Form], fields: dict[str, str]) -> Form:
    """The form's fields; ``expires_after[seconds]`` is `seconds` of `expires_after`, as OpenAI's client sends it.

    Raises:
        BadRequest: a field is missing, unknown or not valid.
    """
    values: dict[str, object] = {}
    for name, value in fields.items():
        nested = _NESTED.fullmatch(name)
        if nested is None:
            values[name] = value
            continue
        inner = values.setdefault(nested[1], {})
        if not isinstance(inner, dict):
            raise BadRequest(f"The form has both '{nested[1]}' and '{name}'.", param=name)
        inner[nested[2]] = value
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise from_validation(RequestValidationError(error.errors(include_url=False))) from None


def filename_of(part: FilePart, param: str) -> str:
    """The name as sent. Raises `BadRequest` when there is none, or not a sane one."""
    if part.filename is None:
        message = f"The part '{param}' has no filename. With curl, write -F {param}=@name, with the @."
        raise BadRequest(message, param=param)
    try:
        return check_filename(part.filename)
    except ValueError as error:
        raise BadRequest(f"Invalid filename: {error}.", param=param) from None


def content_type_of(filename: str, declared: str | None) -> str:
    """The declared type, unless it says nothing; then what the name's ending suggests."""
    declared = (declared or "").strip()
    if declared and declared != OCTETS and len(declared) <= MAX_CONTENT_TYPE and _CONTENT_TYPE.fullmatch(declared):
        return declared
    ending = "." + filename.rpartition(".")[2].lower()
    return _KNOWN_TYPES.get(ending) or mimetypes.guess_type("name" + ending)[0] or OCTETS


class LineCounter:
    """Counts the lines of what flows through it.

    Attributes:
        lines: ``None`` once a NUL byte was seen, since then it is not text.
    """

    def __init__(self) -> None:
        self._ends = 0
        self._last = b"\n"
        self._text = True

    @property
    def lines(self) -> int | None:
        if not self._text:
            return None
        return self._ends + (self._last != b"\n")

    async def count(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._text = self._text and b"\0" not in chunk
            if chunk and self._text:
                self._ends += chunk.count(b"\n")
                self._last = chunk[-1:]
            yield chunk
