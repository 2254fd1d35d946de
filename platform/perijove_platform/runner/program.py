"""The job's program as a child, in a process group of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MAX_LINE_BYTES = 1024 * 1024
_EXIT_SECONDS = 5.0

OnReport = Callable[[Mapping[str, Any]], None]


class Program:
    """A running child. What it writes to standard error goes straight to the pod's log.

    Args:
        on_report: called, from a thread, with each JSON object that it writes as a line to standard output; anything
            else there goes to the log.
    """

    def __init__(self, argv: list[str], folder: Path, environment: Mapping[str, str], on_report: OnReport) -> None:
        self._on_report = on_report
        self._process = subprocess.Popen(
            argv, cwd=folder, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )
        self._prefer_as_victim()
        self._reader = threading.Thread(target=self._read, name="program", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; ``None`` while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """After its next step and a checkpoint; see `trainer.lifeline`."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.write(b"stop\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """The whole group, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def finish(self) -> None:
        """After its end: end what it has left behind, and wait until all its reports have been handled."""
        self.kill()
        self._reader.join(_EXIT_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()

    def _prefer_as_victim(self) -> None:
        """Should memory run out, the kernel takes the program, and the runner can tell why it has gone."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("500", encoding="ascii")

    def _read(self) -> None:
        output = self._process.stdout
        assert output is not None
        within_long_line = False
        while line := output.readline(MAX_LINE_BYTES):
            whole = line.endswith(b"\n")
            report = _report(line) if whole and not within_long_line else None
            within_long_line = not whole
            if report is not None:
                self._on_report(report)
            else:
                _to_log(line)


def reap_others(program: Program | None) -> None:
    """Collect every child that has ended but the program: as process 1, orphans of the container are ours."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        if program is not None and ended.si_pid == program.pid:
            if program.poll() is not None:
                # Nothing else can be seen while it is first in line; it is collected now, so look again.
                continue
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended.si_pid, os.WNOHANG)


def wait_for_end(program: Program, seconds: float) -> bool:
    """Whether it has ended, after waiting for it."""
    deadline = time.monotonic() + seconds
    while program.poll() is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _report(line: bytes) -> Mapping[str, Any] | None:
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def _to_log(line: bytes) -> None:
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()
