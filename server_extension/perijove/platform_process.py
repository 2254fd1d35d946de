"""The platform as a process of the operating system: start it, notice its end, stop it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from perijove_platform.discovery import alive

LOG = Path("logs") / "platform.log"
MAX_LOG_BYTES = 10 * 1024 * 1024
LAST_LINE_BYTES = 4096
EXIT_POLL_SECONDS = 1.0

# Credentials of this Jupyter server, and pointers to another platform: not the embedded platform's business.
WITHHELD = ("JUPYTERHUB_", "JUPYTER_TOKEN", "JPY_", "PERIJOVE_BASE_URL", "PERIJOVE_API_KEY")


def spawn(data_dir: Path) -> "subprocess.Popen[bytes]":
    """Start a platform that outlives this process and that Ctrl-C in its terminal does not reach.

    Raises:
        OSError: the data directory cannot be written to.
    """
    path = data_dir / LOG
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    command = [sys.executable, "-P", "-m", "perijove_platform", "serve", "--data-dir", str(data_dir), "--port", "0"]
    with path.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_environment(os.environ),
        )


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(WITHHELD)}


def last_line(data_dir: Path) -> str | None:
    """The end of the platform's log, which says why it stopped."""
    try:
        with (data_dir / LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_LINE_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), None)


async def until_exit(pid: int, child: "subprocess.Popen[bytes] | None" = None) -> None:
    """Return when the process has ended; `child` is its handle when this process started it."""
    if hasattr(os, "pidfd_open"):
        await _pidfd_readable(pid)
    else:
        while alive(pid) and (child is None or child.poll() is None):
            await asyncio.sleep(EXIT_POLL_SECONDS)
    if child is not None:
        child.poll()


async def _pidfd_readable(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def terminate(pid: int, child: "subprocess.Popen[bytes] | None" = None, *, patience: float) -> None:
    """End a process: SIGTERM, and SIGKILL when it still runs after `patience` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            os.kill(pid, number)
            await asyncio.wait_for(until_exit(pid, child), patience)
        if not alive(pid):
            return
