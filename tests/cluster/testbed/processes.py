"""Processes that outlive the command that started them, found again by number and start."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from testbed.layout import LOGS, PIDS
from testbed.steps import Failed

STOP_SECONDS = 20.0
LAST_LINES = 15


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
) -> None:
    """Start a program in the background, with its output in its log.

    Args:
        user: number of the user and group that it runs as, instead of root.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    PIDS.mkdir(parents=True, exist_ok=True)
    with log_of(name).open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd or "/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
    (PIDS / name).write_text(f"{process.pid} {_start_of(process.pid)}")
    # Not waited for: it goes on when this command has ended, and machine's init takes it over.
    process.returncode = 0


def log_of(name: str) -> Path:
    return LOGS / f"{name}.log"


def running(name: str) -> bool:
    return _pid(name) is not None


def started() -> list[str]:
    """Names of what was started and not stopped since, whether it still runs or not."""
    return sorted(file.name for file in PIDS.iterdir()) if PIDS.is_dir() else []


def check(name: str) -> None:
    """`Failed`, with the end of its log, when the process has ended."""
    if not running(name):
        raise Failed(f"{name} has ended. The end of {log_of(name)}:\n{last_words(name)}")


def last_words(name: str) -> str:
    try:
        return "\n".join(log_of(name).read_text(errors="replace").splitlines()[-LAST_LINES:])
    except OSError:
        return ""


def stop(name: str) -> None:
    """Ask it to end; kill it when it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = _pid(name)
        if pid is None:
            break
        _signal(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while _pid(name) is not None and time.monotonic() < deadline:
            time.sleep(0.02)
    (PIDS / name).unlink(missing_ok=True)


def kill(name: str) -> None:
    """End it without a farewell."""
    pid = _pid(name)
    if pid is not None:
        _signal(pid, signal.SIGKILL)
    while _pid(name) is not None:
        time.sleep(0.01)
    (PIDS / name).unlink(missing_ok=True)


def _signal(pid: int, number: int) -> None:
    # It may have ended by itself since it was looked for.
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _pid(name: str) -> int | None:
    """Its number, unless it has ended: a number may be another process's by now."""
    try:
        pid, began = (PIDS / name).read_text().split()
    except (OSError, ValueError):
        return None
    _reap(int(pid))
    return int(pid) if began == _start_of(int(pid)) else None


def _reap(pid: int) -> None:
    """Take note of the end of a child of this very command; others' children are their parents'."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _start_of(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; ``None`` when it has ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else rest[18]
