"""Documents that need a parser: PDF, DOCX, HTML. Runs in a process of its own, see `isolated`."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from perijove_platform.vector_stores.documents.base import (
    MAX_TEXT_CHARACTERS,
    MIB,
    Document,
    DocumentError,
    Section,
)
from perijove_platform.vector_stores.documents.detect import Kind, decode

_MAX_UNPACKED = 512 * MIB
_MAX_RATIO = 200
_BLOCKS = ["p", "li", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "tr", "div", "section", "br", "dt", "dd"]


def read_layout(path: Path, kind: Kind) -> Document:
    """The text of a PDF, DOCX or HTML document."""
    match kind:
        case "pdf":
            return Document("page", _limited(_pdf(path)))
        case "docx":
            return Document("paragraph", _limited(_docx(path)))
        case "html":
            return _html(decode(path.read_bytes()))
        case _:
            raise DocumentError("unsupported_file", f"No parser for {kind}.")


def _limited(sections: Iterator[Section]) -> list[Section]:
    kept: list[Section] = []
    length = 0
    for section in sections:
        kept.append(section)
        length += len(section.text)
        if length > MAX_TEXT_CHARACTERS:
            break
    return kept


def _pdf(path: Path) -> Iterator[Section]:
    from pypdf import PdfReader
    from pypdf.errors import FileNotDecryptedError, PyPdfError

    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError("invalid_file", "The PDF is encrypted. Save it without a password.")
        for number, page in enumerate(reader.pages, 1):
            yield Section(page.extract_text(), number)
    except FileNotDecryptedError as error:
        raise DocumentError("invalid_file", "The PDF is encrypted. Save it without a password.") from error
    except RecursionError as error:
        raise DocumentError("invalid_file", "The PDF is broken: its objects refer to each other in a circle.") from error
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
        # pypdf meets broken files with whatever the broken part leads to.
        raise DocumentError("invalid_file", f"The PDF is broken ({type(error).__name__}). Save it anew.") from error


def _docx(path: Path) -> Iterator[Section]:
    from docx import Document as open_docx
    from docx.opc.exceptions import PackageNotFoundError
    from docx.table import Table
    from lxml.etree import LxmlError

    _refuse_bomb(path)
    try:
        for number, block in enumerate(open_docx(str(path)).iter_inner_content(), 1):
            if isinstance(block, Table):
                rows = ("\t".join(cell.text for cell in row.cells) for row in block.rows)
                yield Section("\n".join(rows), number)
            else:
                yield Section(block.text, number)
    except (PackageNotFoundError, LxmlError, zipfile.BadZipFile, KeyError, ValueError, AttributeError, OSError) as error:
        raise DocumentError(
            "invalid_file", f"The Word document is broken ({type(error).__name__}). Save it anew."
        ) from error


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that would unpack to far more than it is (the sizes are those its directory declares)."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(1, sum(entry.compress_size for entry in entries))
    if unpacked > _MAX_UNPACKED or (unpacked > MIB * 16 and unpacked / packed > _MAX_RATIO):
        raise DocumentError(
            "invalid_file",
            f"The Word document would unpack to {unpacked // MIB} MiB, which looks like a ZIP bomb. "
            "Save it anew without its pictures.",
        )


def _html(text: str) -> Document:
    """The visible text, one line per block element; the unit is the line of that text."""
    from bs4 import BeautifulSoup, Comment

    try:
        soup = BeautifulSoup(text, "lxml")
        for hidden in soup(["script", "style", "template", "noscript", "svg", "head"]):
            hidden.decompose()
        for comment in soup.find_all(string=lambda node: isinstance(node, Comment)):
            comment.extract()
        for block in soup.find_all(_BLOCKS):
            block.append("\n")
        lines = (" ".join(line.split()) for line in soup.get_text().split("\n"))
    except (RecursionError, ValueError, AssertionError) as error:
        raise DocumentError("invalid_file", "The HTML is nested too deeply to be read.") from error
    return Document("line", [Section("\n".join(line for line in lines if line), 1)])
