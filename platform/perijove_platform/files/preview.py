"""Lines of a text file, read without ever holding a long one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from perijove_platform.files.schemas import PreviewLine

MAX_LINE_CHARACTERS = 8 * 1024
MAX_PREVIEW_CHARACTERS = 1024 * 1024
BLOCK = 1024 * 1024


@dataclass(frozen=True)
class RawLine:
    """A line without its end; only the beginning when `cut`, since it is longer than was asked for."""

    number: int
    content: bytes
    cut: bool


def raw_lines(file: BinaryIO, *, max_bytes: int) -> Iterator[RawLine]:
    """The lines from the file's position on, which end in LF or CRLF; at most `max_bytes` of each are held."""
    number = 0
    while content := file.readline(max_bytes + 2):
        number += 1
        rest = content
        while not rest.endswith(b"\n") and (rest := file.readline(BLOCK)):
            pass
        content = content.removesuffix(b"\n").removesuffix(b"\r")
        yield RawLine(number, content[:max_bytes], len(content) > max_bytes)


def _start_of_line(path: Path, offset: int) -> int:
    """Where, in bytes, line `offset` (from 0) begins; the end of the file when it has not so many."""
    position = seen = 0
    with path.open("rb", buffering=0) as file:
        while seen < offset and (block := file.read(BLOCK)):
            ends = block.count(b"\n")
            if seen + ends < offset:
                seen += ends
                position += len(block)
                continue
            at = -1
            for _ in range(offset - seen):
                at = block.index(b"\n", at + 1)
            return position + at + 1
    return position


def preview_lines(path: Path, *, offset: int, limit: int) -> list[PreviewLine]:
    """At most `limit` lines from line `offset` (counted from 0) on, and about a mebibyte together. Blocks."""
    lines: list[PreviewLine] = []
    held = 0
    start = _start_of_line(path, offset)
    with path.open("rb") as file:
        file.seek(start)
        # Four bytes are the longest character of UTF-8.
        for raw in raw_lines(file, max_bytes=4 * MAX_LINE_CHARACTERS):
            text = raw.content.decode(errors="replace")
            if raw.number == 1 and offset == 0:
                text = text.removeprefix("\ufeff")
            cut = raw.cut or len(text) > MAX_LINE_CHARACTERS
            lines.append(PreviewLine(number=offset + raw.number, text=text[:MAX_LINE_CHARACTERS], truncated=cut))
            held += len(lines[-1].text)
            if len(lines) == limit or held >= MAX_PREVIEW_CHARACTERS:
                break
    return lines
