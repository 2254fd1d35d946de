"""A run of the trainer: its environment is installed first, and it goes on from its last checkpoint."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.local import trainer_environment
from perijove_platform.runtimes.local.job_run import LOG, NICE, JobRun, Outcome, stop, write_json
from perijove_platform.runtimes.local.processes import Exit, ExitCause, ProcessSpec
from perijove_platform.runtimes.local.program_archive import archive_program

CONFIG = "config.json"
RESULT = "result.json"
MAX_RESTARTS = 2


class TrainerRun(JobRun):
    """See `JobRun`."""

    async def run(self) -> Outcome:
        if (result := await asyncio.to_thread(_read_result, self._folder)) is not None:
            # It had ended, and the platform too, before anybody was told.
            await self._emit(report=result)
            return Outcome(JobState.SUCCEEDED, None)
        await self._emit(JobState.ADMITTED, "preparing")
        python = await self._environment()
        if python is None:
            return self._failed("the training stack could not be installed")
        try:
            await asyncio.to_thread(write_json, self._folder / CONFIG, self._spec.config)
            await self._place_inputs(self._folder)
        except (OSError, LookupError) as error:
            return await self._fail("input", f"The job's folder could not be prepared: {error}")
        archive = await asyncio.to_thread(archive_program, self._spec.program, self._settings.jobs_dir)
        bases = self._settings.cache_dir / "bases"
        argv = [str(python), "-I", str(archive), str(self._folder), str(bases)]
        await self._emit(JobState.RUNNING, "starting")
        return await self._in_time(lambda: self._run_program(argv))

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

    async def _run_program(self, argv: list[str]) -> Outcome:
        limit = self._spec.resources.memory_bytes or self._settings.memory_bytes
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
            await self._emit(report={"type": "message", "level": "warn", "message": message})
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
                nice=NICE,
                on_log=self._on_log,
            )
        )
        try:
            async for report in child.reports():
                await self._on_report(report)
            return await child.wait()
        except BaseException:
            await stop(child)
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
        await self._emit(report=report)


def _read_result(folder: Path) -> Mapping[str, Any] | None:
    try:
        result = json.loads((folder / RESULT).read_bytes())
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) else None
