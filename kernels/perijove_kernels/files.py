"""Uploads from a cell."""

from pathlib import Path
from typing import Any, Literal

from openai.types import FileObject

from perijove_kernels.connection import shared_client
from perijove_kernels.session import remember
from perijove_kernels.training_data import to_jsonl

Purpose = Literal["fine-tune", "assistants", "batch", "vision", "user_data", "evals"]


def upload(data: Any, *, purpose: Purpose = "user_data", filename: str | None = None) -> FileObject:
    """Upload a file.

    Args:
        data: a path; ``bytes`` (then `filename` is needed); or training data as `fine_tune` takes it.
        purpose: as OpenAI's; ``fine-tune`` for training data whatever is given.

    Raises:
        FileNotFoundError: there is no such path.
        openai.BadRequestError: the platform refuses the file; says why.
    """
    if isinstance(data, str | Path):
        path = Path(data).expanduser()
        with path.open("rb") as content:
            made = shared_client().files.create(file=(filename or path.name, content), purpose=purpose)
    elif isinstance(data, bytes):
        if filename is None:
            raise ValueError("Give the bytes a name: upload(data, filename='notes.md').")
        made = shared_client().files.create(file=(filename, data), purpose=purpose)
    else:
        content_bytes = to_jsonl(data)
        made = shared_client().files.create(file=(filename or "training.jsonl", content_bytes), purpose="fine-tune")
    remember("file", made.id, made.filename)
    return made
