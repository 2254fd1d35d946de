"""Memory of processes and of this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil


def format_bytes(count: int) -> str:
    """``"3.2 GiB"``; binary units."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def group_memory(group: int) -> int:
    """Resident bytes of a process group, shared pages counted once per process; 0 when it is gone. Blocking."""
    total = 0
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getpgid(pid) == group:
                total += psutil.Process(pid).memory_info().rss
    return total


def available_memory() -> int:
    """Bytes that a new process can use without swapping. Blocking."""
    return psutil.virtual_memory().available


def oom_kills() -> int | None:
    """How many processes the kernel has killed so far because memory ran out, as near to this process as it tells.

    The counter of this process' control group, which its children share, else the machine's; ``None`` without either.
    Blocking.
    """
    for path in (*_control_group_counters(), Path("/proc/vmstat")):
        with contextlib.suppress(OSError, ValueError):
            for line in path.read_text(encoding="ascii").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return None


def _control_group_counters() -> Iterator[Path]:
    """See cgroups(7): of version 2, then of version 1; within a container its own group is the root."""
    root = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                yield root / group.lstrip("/") / "memory.events"
            elif "memory" in controllers.split(","):
                yield root / "memory" / group.lstrip("/") / "memory.oom_control"
    yield root / "memory.events"
    yield root / "memory" / "memory.oom_control"
