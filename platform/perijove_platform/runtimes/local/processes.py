"""Supervised child processes: engines, trainers and installers run as these.

The rules that a program started here follows:

* standard input: one line of JSON, its configuration, and then nothing until the platform ends. End of file means
  that the platform is gone, and the program kills its process group. (Linux also kills it by PR_SET_PDEATHSIG.)
* standard output: one JSON object a line, its reports. Anything else there goes to the log.
* standard error: its log.

A child leads a process group of its own; whoever stops it stops the whole group. A command that knows nothing of these
rules (`ProcessSpec.plain`) has no standard input, and all that it writes is its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import IO, Any

from perijove_platform.runtimes.local.child_log import ChildLog, LogSink
from perijove_platform.runtimes.local.memory import format_bytes, group_memory, oom_kills
from perijove_platform.runtimes.local.process_records import MARK_VARIABLE, ProcessRecords, kill_group

_LAUNCHER = Path(__file__).with_name("launch.py")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
_SECRET_VARIABLE = re.compile(r"^PERIJOVE_|^AWS_|TOKEN|SECRET|PASSWORD|API_?KEY|CREDENTIAL", re.IGNORECASE)
_MAX_REPORT_BYTES = 1 << 20
_LOG_CHUNK_BYTES = 1 << 16
_MEMORY_CHECK_SECONDS = 1.0
_NEAR_LIMIT = 0.9


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """What to run.

    Attributes:
        name: unique among the running children; letters, digits, ``.``, ``_`` and ``-`` (it names a file).
        argv: the program and its arguments. Other people can read these: nothing secret.
        config: written to standard input as one line of JSON.
        log_path: where standard error goes; appended to.
        work_dir: the current folder of the program; made if missing.
        environment: added to the platform's own environment, from which settings and secrets are left out.
        memory_bytes: resident memory of the whole group above which it is killed.
        nice: 0 to 19; higher gives way to other processes.
        on_log: called when the log has grown; must not block.
        plain: it is any command, and follows none of the rules above; `config` means nothing to it.
        open_log: opens the log at `log_path`.
    """

    name: str
    argv: Sequence[str]
    config: Mapping[str, Any]
    log_path: Path
    work_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None
    nice: int = 0
    on_log: Callable[[], None] | None = None
    plain: bool = False
    open_log: Callable[[Path], LogSink] = ChildLog


class ExitCause(StrEnum):
    """Who ended the child: itself (or a signal from elsewhere), we, or its memory limit."""

    ENDED = "ended"
    STOPPED = "stopped"
    MEMORY = "memory"


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a child ended; `code` is negative for a signal, as in `subprocess`.

    Attributes:
        short_of_memory: for one that was killed from elsewhere: shortly before, memory was seen to run out.
    """

    code: int
    cause: ExitCause
    memory_limit: int | None = None
    short_of_memory: bool = False

    def describe(self) -> str:
        """For a person, after the name of the program: "ran out of memory (limit 4.0 GiB)"."""
        if self.cause is ExitCause.MEMORY and self.memory_limit is not None:
            return f"ran out of memory (limit {format_bytes(self.memory_limit)})"
        if self.cause is ExitCause.STOPPED:
            return "was stopped"
        if self.code == -signal.SIGKILL and self.short_of_memory:
            return "was killed (signal 9) because memory ran out"
        if self.code == -signal.SIGKILL:
            return "was killed (signal 9): by a person or by the kernel when memory ran out"
        if self.code < 0:
            return f"crashed ({_signal_name(-self.code)})"
        return f"ended with exit code {self.code}"


class ChildProcess:
    """A running child, made by `ProcessSupervisor.spawn`."""

    def __init__(self, spec: ProcessSpec, process: subprocess.Popen[bytes], log: LogSink) -> None:
        self.spec = spec
        self.pid = process.pid
        self._process = process
        self._log = log
        self._log_users = 1
        self._loop = asyncio.get_running_loop()
        self._exited = asyncio.Event()
        self._attached = asyncio.Event()
        self._settled = asyncio.Event()
        self._code = 0
        self._cause = ExitCause.ENDED
        self._short_of_memory = False
        self._stdout = asyncio.StreamReader(limit=_MAX_REPORT_BYTES)
        self._tasks: list[asyncio.Task[None]] = []

    async def reports(self) -> AsyncGenerator[Mapping[str, Any], None]:
        """What the program reports, until it ends. Must be read, or a program that reports much will wait."""
        self._log_users += 1
        try:
            while line := await self._line():
                try:
                    report = json.loads(line)
                except ValueError:
                    report = None
                if isinstance(report, dict):
                    yield report
                elif line.strip():
                    await asyncio.to_thread(self._log.write, line)
        finally:
            self._leave_log()

    async def wait(self) -> Exit:
        """Until the program has ended, its group is gone, its log is complete and its name is free again."""
        await self._settled.wait()
        return Exit(
            code=self._code,
            cause=self._cause,
            memory_limit=self.spec.memory_bytes,
            short_of_memory=self._short_of_memory,
        )

    async def stop(self, *, grace_seconds: float = 2.0) -> Exit:
        """SIGTERM to the group, SIGKILL after `grace_seconds`; returns when it has ended."""
        if not self._exited.is_set():
            self._cause = ExitCause.STOPPED
            kill_group(self.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(grace_seconds):
                    await self._exited.wait()
            except TimeoutError:
                kill_group(self.pid, signal.SIGKILL)
        return await self.wait()

    def log_tail(self) -> list[str]:
        """The last lines of its standard error, oldest first; a few dozen."""
        return self._log.tail()

    async def memory_bytes(self) -> int:
        """Resident memory of the whole group."""
        return await asyncio.to_thread(group_memory, self.pid)

    def watch_exit(self) -> None:
        """Begins to wait for its end, in a thread; called once, by the supervisor."""
        threading.Thread(target=self._reap, name=f"wait-{self.spec.name}", daemon=True).start()

    async def attach(self, record: Callable[[], None]) -> None:
        """Notes that it runs, connects the pipes and hands over the configuration; called once, by the supervisor."""
        try:
            await asyncio.to_thread(record)
            await self._attach()
        finally:
            self._attached.set()

    async def _attach(self) -> None:
        log_reader = asyncio.StreamReader()
        reports, log = (None, self._process.stdout) if self.spec.plain else (self._process.stdout, self._process.stderr)
        if reports is None:
            self._stdout.feed_eof()
        else:
            await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(self._stdout), reports)
        assert log is not None
        await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(log_reader), log)
        self._tasks.append(asyncio.create_task(self._pump_log(log_reader)))
        if self.spec.memory_bytes is not None:
            self._tasks.append(asyncio.create_task(self._watch_memory(self.spec.memory_bytes)))
        if self._process.stdin is not None:
            await asyncio.to_thread(_hand_over, self._process.stdin, self.spec.config)

    async def settle(self, forget: Callable[[], Awaitable[None]]) -> None:
        """Calls `forget` when the program has ended, then lets the waiters go; called once, by the supervisor."""
        await self._exited.wait()
        await self._attached.wait()  # one that ends at once has its last words in its pipes
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._tasks:
            await asyncio.wait(self._tasks)
        try:
            await forget()
        finally:
            self._leave_log()
            self._settled.set()

    def _leave_log(self) -> None:
        """Its last user closes it: what is no report may be read after the program has ended."""
        self._log_users -= 1
        if not self._log_users:
            self._log.close()

    async def _line(self) -> bytes:
        try:
            return await self._stdout.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial
        except asyncio.LimitOverrunError:
            return await self._skip_long_line()

    async def _skip_long_line(self) -> bytes:
        while True:
            try:
                await self._stdout.readuntil(b"\n")
                break
            except asyncio.LimitOverrunError as error:
                await self._stdout.readexactly(error.consumed)
            except asyncio.IncompleteReadError:
                break
        return b"(a report longer than 1 MiB was dropped)\n"

    def _reap(self) -> None:
        code = self._process.wait()
        kill_group(self.pid, signal.SIGKILL)  # what it started must not outlive it, nor hold its pipes open
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            self._loop.call_soon_threadsafe(self._on_exit, code)

    def _on_exit(self, code: int) -> None:
        self._code = code
        self._exited.set()

    async def _pump_log(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_LOG_CHUNK_BYTES):
            with contextlib.suppress(OSError):  # a full disk must not stop the program by a full pipe
                await asyncio.to_thread(self._log.write, chunk)
            if self.spec.on_log is not None:
                self.spec.on_log()

    async def _watch_memory(self, limit: int) -> None:
        near = False
        kills = before = await asyncio.to_thread(oom_kills)
        while not self._exited.is_set():
            used = await asyncio.to_thread(group_memory, self.pid)
            if used > limit and not self._exited.is_set():
                self._cause = ExitCause.MEMORY
                kill_group(self.pid, signal.SIGKILL)
                return
            near = used > limit * _NEAR_LIMIT or (near and used == 0)  # it is gone: what was seen before counts
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MEMORY_CHECK_SECONDS):
                    await self._exited.wait()
                    break
            # One that is killed while this counts is noticed a moment later: the count before counts then.
            if used:
                before, kills = kills, await asyncio.to_thread(oom_kills)
        self._short_of_memory = near or await asyncio.to_thread(oom_kills) != before


class ProcessSupervisor:
    """Starts children and sees to it that none outlives the platform.

    Args:
        records: the folder for the notes about running children; this platform's alone.
    """

    def __init__(self, records: Path) -> None:
        self._records = ProcessRecords(records)
        self._children: dict[str, ChildProcess] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    async def start(self) -> Sequence[str]:
        """Kills what a killed platform left behind; the names of those children."""
        return await asyncio.to_thread(self._records.kill_leftovers)

    async def stop(self) -> None:
        """Stops every child."""
        await asyncio.gather(*(child.stop() for child in list(self._children.values())))
        await asyncio.gather(*self._watchers)

    async def spawn(self, spec: ProcessSpec) -> ChildProcess:
        """Starts the program.

        Cancelled, it has ended the program again.

        Raises:
            ValueError: the name is malformed or belongs to a running child.
            OSError: it cannot be started.
        """
        if not _NAME.fullmatch(spec.name) or spec.name in self._children:
            raise ValueError(f"not a name for a new child process: {spec.name!r}")
        await asyncio.to_thread(spec.work_dir.mkdir, parents=True, exist_ok=True)
        log = await asyncio.to_thread(spec.open_log, spec.log_path)
        mark = secrets.token_hex(16)
        child = ChildProcess(spec, _popen(spec, mark), log)
        child.watch_exit()
        self._children[spec.name] = child
        watcher = asyncio.create_task(child.settle(partial(self._forget, spec.name)))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        attaching = asyncio.create_task(child.attach(partial(self._records.add, spec.name, child.pid, mark)))
        try:
            await asyncio.shield(attaching)  # what it has said by then is heard, whatever becomes of the caller
        except BaseException:
            kill_group(child.pid, signal.SIGKILL)
            await asyncio.shield(child.wait())
            raise
        return child

    async def _forget(self, name: str) -> None:
        self._children.pop(name, None)
        await asyncio.to_thread(self._records.remove, name)


def _popen(spec: ProcessSpec, mark: str) -> subprocess.Popen[bytes]:
    # In this thread and not in a pool's: the kernel's parent-death signal follows the thread that forked.
    limits = json.dumps({"parent": os.getpid(), "nice": spec.nice})
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_LAUNCHER), limits, *spec.argv],
        stdin=subprocess.DEVNULL if spec.plain else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if spec.plain else subprocess.PIPE,
        cwd=spec.work_dir,
        env={**_environment(), **spec.environment, MARK_VARIABLE: mark},
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not _SECRET_VARIABLE.search(name)}
    if path := environment.get("PYTHONPATH"):  # relative entries would change their meaning with the work folder
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in path.split(os.pathsep))
    return environment


def _hand_over(stdin: IO[bytes], config: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # it ended at once; `wait` will say how
        stdin.write(json.dumps(config).encode() + b"\n")
        stdin.flush()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
