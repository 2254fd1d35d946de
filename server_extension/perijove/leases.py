"""Which Jupyter servers use the platform of a data directory, and who may start or stop it right now.

Everything here is a lock of the operating system (`flock`) on a file in ``<data_dir>/leases``: it vanishes with
the process that holds it, however that ends, so that a crashed JupyterLab counts for nothing.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from perijove_platform import discovery

FOLDER = "leases"
GATE = "gate"
STARTED = "platform.pid"
SUFFIX = ".lease"
PLATFORM_LOCK = "platform.lock"

GATE_SECONDS = 120.0
GATE_POLL_SECONDS = 0.05


class GateTimeout(Exception):
    """Another Jupyter server has been starting or stopping the platform for too long."""


class Leases:
    """The leases on one data directory, and this process's own among them."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = data_dir / FOLDER
        self._own: IO[str] | None = None

    @contextlib.asynccontextmanager
    async def gate(self) -> AsyncIterator[None]:
        """The right to start or stop the platform, held by one Jupyter server at a time.

        Raises:
            GateTimeout: it was not to be had within `GATE_SECONDS`.
            OSError: the data directory cannot be written to.
        """
        with await asyncio.to_thread(self._open_gate) as gate:
            try:
                async with asyncio.timeout(GATE_SECONDS):
                    while not _lock(gate):
                        await asyncio.sleep(GATE_POLL_SECONDS)
            except TimeoutError:
                raise GateTimeout(f"Another Jupyter server holds {self._folder / GATE} and does not finish.") from None
            yield

    def _open_gate(self) -> IO[str]:
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.mkdir(exist_ok=True, mode=0o700)
        return (self._folder / GATE).open("a")

    def take(self) -> None:
        """Become one of the platform's users. Only inside `gate`."""
        if self._own is not None:
            return
        path = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        self._own = path.open("x")
        fcntl.flock(self._own, fcntl.LOCK_EX)

    def leave(self) -> None:
        """Be a user no more. Only inside `gate`."""
        if self._own is not None:
            Path(self._own.name).unlink(missing_ok=True)
            self._own.close()
            self._own = None

    def others(self) -> int:
        """How many other Jupyter servers use the platform; forgets those that crashed. Only inside `gate`."""
        own = Path(self._own.name) if self._own is not None else None
        return sum(_held(path) for path in self._folder.glob(f"*{SUFFIX}") if path != own)

    def mark_started(self, pid: int) -> None:
        """Note that the platform process `pid` was started for Jupyter servers, and so may be stopped by one."""
        (self._folder / STARTED).write_text(f"{pid} {discovery.started(pid) or ''}")

    def started(self) -> int | None:
        """The platform process that was started for Jupyter servers last, if it still runs."""
        try:
            pid, _, began = (self._folder / STARTED).read_text().partition(" ")
            return int(pid) if began and discovery.started(int(pid)) == began else None
        except (FileNotFoundError, ValueError):
            return None

    def served(self) -> bool:
        """Whether a process serves the data directory.

        The record in ``platform.json`` can outlive its process, whose number another may then have; this lock cannot.
        """
        try:
            lock = (self._data_dir / PLATFORM_LOCK).open("a")
        except FileNotFoundError:
            return False
        # Shared, so that of two who ask neither takes the other for a platform.
        with lock:
            return not _lock(lock, fcntl.LOCK_SH)


def _lock(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(path: Path) -> bool:
    """Whether a living process holds this lease; removes it otherwise."""
    try:
        lease = path.open("a")
    except FileNotFoundError:
        return False
    with lease:
        if not _lock(lease):
            return True
        path.unlink(missing_ok=True)
        return False
