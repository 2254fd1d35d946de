"""Reading a job's log while it is written: the tail, then what is appended, woken by the writer."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

_CHUNK = 64 * 1024


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
    path: Path, *, tail_bytes: int | None, bell: Bell, follow: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """The log at `path`, which is one that `ChildLog` writes: when full it becomes ``<name>.1`` and begins anew.

    Args:
        tail_bytes: start so many bytes before the end; ``None`` starts at the oldest byte kept.
        bell: rung when the log has grown or the job has ended.
        follow: whether more may come; asked before each wait.
    """
    old = path.with_name(f"{path.name}.1")
    skip = await asyncio.to_thread(_skip, (old, path), tail_bytes)
    if skip[0] is not None:
        async for chunk in _rest(old, skip[0]):
            yield chunk
    position = skip[1] or 0
    file = await asyncio.to_thread(_open, path, position)
    try:
        while True:
            ring = bell.listen()
            more = follow()
            if file is None:
                file = await asyncio.to_thread(_open, path, 0)
            while file is not None:
                if chunk := await asyncio.to_thread(file.read, _CHUNK):
                    yield chunk
                elif await asyncio.to_thread(_replaced, file, path):
                    # A rotation renames before it begins anew, so what was written in between is still here.
                    rest = await asyncio.to_thread(file.read, -1)
                    await asyncio.to_thread(file.close)
                    file = await asyncio.to_thread(_open, path, 0)
                    if rest:
                        yield rest
                else:
                    break
            if not more:
                return
            await ring.wait()
    finally:
        if file is not None:
            file.close()


async def _rest(path: Path, position: int) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(_open, path, position)
    if file is not None:
        with file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk


def _skip(paths: tuple[Path, Path], tail_bytes: int | None) -> tuple[int | None, int | None]:
    """Where to begin in the older and in the current file; ``None`` to leave the file out."""
    sizes = [path.stat().st_size if path.exists() else 0 for path in paths]
    if tail_bytes is None:
        return 0, 0
    missing = tail_bytes - sizes[1]
    return (max(0, sizes[0] - missing), 0) if missing > 0 else (None, sizes[1] - tail_bytes)


def _open(path: Path, position: int) -> BinaryIO | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    file.seek(position)
    return file


def _replaced(file: BinaryIO, path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino != path.stat().st_ino
    except FileNotFoundError:
        return False
