"""What is written down about running children, so that a platform that was killed leaves nothing running.

A record is ``<name>.json`` with ``{"pid", "started", "mark"}``: `started` guards against a reused pid, and the
mark, which every process of the group carries in its environment, finds members that outlived their leader.
Blocking: call it in a thread.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

MARK_VARIABLE = "PERIJOVE_CHILD"
_START_TOLERANCE_SECONDS = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProcessRecord:
    """A child: its pid (which is its process group too), when it started (Unix seconds) and its mark."""

    pid: int
    started: float
    mark: str


class ProcessRecords:
    """The records in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, pid: int, mark: str) -> None:
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(name)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(ProcessRecord(pid, started, mark))), encoding="utf-8")
        partial.replace(path)

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def kill_leftovers(self) -> list[str]:
        """Kills what an earlier platform left running; the names of the children that were found."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                record = ProcessRecord(**json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                _log.warning("ignoring the unreadable process record %s", path.name)
            else:
                if _kill_group(record):
                    found.append(path.stem)
            path.unlink(missing_ok=True)
        return found

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _kill_group(record: ProcessRecord) -> bool:
    victims = [process for process in psutil.process_iter() if _belongs(process, record)]
    for process in victims:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(victims, timeout=5)
    return bool(victims)


def _belongs(process: psutil.Process, record: ProcessRecord) -> bool:
    try:
        if process.pid == record.pid:
            return abs(process.create_time() - record.started) < _START_TOLERANCE_SECONDS
        return os.getpgid(process.pid) == record.pid and process.environ().get(MARK_VARIABLE) == record.mark
    except (psutil.Error, OSError):
        return False


def kill_group(pid: int, number: signal.Signals) -> None:
    """Signals the whole process group of a child; one that has ended is ignored."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
