"""A child's log file, bounded: when it is full it becomes ``<name>.1`` and a new one begins."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Protocol

_LINE_BYTES = 2000
_LONGEST_LINE_BYTES = 64 * 1024


class LogSink(Protocol):
    """Where what a child writes goes. Blocking: call it in a thread."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def tail(self) -> list[str]:
        """The last lines, oldest first."""
        ...


class ChildLog:
    """Appends to `path` and remembers the last lines. Blocking: call it in a thread.

    At most two files of `max_bytes` each are kept.
    """

    def __init__(self, path: Path, *, max_bytes: int = 8 << 20, tail_lines: int = 60) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._tail: deque[str] = deque(maxlen=tail_lines)
        self._unfinished = b""
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Appends; ignored after `close`. Thread-safe."""
        with self._lock:
            if self._file.closed:
                return
            self._remember(data)
            if self._file.tell() + len(data) > self._max_bytes:
                self._rotate()
            self._file.write(data)

    def close(self) -> None:
        with self._lock:
            if self._unfinished:
                self._tail.append(self._unfinished.decode(errors="replace"))
                self._unfinished = b""
            self._file.close()

    def tail(self) -> list[str]:
        """The last lines, oldest first."""
        return list(self._tail)

    def _remember(self, data: bytes) -> None:
        *lines, rest = (self._unfinished + data).split(b"\n")
        self._tail.extend(line[:_LINE_BYTES].decode(errors="replace") for line in lines)
        self._unfinished = rest[:_LINE_BYTES]

    def _rotate(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._file = self._path.open("ab", buffering=0)


class NumberedLog:
    """The part of one of several children that write to one log: whole lines, each after the child's number."""

    def __init__(self, log: ChildLog, number: int, *, tail_lines: int = 60) -> None:
        self._log = log
        self._prefix = f"[{number}] ".encode()
        self._tail: deque[str] = deque(maxlen=tail_lines)
        self._unfinished = b""

    def write(self, data: bytes) -> None:
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if len(self._unfinished) > _LONGEST_LINE_BYTES:
            lines.append(self._unfinished)
            self._unfinished = b""
        self._pass_on(lines)

    def close(self) -> None:
        """The log itself stays open for the others."""
        if self._unfinished:
            self._pass_on([self._unfinished])
            self._unfinished = b""

    def tail(self) -> list[str]:
        """The child's last lines, oldest first."""
        return list(self._tail)

    def _pass_on(self, lines: list[bytes]) -> None:
        self._tail.extend(line[:_LINE_BYTES].decode(errors="replace") for line in lines)
        if lines:
            self._log.write(b"".join(self._prefix + line + b"\n" for line in lines))
