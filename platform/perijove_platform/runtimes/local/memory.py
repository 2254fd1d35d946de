"""Memory of processes and of this machine."""

from __future__ import annotations

import contextlib
import os

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
