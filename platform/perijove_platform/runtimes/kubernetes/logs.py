"""A job's log, kept on this machine while its pods write it: each line once, of every attempt, whatever is cut.

Kubernetes gives each line its time, and a log from a whole second on. So what has been written is remembered by the
time of the last line and by how many lines of that time there were, and what comes again is left out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from perijove_platform.objects.base import in_thread
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import Invalid, KubernetesError, NotFound, Unreachable
from perijove_platform.runtimes.kubernetes.pod_ends import CONTAINER
from perijove_platform.runtimes.local.child_log import ChildLog
from perijove_platform.runtimes.local.job_log import Bell

logger = logging.getLogger(__name__)

LOG = "log.txt"
MAX_LINE_BYTES = 64 * 1024
"""Kept of one line; the rest of it is left out and counted."""
_POSITIONS = "log.positions.json"
_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 10.0
_MAX_STAMP_BYTES = 64
_STAMP = re.compile(r"(?P<seconds>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Position:
    """How far a pod's log has been written.

    Attributes:
        time: of the last line, as Kubernetes writes it; empty before the first.
        count: lines of that very time.
        over: the container has ended and everything has been written.
    """

    time: str = ""
    count: int = 0
    over: bool = False


class LineCutter:
    """Makes lines of a log's chunks, each with its time, and bounds them.

    Args:
        position: where to go on: lines at or before it are left out.

    Attributes:
        position: of the last line that was given.
    """

    def __init__(self, position: Position) -> None:
        self.position = position
        self._head = b""
        self._dropped = 0
        self._known = position if position.time else None
        self._again = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The new lines that this chunk completes, without their times, each with its line feed."""
        found: list[bytes] = []
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._add(end)
            if (line := self._take()) is not None:
                found.append(line)
        self._add(rest)
        return found

    def finish(self) -> list[bytes]:
        """The last line, which may lack its line feed."""
        line = self._take() if self._head else None
        return [] if line is None else [line]

    def _add(self, part: bytes) -> None:
        room = max(0, MAX_LINE_BYTES + _MAX_STAMP_BYTES - len(self._head))
        if room:
            self._head += part[:room]
        self._dropped += max(0, len(part) - room)

    def _take(self) -> bytes | None:
        stamp, _, text = self._head.partition(b" ")
        dropped, self._head, self._dropped = self._dropped, b"", 0
        time = stamp.decode(errors="replace")
        # A line without a time is none of the log: the kubelet's own words, when it has no log to give.
        if not _STAMP.fullmatch(time) or not self._is_new(time):
            return None
        count = self.position.count + 1 if time == self.position.time else 1
        self.position = Position(time, count)
        if dropped:
            text += f" … ({dropped} more bytes of this line are left out)".encode()
        return text + b"\n"

    def _is_new(self, time: str) -> bool:
        """Only the first lines of a stream can be known already; a clock that goes back later loses nothing."""
        if self._known is None:
            return True
        if time == self._known.time and self._again < self._known.count:
            self._again += 1
            return False
        if time != self._known.time and _order(time) < _order(self._known.time):
            return False
        self._known = None if time != self._known.time else self._known
        return True


class JobLog:
    """The log of one job: ``<folder>/log.txt``, which `runtimes.local.job_log` reads.

    Attributes:
        bell: rung when the log has grown.
    """

    def __init__(self, folder: Path, bell: Bell) -> None:
        self.bell = bell
        self._folder = folder
        self._log: ChildLog | None = None
        self._positions: dict[str, Position] = {}
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Take up what was written before, by an earlier platform process or before `close`."""
        async with self._lock:
            if self._log is None:
                self._log, self._positions = await in_thread(_open, self._folder)

    async def close(self) -> None:
        async with self._lock:
            if self._log is not None:
                await in_thread(self._log.close)
                self._log = None

    def position(self, pod_uid: str) -> Position:
        return self._positions.get(pod_uid, Position())

    @property
    def attempts(self) -> int:
        """Pods whose log has been begun."""
        return sum(bool(position.time) for position in self._positions.values())

    async def write(self, lines: list[bytes], pod_uid: str, position: Position) -> None:
        """Append a pod's lines and remember that its log has come so far: both, or after a crash neither."""
        async with self._lock:
            if self._log is not None:
                await in_thread(self._write, self._log, b"".join(lines), pod_uid, position)
        if lines:
            self.bell.ring()

    def _write(self, log: ChildLog, data: bytes, pod_uid: str, position: Position) -> None:
        if data:
            log.write(data)
        self._positions[pod_uid] = position
        self._save()

    def _save(self) -> None:
        """With the file's identity and size: what was written after this is found, and written again, by `_open`."""
        kept = {
            uid: {"time": position.time, "count": position.count, "over": position.over}
            for uid, position in self._positions.items()
        }
        status = (self._folder / LOG).stat()
        told = {"pods": kept, "inode": status.st_ino, "size": status.st_size}
        building = self._folder / f"{_POSITIONS}.part"
        building.write_text(json.dumps(told), encoding="utf-8")
        building.replace(self._folder / _POSITIONS)


@dataclass(frozen=True, kw_only=True)
class PodLog:
    """A pod whose log is to be followed.

    Attributes:
        index: of a job with several completions, shown before each line.
        ended: whether its container has ended; asked when the stream does.
        gone: whether the pod is there no more.
    """

    name: str
    namespace: str
    uid: str
    index: str | None
    ended: Callable[[], bool]
    gone: Callable[[], bool]


async def follow(client: KubernetesClient, pod: PodLog, log: JobLog) -> None:
    """Write the pod's log until its container has ended, through cuts of the tunnel and restarts of the API server."""
    position = log.position(pod.uid)
    if position.over:
        return
    if not position.time and log.attempts and pod.index is None:
        title = f"[perijove] attempt {log.attempts + 1}, pod {pod.name}\n".encode()
        await log.write([title], pod.uid, position)
    failures = 0
    rest: _Rest | None = None
    while True:
        ended = pod.ended()  # asked before: what is read after the end is everything
        before = log.position(pod.uid)
        try:
            await client.transport.wait_reachable()
            rest = await _copy(client, pod, log, follow=not ended)
            if ended:
                break
        except NotFound:
            break
        except (KubernetesError, Unreachable) as error:
            rest = None
            if pod.gone() or (ended and isinstance(error, Invalid)):
                break  # with a container that never began
            logger.debug("The log of pod %s breaks off: %s", pod.name, error)
        failures = 0 if log.position(pod.uid) != before else failures + 1
        await asyncio.sleep(min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(failures, 8)))
    rest = rest or _Rest([], log.position(pod.uid))
    await log.write(rest.lines, pod.uid, Position(rest.position.time, rest.position.count, over=True))


class _Rest(NamedTuple):
    """The last line of a stream, where it lacks its line feed, and the position behind it.

    Such a stream may have been cut without a word: the line counts only when nothing more can come.
    """

    lines: list[bytes]
    position: Position


async def _copy(client: KubernetesClient, pod: PodLog, log: JobLog, *, follow: bool) -> _Rest:
    """One stream to its end. Lines that a cut leaves unfinished come again, whole."""
    begin = log.position(pod.uid)
    cutter = LineCutter(begin)
    prefix = b"" if pod.index is None else f"[{pod.index}] ".encode()

    stream = client.log(pod.name, pod.namespace, container=CONTAINER, follow=follow, since=begin.time or None)
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            if lines := cutter.feed(chunk):
                await log.write([prefix + line for line in lines], pod.uid, cutter.position)
    return _Rest([prefix + line for line in cutter.finish()], cutter.position)


def _order(time: str) -> tuple[datetime, str]:
    """Sorts times to the nanosecond, of whichever time zone."""
    match = _STAMP.fullmatch(time)
    assert match is not None
    return datetime.fromisoformat(match["seconds"] + match["zone"]), (match["fraction"] or "").ljust(9, "0")


def _open(folder: Path) -> tuple[ChildLog, dict[str, Position]]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        told = json.loads((folder / _POSITIONS).read_bytes())
        positions = {uid: Position(**kept) for uid, kept in told["pods"].items()}
        _cut(folder, told)
    except (OSError, ValueError, KeyError, TypeError):
        positions = {}
    return ChildLog(folder / LOG), positions


def _cut(folder: Path, told: dict[str, Any]) -> None:
    """Take back what was written after the positions were saved: a crash lies between, and it comes again.

    Unless every pod had ended by then: nothing comes again, and nothing is taken back.
    """
    if all(kept["over"] for kept in told["pods"].values()):
        return
    current, older = folder / LOG, folder / f"{LOG}.1"
    if _inode(current) == told["inode"]:
        os.truncate(current, min(told["size"], current.stat().st_size))
    elif _inode(older) == told["inode"]:  # it was replaced meanwhile
        os.truncate(older, min(told["size"], older.stat().st_size))
        older.replace(current)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
