"""Files and uploads on the wire, after OpenAI's API reference ("Files", "Uploads")."""

from typing import Annotated, Literal, get_args

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from perijove_platform.pagination import ListParams
from perijove_platform.schemas import Request, Response

UploadPurpose = Literal["assistants", "batch", "evals", "fine-tune", "user_data", "vision"]
Purpose = Literal[UploadPurpose, "assistants_output", "batch_output", "fine-tune-results"]
"""What `purpose` can be; the last three are of files that the platform itself makes."""
UPLOAD_PURPOSES: tuple[str, ...] = get_args(UploadPurpose)
MAX_FILENAME = 512
MAX_FILES_PAGE = 10_000
MAX_PARTS = 10_000


def check_filename(name: str) -> str:
    if not name.strip():
        raise ValueError("the file needs a name")
    if len(name) > MAX_FILENAME:
        raise ValueError(f"a file's name has at most {MAX_FILENAME} characters, this has {len(name)}")
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise ValueError("a file's name has no control characters")
    return name


Filename = Annotated[str, AfterValidator(check_filename)]
"""Any text, emoji, slashes and ``..`` included: it is data and never a path of ours."""


def _check_size(size: object) -> object:
    if size == 0 and not isinstance(size, bool):
        message = "an empty file (0 bytes) has nothing to upload; check that it was written, or choose another"
        raise PydanticCustomError("empty_file", message)
    return size


class ExpiresAfter(Request):
    """When a file is deleted by itself."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)


class FileForm(Request):
    """The fields of the form beside the file itself."""

    purpose: UploadPurpose
    expires_after: ExpiresAfter | None = None


class PartForm(Request):
    """The fields of the form beside the part's data.

    Attributes:
        offset: ours: where in the file the part belongs, returned by ``GET /v1/uploads/{id}`` for who resumes.
    """

    offset: int | None = Field(default=None, ge=0, le=2**53)


class FileListParams(ListParams):
    limit: Annotated[int, Query(ge=1, le=MAX_FILES_PAGE)] = MAX_FILES_PAGE
    purpose: Annotated[Purpose | None, Query(description="Only files with this purpose.")] = None


class FileObject(Response):
    """A file. `sha256`, `content_type` and `lines` are ours.

    Attributes:
        bytes: its size.
        lines: of a text file; ``None`` for one that is not text.
    """

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: Purpose
    status: Literal["uploaded", "processed", "error"] = "processed"
    status_details: str | None = None
    sha256: str
    content_type: str
    lines: int | None = None


class PreviewLine(Response):
    """One line, without its end; cut to a maximum length when `truncated`."""

    number: int
    text: str
    truncated: bool = False


class Preview(Response):
    """Lines `offset` to `offset + limit` of a text file; `offset` counts lines from 0.

    Attributes:
        binary: the file is not text, so that there are no lines to show.
        total_lines: of the whole file.
    """

    object: Literal["file.preview"] = "file.preview"
    file_id: str
    binary: bool
    offset: int
    lines: list[PreviewLine]
    total_lines: int | None
    has_more: bool


class Problem(Response):
    """What is wrong with a line; line 0 is the file as a whole.

    Attributes:
        param: where in the line, as ``messages[2].role``.
    """

    line: int
    message: str
    param: str | None = None


class Validation(Response):
    """Whether a training file can be trained on.

    Attributes:
        lines: of the file, empty ones included; `examples` are those that are good to train on.
        errors: the first ones; `truncated` when there are more than are listed.
        warnings: what does not prevent a training.
        estimated_tokens: of all good examples.
    """

    object: Literal["file.validation"] = "file.validation"
    file_id: str
    purpose: Literal["fine-tune"] = "fine-tune"
    valid: bool
    lines: int
    examples: int
    estimated_tokens: int
    errors: list[Problem]
    error_count: int
    warnings: list[Problem]
    truncated: bool


class UploadCreate(Request):
    """A file that will be sent in parts. `bytes` is the size of the whole."""

    filename: Filename
    purpose: UploadPurpose
    bytes: Annotated[int, BeforeValidator(_check_size), Field(ge=1)]
    mime_type: str = Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e ]+$")
    expires_after: ExpiresAfter | None = None


class UploadComplete(Request):
    """The parts in the order in which they make the file.

    Attributes:
        md5: of the whole file, checked when given.
    """

    part_ids: list[Annotated[str, Field(max_length=64)]] = Field(min_length=1, max_length=MAX_PARTS)
    md5: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{32}$")


class UploadPart(Response):
    """A part that has been received. `bytes`, `offset` and `sha256` are ours."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str
    bytes: int
    offset: int | None = None
    sha256: str


class Upload(Response):
    """An upload. `parts` is ours, in ``GET /v1/uploads/{id}`` only: what has been received, for resuming."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: UploadPurpose
    status: Literal["pending", "completed", "cancelled", "expired"]
    mime_type: str
    file: FileObject | None = None
    parts: list[UploadPart] | None = None
