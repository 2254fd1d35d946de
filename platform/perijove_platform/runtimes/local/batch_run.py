"""A run of a command of the job's owner, so many times as it is asked for."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from perijove_platform.runtimes.base import JobState
from perijove_platform.runtimes.kubernetes import words
from perijove_platform.runtimes.local.child_log import ChildLog, LogSink, NumberedLog
from perijove_platform.runtimes.local.job_run import LOG, NICE, JobRun, Outcome, stop
from perijove_platform.runtimes.local.processes import Exit, ExitCause, ProcessSpec

_WORK = "work"


@dataclass(frozen=True)
class _Failure:
    """Why one of the runs failed."""

    code: str
    reason: str


class BatchRun(JobRun):
    """See `JobRun`.

    Each run of the command has a fresh folder with the job's files, in which it starts, and its number in
    ``JOB_COMPLETION_INDEX``. One that fails does not end the others; the job fails once all have ended.
    """

    async def run(self) -> Outcome:
        await self._emit(JobState.ADMITTED, "preparing", completed=0)
        self._completions = int(self._spec.config.get("completions") or 1)
        self._waiting = iter(range(self._completions))
        self._running = self._completed = 0
        self._failures: dict[int, _Failure] = {}
        await asyncio.to_thread(shutil.rmtree, self._folder / _WORK, ignore_errors=True)
        return await self._in_time(self._run_all)

    async def _run_all(self) -> Outcome:
        log = await asyncio.to_thread(ChildLog, self._folder / LOG) if self._completions > 1 else None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._completions, int(self._spec.config.get("parallelism") or 1))):
                    group.create_task(self._work(log))
        finally:
            if log is not None:
                await asyncio.to_thread(log.close)
        if not self._failures:
            return Outcome(JobState.SUCCEEDED, None)
        number = min(self._failures)
        failure = self._failures[number]
        reason = failure.reason
        if self._completions > 1:
            reason = f"{len(self._failures)} of {self._completions} failed; number {number}: {reason}"
        return await self._fail(failure.code, reason)

    async def _work(self, log: ChildLog | None) -> None:
        """One of those that run at the same time: takes the next number as long as there is one."""
        for number in self._waiting:
            folder = self._folder / _WORK / str(number)
            self._running += 1
            await self._tell()
            failure = await self._run_one(number, folder, log)
            self._running -= 1
            if failure is None:
                self._completed += 1
            else:
                self._failures[number] = failure
            if self._completions > 1:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                await self._tell()

    async def _tell(self) -> None:
        reason = None
        if self._completions > 1:
            failed = f", {len(self._failures)} failed" if self._failures else ""
            reason = f"{self._completed} of {self._completions} done, {self._running} running{failed}"
        await self._emit(JobState.RUNNING, reason, completed=self._completed)

    async def _run_one(self, number: int, folder: Path, log: ChildLog | None) -> _Failure | None:
        try:
            await asyncio.to_thread(folder.mkdir, parents=True)
            await self._place_inputs(folder)
        except (OSError, LookupError) as error:
            return _Failure("input", f"its files cannot be placed: {error}")
        try:
            child = await self._processes.spawn(
                ProcessSpec(
                    name=f"job-run-{self._spec.job_id}-{number}",
                    argv=[str(argument) for argument in self._spec.config["command"]],
                    config={},
                    log_path=self._folder / LOG,
                    work_dir=folder,
                    environment=self._environment_variables(number),
                    memory_bytes=self._spec.resources.memory_bytes or self._settings.memory_bytes,
                    nice=NICE,
                    on_log=self._on_log,
                    plain=True,
                    open_log=ChildLog if log is None else partial(_numbered, log, number),
                )
            )
        except (OSError, ValueError) as error:
            return _Failure("crashed", f"the program cannot be started: {error}")
        try:
            ended = await child.wait()
        except BaseException:
            await stop(child)
            raise
        return None if ended.code == 0 else _failure(ended, child.log_tail())

    def _environment_variables(self, number: int) -> Mapping[str, str]:
        cpus = self._spec.resources.cpus
        threads = max(1, int(cpus)) if cpus else os.cpu_count() or 1
        return {
            "OMP_NUM_THREADS": str(threads),
            **self._spec.config.get("environment", {}),
            "JOB_COMPLETION_INDEX": str(number),
        }


def _numbered(log: ChildLog, number: int, path: Path) -> LogSink:
    return NumberedLog(log, number)


def _failure(ended: Exit, tail: list[str]) -> _Failure:
    if ended.cause is ExitCause.MEMORY and ended.memory_limit is not None:
        return _Failure("out_of_memory", f"out of memory (limit {words.size(ended.memory_limit)})")
    if ended.short_of_memory:
        return _Failure("out_of_memory", "out of memory: the machine has no more")
    status = ended.code if ended.code >= 0 else 128 - ended.code
    return _Failure("crashed", words.exit_reason(status, "\n".join(tail)))
