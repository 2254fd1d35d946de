"""Documents that are text already: plain text, Markdown, CSV, JSON, JSON Lines, notebooks."""

import csv
import io
import json
from typing import Any

from perijove_platform.vector_stores.documents.base import Document, DocumentError, Section
from perijove_platform.vector_stores.documents.detect import Kind, decode, load_json

_MAX_CELL_OUTPUT = 20_000


def read_textual(raw: bytes, kind: Kind) -> Document:
    """The text of a document of a textual kind."""
    text = decode(raw)
    match kind:
        case "csv":
            return _csv(text)
        case "notebook":
            return _notebook(text)
        case "json":
            return Document("line", [Section(json.dumps(load_json(text), indent=1, ensure_ascii=False), 1)])
        case "jsonl":
            return _json_lines(text)
        case _:
            return Document("line", [Section(text, 1)])


def _json_lines(text: str) -> Document:
    sections = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DocumentError("invalid_file", f"Line {number} is not valid JSON: {error}.") from error
        sections.append(Section(line, number))
    return Document("line", sections)


def _csv(text: str) -> Document:
    """Each row as ``column: value`` lines, so that a chunk in the middle of a table still says what its numbers are."""
    try:
        dialect: Any = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    sections = []
    try:
        rows = csv.reader(io.StringIO(text), dialect)
        header = next(rows, [])
        for number, row in enumerate(rows, 2):
            if any(cell.strip() for cell in row):
                names = header + [f"column {place}" for place in range(len(header) + 1, len(row) + 1)]
                pairs = zip(names, row, strict=False)
                sections.append(Section("\n".join(f"{name}: {value}" for name, value in pairs), number))
    except csv.Error as error:
        raise DocumentError("invalid_file", f"Not a valid CSV file: {error}.") from error
    return Document("row", sections or [Section(", ".join(header), 1)])


def _notebook(text: str) -> Document:
    """The sources of all cells, and the plain text of their outputs."""
    notebook = load_json(text)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise DocumentError("invalid_file", "The notebook has no list of cells. Save it again in format 4.")
    sections = []
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict):
            raise DocumentError("invalid_file", f"Cell {number} of the notebook is not an object.")
        outputs = [out for out in _outputs(cell) if out.strip()]
        sections.append(Section("\n".join([_joined(cell.get("source")), *outputs]), number))
    return Document("cell", sections)


def _outputs(cell: dict[str, Any]) -> list[str]:
    outputs = cell.get("outputs")
    found = []
    for output in outputs if isinstance(outputs, list) else []:
        if isinstance(output, dict):
            data = output.get("data")
            plain = data.get("text/plain") if isinstance(data, dict) else None
            found.append(_joined(output.get("text") or plain)[:_MAX_CELL_OUTPUT])
    return found


def _joined(source: object) -> str:
    """nbformat's multi-line string: a string, or a list of its lines."""
    if isinstance(source, list):
        return "".join(str(line) for line in source)
    return source if isinstance(source, str) else ""
