"""This machine as a `Cluster`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Protocol

import psutil

from perijove_platform.engines.llamacpp.program import LlamaCppProgram
from perijove_platform.runtimes.base import Capacity, Jobs, Serving
from perijove_platform.runtimes.local.engine import EngineFolders, EngineLimits
from perijove_platform.runtimes.local.processes import ProcessSupervisor
from perijove_platform.runtimes.local.serving import LocalServing
from perijove_platform.settings import Settings

_ROOM_SECONDS = 60.0


class BackgroundJobs(Jobs, Protocol):
    """Jobs with a start and an end, as `runtimes.local.jobs` has them."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class LocalCluster:
    """See `base.Cluster`: engines and jobs are child processes of the platform.

    Args:
        supervisor: the one that `jobs` uses too; started here, before both.
    """

    name = "local"

    def __init__(self, settings: Settings, supervisor: ProcessSupervisor, jobs: BackgroundJobs) -> None:
        self._data_dir = settings.data_dir
        self._supervisor = supervisor
        self._jobs = jobs
        self._serving = local_serving(settings, supervisor)
        self.jobs: Jobs = jobs
        self.serving: Serving = self._serving

    async def start(self) -> None:
        await self._supervisor.start()
        await self._jobs.start()

    async def stop(self) -> None:
        await self._jobs.stop()
        await self._serving.stop()
        await self._supervisor.stop()

    async def capacity(self) -> Capacity:
        return await asyncio.to_thread(_capacity, self._data_dir)


def local_supervisor(settings: Settings) -> ProcessSupervisor:
    """The supervisor of a data directory's child processes."""
    return ProcessSupervisor(settings.engines_dir / "processes")


def local_serving(
    settings: Settings, supervisor: ProcessSupervisor, *, room_seconds: float = _ROOM_SECONDS
) -> LocalServing:
    """Engines as the settings want them; without a budget there, half of the machine's memory."""
    budget = settings.engine_memory_bytes or psutil.virtual_memory().total // 2
    return LocalServing(
        supervisor,
        LlamaCppProgram(),
        EngineFolders(work=settings.engines_dir, logs=settings.logs_dir),
        EngineLimits(
            start_seconds=settings.engine_start_seconds,
            room_seconds=room_seconds,
            max_context_length=settings.max_context_length,
            memory_bytes=budget,
        ),
        idle_seconds=settings.engine_idle_seconds,
    )


def _capacity(data_dir: Path) -> Capacity:
    memory = psutil.virtual_memory()
    data_dir.mkdir(parents=True, exist_ok=True)
    return Capacity(
        cpus=len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count() or 1,
        memory_bytes=memory.total,
        memory_free_bytes=memory.available,
        gpus=0,
        gpus_free=0,
        disk_free_bytes=psutil.disk_usage(str(data_dir)).free,
    )
