"""Reading a job's log while it is written: its last lines, then what is appended, woken by the writer."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

MAX_TAIL_BYTES = 4 << 20
"""Of the last lines that are asked for; those before are left out, whole."""
_CHUNK = 64 * 1024
_ATTEMPTS = 10


class Bell:
    """Wakes everybody who waits, each time it rings."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """Set at the next ring. Take it before looking at what it announces, so that no ring is missed."""
        return self._event


async def read_log(
    path: Path, *, tail_lines: int | None, tail_bytes: int | None, bell: Bell, follow: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """The log at `path`, which is one that `ChildLog` writes: when full it becomes ``<name>.1`` and begins anew.

    Every byte after the first one comes once and in order, however often the log is replaced meanwhile, unless the
    reader is more than a whole file behind.

    Args:
        tail_lines: start so many lines before the end (one that is being written is the last), but no more than
            `MAX_TAIL_BYTES`.
        tail_bytes: start so many bytes before the end. Without either, it starts at the oldest byte kept.
        bell: rung when the log has grown or the job has ended.
        follow: whether more may come; asked before each wait.
    """
    older, file = await asyncio.to_thread(_open_at, path, tail_lines, tail_bytes)
    try:
        if older is not None:
            while chunk := await asyncio.to_thread(older.read, _CHUNK):
                yield chunk
        while True:
            ring = bell.listen()
            more = follow()
            if file is None:
                file = await asyncio.to_thread(_open, path)
            while file is not None:
                if chunk := await asyncio.to_thread(file.read, _CHUNK):
                    yield chunk
                elif (successor := await asyncio.to_thread(_successor, file, path)) is None:
                    break
                else:
                    # A rotation renames before it begins anew, so what was written in between is still here.
                    while chunk := await asyncio.to_thread(file.read, _CHUNK):
                        yield chunk
                    file.close()
                    file = successor
            if not more:
                return
            await ring.wait()
    finally:
        for opened in (older, file):
            if opened is not None:
                opened.close()


def _older(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _open_at(path: Path, tail_lines: int | None, tail_bytes: int | None) -> tuple[BinaryIO | None, BinaryIO | None]:
    """The older and the current file, each at the place to read from."""
    older, file = _open_both(path)
    files = [opened for opened in (older, file) if opened is not None]
    ends = [opened.seek(0, os.SEEK_END) for opened in files]
    if tail_lines is not None:
        begin = _begin_of_lines(files, ends, tail_lines)
    else:
        begin = 0 if tail_bytes is None else max(0, sum(ends) - tail_bytes)
    for opened, end in zip(files, ends, strict=True):
        opened.seek(min(end, max(0, begin)))
        begin -= end
    return older, file


def _open_both(path: Path) -> tuple[BinaryIO | None, BinaryIO | None]:
    """As they were at one moment: a rotation in between would show a file twice, or not at all."""
    for _ in range(_ATTEMPTS):
        file = _open(path)
        older = _open(_older(path))
        if _is_at(file, path):
            break
        for opened in (file, older):
            if opened is not None:
                opened.close()
    else:
        raise OSError(f"{path.name} is replaced too often to be read")
    return older, file


def _is_at(file: BinaryIO | None, path: Path) -> bool:
    """Whether `path` is that very file; with ``None``, whether there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return file is None
    return file is not None and os.path.samestat(found, os.fstat(file.fileno()))


def _begin_of_lines(files: list[BinaryIO], ends: list[int], lines: int) -> int:
    """Where the last `lines` lines of the files, oldest first, begin, counted from the beginning of the first file.

    A line may begin in one file and end in the next.
    """
    total = sum(ends)
    lowest = max(0, total - MAX_TAIL_BYTES)
    begin = at = total
    missing = lines
    while missing and at > lowest:
        size = min(_CHUNK, at - lowest)
        at -= size
        block = _read_across(files, ends, at, size)
        place = len(block)
        while missing and (place := block.rfind(b"\n", 0, place)) >= 0:
            if at + place + 1 < total:  # the very last one ends the last line and begins none
                begin, missing = at + place + 1, missing - 1
    if missing and (lowest == 0 or begin == total):  # or one line is longer than all that may be sent
        return lowest
    return begin


def _read_across(files: list[BinaryIO], ends: list[int], at: int, size: int) -> bytes:
    """`size` bytes from `at` of the files one after another."""
    parts = []
    for file, end in zip(files, ends, strict=True):
        if at < end and size:
            file.seek(max(0, at))
            part = file.read(min(size, end - max(0, at)))
            parts.append(part)
            at, size = at + len(part), size - len(part)
        at -= end
    return b"".join(parts)


def _successor(file: BinaryIO, path: Path) -> BinaryIO | None:
    """The file that was begun after `file`; ``None`` while that is the newest."""
    if _is_at(file, path):
        return None
    newest = _open(path)
    older = _open(_older(path))
    if older is None or _is_at(file, _older(path)):
        # `newest` was opened before: nothing can have come between the two.
        _close(older)
        return newest
    _close(newest)
    return older


def _close(file: BinaryIO | None) -> None:
    if file is not None:
        file.close()
