"""What kind of document a file is, by its content first and its name second."""

import codecs
import json
import zipfile
from pathlib import Path, PurePath
from typing import Literal

from perijove_platform.vector_stores.documents.base import DocumentError

Kind = Literal["text", "csv", "json", "jsonl", "notebook", "html", "pdf", "docx"]

_SAMPLE = 8192
_BY_NAME: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".ipynb": "notebook",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
}
_BINARY_NAMES = {
    ".pdf": "PDF", ".docx": "Word", ".doc": "Word", ".xlsx": "Excel", ".pptx": "PowerPoint",
    ".png": "image", ".jpg": "image", ".jpeg": "image", ".gif": "image", ".zip": "ZIP",
}  # fmt: skip
_UNREAD_SIGNATURES = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"\xd0\xcf\x11\xe0": "an old Office document (.doc, .xls, .ppt) or an encrypted one",
    b"\x1f\x8b": "gzip data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x7fELF": "a program",
    b"GGUF": "a model",
    b"SQLite format 3": "an SQLite database",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SUPPORTED = "Text, Markdown, HTML, PDF, DOCX, CSV, JSON, JSON Lines and notebooks are read."


def detect(path: Path, filename: str) -> Kind:
    """The kind of the document at `path`, which its owner calls `filename`.

    Raises:
        DocumentError: empty, of a kind that is not read, or not what its name says.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    if not head:
        raise DocumentError("invalid_file", "The file is empty (0 bytes).")
    if head.lstrip()[:5] == b"%PDF-" or b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    for signature, name in _UNREAD_SIGNATURES.items():
        if head.startswith(signature):
            raise DocumentError("unsupported_file", f"The file is {name}. {SUPPORTED}")
    suffix = PurePath(filename).suffix.lower()
    if not _looks_like_text(head):
        raise DocumentError("unsupported_file", f"The file is binary data of an unknown kind. {SUPPORTED}")
    if suffix in _BINARY_NAMES:
        raise DocumentError(
            "invalid_file",
            f"The name ends in {suffix} but the content is plain text, not {_BINARY_NAMES[suffix]}. "
            "Upload it again under its right name.",
        )
    start = head.lstrip(codecs.BOM_UTF8).lstrip().lower()
    if suffix not in _BY_NAME and start.startswith((b"<!doctype html", b"<html")):
        return "html"
    return _BY_NAME.get(suffix, "text")


def _zip_kind(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DocumentError(
            "invalid_file", "The file starts as a ZIP archive (as DOCX does) but is broken. Upload it again."
        ) from error
    if "word/document.xml" in names:
        return "docx"
    raise DocumentError("unsupported_file", f"The file is a ZIP archive without a Word document in it. {SUPPORTED}")


def _looks_like_text(head: bytes) -> bool:
    if any(head.startswith(bom) for bom, _ in _BOMS):
        return True
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b\b" for byte in head)
    return b"\0" not in head and control * 20 < len(head)


def decode(raw: bytes) -> str:
    """Text in UTF-8, or as its byte order mark says, else Latin-1 (Windows' variant), with ``\\n`` line ends."""
    text = _decode(raw)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _decode(raw: bytes) -> str:
    for bom, encoding in _BOMS:
        if raw.startswith(bom):
            try:
                return raw.decode(encoding)
            except UnicodeDecodeError as error:
                raise DocumentError(
                    "invalid_file", f"The file says it is {encoding} but byte {error.start} is not. Save it as UTF-8."
                ) from error
    for encoding in ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def load_json(text: str) -> object:
    """The JSON in `text`; a failure says where."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DocumentError(
            "invalid_file", f"Not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    except RecursionError as error:
        raise DocumentError("invalid_file", "The JSON is nested too deeply to be read.") from error
