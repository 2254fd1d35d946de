"""Documents that need a parser: PDF, DOCX, HTML. Runs in a process of its own, see `isolated`."""

import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
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
_BLOCKS = frozenset(
    "address article aside blockquote body br dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hr li main nav ol option p pre section table td th tr ul".split()
)
_HIDDEN = frozenset({"script", "style", "template", "noscript", "svg", "title"})


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
        raise DocumentError(
            "invalid_file", "The PDF is broken: its objects refer to each other in a circle."
        ) from error
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
        # pypdf meets broken files with whatever the broken part leads to.
        raise DocumentError("invalid_file", f"The PDF is broken ({type(error).__name__}). Save it anew.") from error


def _docx(path: Path) -> Iterator[Section]:
    from docx import Document as open_docx
    from docx.opc.exceptions import PackageNotFoundError
    from docx.table import Table
    from lxml.etree import LxmlError  # type: ignore[import-untyped]

    _refuse_bomb(path)
    try:
        for number, block in enumerate(open_docx(str(path)).iter_inner_content(), 1):
            if isinstance(block, Table):
                rows = ("\t".join(cell.text for cell in row.cells) for row in block.rows)
                yield Section("\n".join(rows), number)
            else:
                yield Section(block.text, number)
    except (
        PackageNotFoundError,
        LxmlError,
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        AttributeError,
        OSError,
    ) as error:
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


class _VisibleText(HTMLParser):
    """Collects what a reader would see; works on a flat stream of tags, so that no nesting is too deep for it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden: str | None = None
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if self._hidden is None and tag in _HIDDEN:
            self._hidden = tag
        if tag == self._hidden:
            self._depth += 1
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._depth -= 1
            if not self._depth:
                self._hidden = None
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._hidden is None:
            self.parts.append(data.replace("\n", " "))


def _html(text: str) -> Document:
    """The visible text, one line per block element; the unit is the line of that text."""
    parser = _VisibleText()
    parser.feed(text)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).split("\n"))
    return Document("line", [Section("\n".join(line for line in lines if line), 1)])
