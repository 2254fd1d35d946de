"""One run of one job: what all programs have in common. See `trainer_run` and `batch_run`."""

from __future__ import annotations

import asyncio
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from perijove_platform.runtimes.base import JobSpec, JobState
from perijove_platform.runtimes.kubernetes.words import duration
from perijove_platform.runtimes.local.processes import ChildProcess, ProcessSupervisor

LOG = "log.txt"
NICE = 5
_KILL_AFTER_SECONDS = 0.5
_SPENT = "run_seconds.json"
_SCRATCH = ("checkpoints", "inputs", "work")


class Emit(Protocol):
    """Passes on a state, with its reason, or a report; see `JobUpdate`."""

    async def __call__(
        self,
        state: JobState | None = None,
        reason: str | None = None,
        *,
        report: Mapping[str, Any] | None = None,
        completed: int | None = None,
    ) -> None: ...


class Inputs(Protocol):
    """Where a job's input files come from; an `ObjectStore` is one."""

    def local_path(self, key: str) -> AbstractAsyncContextManager[Path]: ...


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What every run on this machine shares.

    Attributes:
        cache_dir: holds the trainer's environment and the converted base models.
        memory_bytes: of a job that names no limit.
    """

    jobs_dir: Path
    cache_dir: Path
    memory_bytes: int


@dataclass(frozen=True)
class Outcome:
    """How a run ended, for `JobUpdate`."""

    state: JobState
    reason: str | None


class JobRun(ABC):
    """A run from its start to its outcome.

    Args:
        emit: passes on what happens.
        on_log: called when the log has grown.
    """

    def __init__(
        self,
        spec: JobSpec,
        settings: RunSettings,
        inputs: Inputs,
        processes: ProcessSupervisor,
        emit: Emit,
        on_log: Callable[[], None],
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._inputs = inputs
        self._processes = processes
        self._emit = emit
        self._on_log = on_log
        self._folder = settings.jobs_dir / spec.job_id
        self._error: Mapping[str, Any] | None = None

    @abstractmethod
    async def run(self) -> Outcome:
        """Ends the children and raises `CancelledError` when cancelled, within a second."""

    async def _place_inputs(self, folder: Path) -> None:
        """Raises `OSError` or `LookupError` when one cannot be had."""
        for relative, key in self._spec.inputs.items():
            target = folder / relative
            if not await asyncio.to_thread(target.exists):
                async with self._inputs.local_path(key) as source:
                    await asyncio.to_thread(_copy, source, target)

    async def _in_time(self, work: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """`work`, unless the job's running time, over all attempts, ends before it."""
        limit = self._spec.max_run_seconds
        if limit is None:
            return await work()
        clock = asyncio.get_running_loop().time
        spent, begun = await asyncio.to_thread(_read_spent, self._folder), clock()
        try:
            async with asyncio.timeout(max(0.0, limit - spent)) as waiting:
                return await work()
        except TimeoutError:
            if not waiting.expired():
                raise
            return await self._fail("time_limit", f"stopped: maximum run time of {duration(limit)}")
        finally:
            await asyncio.to_thread(_write_spent, self._folder, spent + clock() - begun)

    async def _fail(self, code: str, message: str) -> Outcome:
        self._error = {"type": "error", "code": code, "message": message, "param": None}
        await self._emit(report=self._error)
        return self._failed(message)

    def _failed(self, reason: str) -> Outcome:
        return Outcome(JobState.FAILED, str(self._error["message"]) if self._error else reason)


async def stop(child: ChildProcess) -> None:
    """Whatever becomes of the caller."""
    await asyncio.shield(child.stop(grace_seconds=_KILL_AFTER_SECONDS))


def remove_scratch(folder: Path) -> None:
    """What nobody needs once a job has ended for good: checkpoints, inputs, working folders. Log and results stay."""
    for name in _SCRATCH:
        shutil.rmtree(folder / name, ignore_errors=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f"{path.name}.part")
    building.write_text(json.dumps(dict(content)), encoding="utf-8")
    building.replace(path)


def _read_spent(folder: Path) -> float:
    try:
        return float(json.loads((folder / _SPENT).read_bytes())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _write_spent(folder: Path, seconds: float) -> None:
    write_json(folder / _SPENT, {"seconds": seconds})


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.with_name(f"{target.name}.part")
    shutil.copyfile(source, building)
    building.replace(target)
