"""One run of one job: prepare the environment and the folder, run the program, pass on what it reports."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from perijove_platform.runtimes.base import JobSpec, JobState
from perijove_platform.runtimes.local import trainer_environment
from perijove_platform.runtimes.local.processes import ChildProcess, Exit, ExitCause, ProcessSpec, ProcessSupervisor
from perijove_platform.runtimes.local.program_archive import archive_program

CONFIG = "config.json"
RESULT = "result.json"
LOG = "log.txt"
MAX_RESTARTS = 2
_KILL_AFTER_SECONDS = 0.5
_NICE = 5
_SCRATCH = ("checkpoints", "inputs")

Emit = Callable[[JobState | None, str | None, Mapping[str, Any] | None], Awaitable[None]]


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


class JobRun:
    """A run from its start to its outcome.

    Args:
        emit: passes on a state (with its reason) or a report.
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

    async def run(self) -> Outcome:
        """Ends the child and raises `CancelledError` when cancelled, within a second."""
        if (result := await asyncio.to_thread(_read_result, self._folder)) is not None:
            # It had ended, and the platform too, before anybody was told.
            await self._emit(None, None, result)
            return Outcome(JobState.SUCCEEDED, None)
        await self._emit(JobState.ADMITTED, "preparing", None)
        python = await self._environment()
        if python is None:
            return self._failed("the training stack could not be installed")
        try:
            await self._prepare()
        except (OSError, LookupError) as error:
            return await self._fail("input", f"The job's folder could not be prepared: {error}")
        archive = await asyncio.to_thread(archive_program, self._spec.program, self._settings.jobs_dir)
        bases = self._settings.cache_dir / "bases"
        return await self._run_program([str(python), "-I", str(archive), str(self._folder), str(bases)])

    async def _environment(self) -> Path | None:
        cache = self._settings.cache_dir
        python = await asyncio.to_thread(trainer_environment.environment_python, cache)
        if python is not None:
            return python
        module = trainer_environment.__name__
        ended = await self._child(
            "install", [sys.executable, "-m", module, "--json", "--cache-dir", str(cache)], memory_bytes=None
        )
        if self._error is None and ended.code != 0:
            await self._fail("trainer_environment", f"The installer of the training stack {ended.describe()}")
        return await asyncio.to_thread(trainer_environment.environment_python, cache)

    async def _prepare(self) -> None:
        await asyncio.to_thread(_write_config, self._folder, self._spec.config)
        for relative, key in self._spec.inputs.items():
            target = self._folder / relative
            if not await asyncio.to_thread(target.exists):
                async with self._inputs.local_path(key) as source:
                    await asyncio.to_thread(_copy, source, target)

    async def _run_program(self, argv: list[str]) -> Outcome:
        limit = self._spec.resources.memory_bytes or self._settings.memory_bytes
        await self._emit(JobState.RUNNING, "starting", None)
        for attempt in range(MAX_RESTARTS + 1):
            ended = await self._child("run", argv, memory_bytes=limit)
            if ended.code == 0 and await asyncio.to_thread(_read_result, self._folder) is not None:
                return Outcome(JobState.SUCCEEDED, None)
            if self._error is not None:
                return self._failed(str(self._error.get("message")))
            if ended.cause is ExitCause.MEMORY:
                message = f"The training {ended.describe()}. Use a smaller batch_size or shorter examples."
                return await self._fail("out_of_memory", message)
            if ended.code >= 0 or attempt == MAX_RESTARTS:
                break
            message = f"The program {ended.describe()}; starting it again from its last checkpoint"
            await self._emit(None, None, {"type": "message", "level": "warn", "message": message})
        if ended.short_of_memory:
            message = f"The training {ended.describe()}. Use a smaller batch_size or shorter examples."
            return await self._fail("out_of_memory", message)
        return await self._fail("crashed", f"The program {ended.describe()}; the log has the details.")

    async def _child(self, kind: str, argv: list[str], *, memory_bytes: int | None) -> Exit:
        child = await self._processes.spawn(
            ProcessSpec(
                name=f"job-{kind}-{self._spec.job_id}",
                argv=argv,
                config={},
                log_path=self._folder / LOG,
                work_dir=self._folder,
                environment=self._environment_variables(),
                memory_bytes=memory_bytes,
                nice=_NICE,
                on_log=self._on_log,
            )
        )
        try:
            async for report in child.reports():
                await self._on_report(report)
            return await child.wait()
        except BaseException:
            await _stop(child)
            raise

    def _environment_variables(self) -> Mapping[str, str]:
        cpus = self._spec.resources.cpus
        threads = max(1, int(cpus)) if cpus else os.cpu_count() or 1
        return {
            "OMP_NUM_THREADS": str(threads),
            # Threads that spin at a barrier make a step ten times as long once the machine has other work to do.
            "OMP_WAIT_POLICY": "PASSIVE",
            "HF_HOME": str(self._settings.cache_dir / "huggingface"),
        }

    async def _on_report(self, report: Mapping[str, Any]) -> None:
        if report.get("type") == "error":
            self._error = report
        await self._emit(None, None, report)

    async def _fail(self, code: str, message: str) -> Outcome:
        self._error = {"type": "error", "code": code, "message": message, "param": None}
        await self._emit(None, None, self._error)
        return self._failed(message)

    def _failed(self, reason: str) -> Outcome:
        return Outcome(JobState.FAILED, str(self._error["message"]) if self._error else reason)


async def _stop(child: ChildProcess) -> None:
    await asyncio.shield(child.stop(grace_seconds=_KILL_AFTER_SECONDS))


def remove_scratch(folder: Path) -> None:
    """What nobody needs once a job has ended for good: checkpoints and inputs. The log and the results stay."""
    for name in _SCRATCH:
        shutil.rmtree(folder / name, ignore_errors=True)


def _read_result(folder: Path) -> Mapping[str, Any] | None:
    try:
        result = json.loads((folder / RESULT).read_bytes())
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) else None


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    building = folder / f"{CONFIG}.part"
    building.write_text(json.dumps(dict(config)), encoding="utf-8")
    building.replace(folder / CONFIG)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.with_name(f"{target.name}.part")
    shutil.copyfile(source, building)
    building.replace(target)
