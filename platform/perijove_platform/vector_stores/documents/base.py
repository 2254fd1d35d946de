"""The result of reading a document, and the ways in which reading fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MIB = 1024 * 1024
MAX_DOCUMENT_BYTES = 64 * MIB
MAX_TEXT_CHARACTERS = 32 * MIB

Unit = Literal["line", "page", "paragraph", "cell", "row"]
ErrorCode = Literal["unsupported_file", "invalid_file", "server_error"]


@dataclass(frozen=True)
class Section:
    """A piece of a document, in reading order.

    Attributes:
        start: where it starts, in the document's unit, from 1. In a document that counts lines, the following lines
            of `text` are the following lines of the document.
    """

    text: str
    start: int


@dataclass(frozen=True)
class Document:
    """The text of a document.

    Attributes:
        unit: what `Section.start` counts.
    """

    unit: Unit
    sections: Sequence[Section]


class DocumentError(Exception):
    """A document that cannot be read.

    Args:
        code: OpenAI's word for it: ``unsupported_file`` (a kind that is not read), ``invalid_file`` (broken),
            ``server_error`` (our fault).
        message: what is wrong and what to do, for a person.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def bounded(document: Document) -> Document:
    """`document`, checked to have text, and not too much of it."""
    length = sum(len(section.text) for section in document.sections)
    if length > MAX_TEXT_CHARACTERS:
        raise DocumentError(
            "invalid_file",
            f"The document has over {MAX_TEXT_CHARACTERS // MIB} million characters of text. Split it up.",
        )
    if not any(section.text.strip() for section in document.sections):
        raise DocumentError(
            "invalid_file", "The document holds no text. A scanned document must go through text recognition first."
        )
    return document
