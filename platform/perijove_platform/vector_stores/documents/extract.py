"""Reading a document without ever blocking the loop."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from perijove_platform.vector_stores.documents.base import (
    MAX_DOCUMENT_BYTES,
    MIB,
    Document,
    DocumentError,
    Section,
    bounded,
)
from perijove_platform.vector_stores.documents.detect import Kind, detect
from perijove_platform.vector_stores.documents.textual import read_textual

_CHILD = "perijove_platform.vector_stores.documents.isolated"
_NEEDS_PARSER: frozenset[Kind] = frozenset({"pdf", "docx", "html"})
_SECONDS = 120.0


async def extract(path: Path, filename: str) -> Document:
    """The text of the document at `path`; textual kinds are read in a thread, the others in a process of their own.

    Raises:
        DocumentError: the document is too large, broken, empty or of a kind that is not read.
    """
    size = (await asyncio.to_thread(path.stat)).st_size
    if size > MAX_DOCUMENT_BYTES:
        raise DocumentError(
            "unsupported_file",
            f"The file has {size // MIB} MiB; at most {MAX_DOCUMENT_BYTES // MIB} MiB are indexed. "
            "Split it into several files.",
        )
    kind = await asyncio.to_thread(detect, path, filename)
    document = await _parse(path, kind) if kind in _NEEDS_PARSER else await asyncio.to_thread(_read, path, kind)
    return _clean(document)


def _read(path: Path, kind: Kind) -> Document:
    return bounded(read_textual(path.read_bytes(), kind))


def _clean(document: Document) -> Document:
    """Without what a database refuses: NUL and halves of surrogate pairs."""
    sections = [
        Section(section.text.replace("\0", "").encode("utf-8", "replace").decode("utf-8"), section.start)
        for section in document.sections
    ]
    return Document(document.unit, sections)


async def _parse(path: Path, kind: Kind) -> Document:
    # The child sees the same modules as this process, however those were found.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _CHILD, str(path), kind),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await child.communicate()
    except TimeoutError as error:
        raise DocumentError(
            "invalid_file", f"The document could not be read within {_SECONDS:.0f} s. Save it anew or split it."
        ) from error
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode:
        raise DocumentError(
            "invalid_file",
            f"The {kind.upper()} parser gave up on the document (exit {child.returncode}). Save it anew.",
        )
    return await asyncio.to_thread(_parsed, output)


def _parsed(output: bytes) -> Document:
    answer: dict[str, Any] = json.loads(output)
    if "error" in answer:
        raise DocumentError(answer["error"]["code"], answer["error"]["message"])
    return Document(answer["unit"], [Section(text, start) for text, start in answer["sections"]])
