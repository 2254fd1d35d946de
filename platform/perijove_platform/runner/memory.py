"""What the container may use of memory and processors, and whether the kernel has killed for it: cgroups 1 and 2."""

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 60
_NEAR_LIMIT = 0.95


@dataclass(frozen=True)
class Memory:
    """Bytes; ``None`` where there is no limit, or the kernel does not tell. `kills` counts the processes it killed."""

    limit: int | None
    peak: int | None
    kills: int | None

    def ran_out_since(self, before: "Memory") -> bool:
        """Whether a process that has just died by SIGKILL died for want of memory."""
        if self.kills is not None and before.kills is not None:
            return self.kills > before.kills
        return self.limit is not None and self.peak is not None and self.peak >= _NEAR_LIMIT * self.limit

    def describe(self) -> str:
        """For a person: ``limit 4.0 GiB, peak 3.9 GiB``."""
        parts = [("limit", self.limit), ("peak", self.peak)]
        return ", ".join(f"{name} {format_bytes(value)}" for name, value in parts if value is not None)


class ControlGroup:
    """The container's own control group, see cgroups(7).

    Args:
        root: where the kernel shows control groups.
        membership: which of them this process is in.
    """

    def __init__(self, root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> None:
        self._root = root
        self._groups: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            for line in membership.read_text(encoding="utf-8").splitlines():
                _, controllers, group = line.split(":", 2)
                self._groups.update(dict.fromkeys(controllers.split(","), group.lstrip("/")))

    def memory(self) -> Memory:
        return Memory(
            limit=self._number("memory", ("memory.max", "memory.limit_in_bytes")),
            peak=self._number("memory", ("memory.peak", "memory.max_usage_in_bytes", "memory.current")),
            kills=self._kills(),
        )

    def processors(self) -> int:
        """How many threads are worth while: the quota, rounded up, or what this process may run on."""
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        for text in self._texts("cpu", "cpu.max"):
            quota, _, period = text.partition(" ")
            if quota.isdecimal():
                return max(1, min(available, math.ceil(int(quota) / int(period))))
        quota_us = self._number("cpu", ("cpu.cfs_quota_us",))
        period_us = self._number("cpu", ("cpu.cfs_period_us",))
        if quota_us and period_us:
            return max(1, min(available, math.ceil(quota_us / period_us)))
        return available

    def _number(self, controller: str, names: tuple[str, ...]) -> int | None:
        for name in names:
            for text in self._texts(controller, name):
                if text.isdecimal() and int(text) < _UNLIMITED:
                    return int(text)
        return None

    def _kills(self) -> int | None:
        for name in ("memory.events", "memory.oom_control"):
            for text in self._texts("memory", name):
                for line in text.splitlines():
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        return None

    def _texts(self, controller: str, name: str) -> Iterator[str]:
        """Of version 2, then of version 1. Inside a container its own group is usually shown as the root."""
        unified, own = self._groups.get("", ""), self._groups.get(controller, "")
        for path in (
            self._root / unified / name,
            self._root / name,
            self._root / controller / own / name,
            self._root / controller / name,
        ):
            with contextlib.suppress(OSError):
                yield path.read_text(encoding="ascii").strip()


def format_bytes(count: int) -> str:
    """``"3.2 GiB"``; binary units."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
