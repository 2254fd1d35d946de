"""The child that parses one document: ``python -m perijove_platform.vector_stores.documents.isolated PATH KIND``.

A parser of untrusted files may hang, crash or eat memory, so it runs apart, within limits that the kernel enforces.
Prints one JSON object: ``{"unit", "sections": [[text, start], …]}`` or ``{"error": {"code", "message"}}``.
"""

import contextlib
import json
import logging
import sys
from pathlib import Path

from perijove_platform.vector_stores.documents.base import Document, DocumentError, bounded
from perijove_platform.vector_stores.documents.detect import Kind
from perijove_platform.vector_stores.documents.layout import read_layout

CPU_SECONDS = 60
MEMORY_BYTES = 2 * 1024**3


def _limit() -> None:
    # Windows has no such limits; the parent's timeout is what remains there.
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        # macOS refuses a limit on the address space.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _answer(path: Path, kind: Kind) -> dict[str, object]:
    try:
        document: Document = bounded(read_layout(path, kind))
    except DocumentError as error:
        return {"error": {"code": error.code, "message": error.message}}
    except MemoryError:
        message = "Reading the document takes too much memory. Split it into several files."
        return {"error": {"code": "invalid_file", "message": message}}
    return {"unit": document.unit, "sections": [[section.text, section.start] for section in document.sections]}


def main(path: str, kind: Kind) -> None:
    logging.disable(logging.CRITICAL)
    _limit()
    # ASCII JSON: half a surrogate pair, which a PDF may well yield, does not fit into UTF-8.
    sys.stdout.write(json.dumps(_answer(Path(path), kind)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])  # type: ignore[arg-type]
