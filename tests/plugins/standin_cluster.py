"""A stand-in for a cluster whose jobs go on without the platform: the test says what it tells of them.

Real clusters are in `tests/cluster`; this one is for what depends on the order in which things are told.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from perijove_platform.runtimes.base import Capacity, JobSpec, JobUpdate


class StandinJobs:
    """`runtimes.base.Jobs`.

    Attributes:
        asked: what was asked for, in order: ``("submit" | "cancel" | "suspend", job id)``.
        told: updates that are passed to the watcher.
    """

    lasting = True
    takes_images = True

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.told: asyncio.Queue[JobUpdate] = asyncio.Queue()

    async def submit(self, spec: JobSpec) -> None:
        self.asked.append(("submit", spec.job_id))

    async def cancel(self, job_id: str) -> None:
        self.asked.append(("cancel", job_id))

    async def suspend(self, job_id: str) -> None:
        self.asked.append(("suspend", job_id))

    async def logs(
        self, job_id: str, *, follow: bool, tail_lines: int | None = None, tail_bytes: int | None = None
    ) -> AsyncIterator[bytes]:
        yield b""

    async def watch(self) -> AsyncIterator[JobUpdate]:
        while True:
            yield await self.told.get()

    async def work_folder(self, job_id: str) -> Path:
        return Path(job_id)


class StandinCluster:
    """`runtimes.base.Cluster`; it serves no models."""

    name = "moon"
    serving: Any = None

    def __init__(self) -> None:
        self.jobs = StandinJobs()

    async def start(self) -> None:
        """Nothing is started."""

    async def stop(self) -> None:
        """Nothing is stopped."""

    async def capacity(self) -> Capacity:
        raise NotImplementedError
