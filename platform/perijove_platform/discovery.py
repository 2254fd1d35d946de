"""Where the platform of a data directory answers, and its key.

Standard library only: the notebook plane imports this and nothing else of the platform.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

RECORD = "platform.json"
KEY = "api_key"


class NotRunning(Exception):
    """No platform answers for this data directory; the message says what to do."""


@dataclass(frozen=True)
class Connection:
    """How to reach a platform.

    Attributes:
        base_url: without trailing slash and without ``/v1``.
        pid: of the platform's process on this machine; ``None`` for a remote one.
    """

    base_url: str
    api_key: str = field(repr=False)
    pid: int | None = None
    version: str | None = None


def default_data_dir() -> Path:
    """`$PERIJOVE_DATA_DIR`, or the user's data folder as the operating system places it."""
    given = os.environ.get("PERIJOVE_DATA_DIR")
    if given:
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "perijove"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "perijove"


def cache_dir() -> Path:
    """`$PERIJOVE_CACHE_DIR`, or the user's cache folder: what is here can be made again."""
    given = os.environ.get("PERIJOVE_CACHE_DIR")
    if given:
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "perijove"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perijove"


def alive(pid: int) -> bool:
    """Whether a process of this number runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def started(pid: int) -> str | None:
    """When a process began, as this machine tells it: with the number, that names one process for good.

    ``None`` when there is no such process, or when it has ended and only its parent has not taken notice.
    """
    if sys.platform == "linux":
        return _started_by_proc(pid)
    return _started_by_ps(pid)


def _started_by_proc(pid: int) -> str | None:
    """Clock ticks since the boot that is named, see proc_pid_stat(5)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The program's name stands in parentheses, and may hold spaces and parentheses itself.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else f"{boot} {fields[18]}"
    except (OSError, ValueError, IndexError):
        return None


def _started_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    except OSError:
        return None
    state, _, began = answer.stdout.strip().partition(" ")
    return None if state.startswith("Z") else began.strip() or None


def read_record(data_dir: Path) -> Connection:
    """The running platform of `data_dir`.

    Raises:
        NotRunning: there is no record, or the process that wrote it is gone, whoever has its number now.
    """
    try:
        record = json.loads((data_dir / RECORD).read_text())
        connection = Connection(
            base_url=record["base_url"],
            api_key=(data_dir / KEY).read_text().strip(),
            pid=int(record["pid"]),
            version=record.get("version"),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        raise NotRunning(f"No platform is running for {data_dir}. Start one with `perijove serve`.") from None
    if not _runs(connection.pid, record.get("started")):
        raise NotRunning(f"The platform of {data_dir} has stopped. Start it with `perijove serve`.")
    return connection


def _runs(pid: int | None, began: str | None) -> bool:
    if pid is None or not alive(pid):
        return False
    return began is None or started(pid) == began


def connect(data_dir: Path | None = None) -> Connection:
    """The platform to use: `$PERIJOVE_BASE_URL` with `$PERIJOVE_API_KEY` when set, else the one on this machine.

    Raises:
        NotRunning: neither is there; the message says what to do.
    """
    base_url = os.environ.get("PERIJOVE_BASE_URL")
    if data_dir is None and base_url:
        api_key = os.environ.get("PERIJOVE_API_KEY")
        if not api_key:
            raise NotRunning("PERIJOVE_BASE_URL is set but PERIJOVE_API_KEY is not. Set it to a key of that platform.")
        return Connection(base_url=base_url.rstrip("/"), api_key=api_key)
    return read_record(data_dir or default_data_dir())


def write_record(data_dir: Path, *, base_url: str, version: str) -> None:
    """Announce this process as the platform of `data_dir` (atomic)."""
    temporary = data_dir / f"{RECORD}.{os.getpid()}"
    record = {"base_url": base_url, "pid": os.getpid(), "started": started(os.getpid()), "version": version}
    temporary.write_text(json.dumps(record))
    temporary.replace(data_dir / RECORD)


def remove_record(data_dir: Path) -> None:
    """Withdraw the announcement, if it is this process's own."""
    try:
        record = json.loads((data_dir / RECORD).read_text())
    except (FileNotFoundError, ValueError):
        return
    if record.get("pid") == os.getpid():
        (data_dir / RECORD).unlink(missing_ok=True)
