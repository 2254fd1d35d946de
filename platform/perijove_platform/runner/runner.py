"""One pod's turn at a job: inputs, the program, its checkpoints and results, and how it ended."""

import errno
import json
import os
import queue
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perijove_platform.runner.contract import ExitCode
from perijove_platform.runner.errors import Away, GaveUp, RunEnded, Stopped
from perijove_platform.runner.exchange import PlatformClient
from perijove_platform.runner.inputs import InputFiles
from perijove_platform.runner.journal import Journal
from perijove_platform.runner.last_words import LastWords
from perijove_platform.runner.log_lines import line_of
from perijove_platform.runner.memory import ControlGroup
from perijove_platform.runner.patience import AWAY_SECONDS, Patience
from perijove_platform.runner.program import Program, reap_others, wait_for_end
from perijove_platform.runner.run_config import RunConfig
from perijove_platform.runner.sender import Sender
from perijove_platform.runner.signals import Signals
from perijove_platform.runner.storing import CheckpointStore, store

MAX_RESTARTS = 2
STOPPED_BY_REQUEST = 4
"""The program's exit status after it was asked to stop, and has written a checkpoint."""
RESULT_FILE = "result.json"
_PACKAGES = Path(__file__).parents[2]
_RESULT_FILES = ("adapter", "metrics_file")
_TICK_SECONDS = 1.0
_LAST_REPORTS_SECONDS = 60.0
_EXIT_SECONDS = 4.0
"""Of the grace period, kept for leaving."""


def say(message: str) -> None:
    """A line of the runner's own in the pod's log."""
    print(f"perijove: {message}", file=sys.stderr, flush=True)


class Runner:
    """Runs one job in one working folder.

    Args:
        work: everything that is written lies here; state that a killed runner left is taken up.
    """

    def __init__(self, config: RunConfig, work: Path, last_words: LastWords, signals: Signals) -> None:
        self._config = config
        self._work = work
        self._state = work / ".runner"
        self._last_words = last_words
        self._signals = signals
        self._group = ControlGroup()
        self._state.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(self._state / "journal.db")
        self._client = PlatformClient(config)
        self._sender = Sender(self._journal, self._client, signals.refuse, say)
        self._checkpoints = CheckpointStore(self._client, self._state, self._journal.add, say)
        self._result: Mapping[str, Any] | None = None
        self._error: Mapping[str, Any] | None = None

    def run(self) -> tuple[ExitCode, str]:
        """How it ended and why, for the termination message. Never raises."""
        try:
            code, message = self._run()
        except RunEnded as error:
            code, message = error.code, str(error)
            self._tell(error.reported, message)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            code = ExitCode.AWAY if full else ExitCode.INTERNAL
            message = "The pod's disk is full." if full else f"The runner failed: {error.strerror or error}."
            self._tell("no_space" if full else "runner", message)
            if not full:
                traceback.print_exc()
        except Exception as error:
            traceback.print_exc()
            code, message = ExitCode.INTERNAL, f"The runner failed: {type(error).__name__}."
            self._tell("runner", message)
        try:
            self._signals.finishing(self._config.grace_seconds - _EXIT_SECONDS)
            # A success has told everything already; for a failure, an explanation is worth a minute.
            if code not in (ExitCode.SUCCEEDED, ExitCode.ENDED, ExitCode.SUPERSEDED, ExitCode.STOPPED):
                self._wait_until_sent(_LAST_REPORTS_SECONDS)
            self._sender.stop()
        except RunEnded as error:
            say(f"left before everything was reported: {error}")
        return code, message

    def _wait_until_sent(self, seconds: float) -> bool:
        """Whether everything has been reported, after waiting for it. Raises what the platform refuses it with."""
        deadline = time.monotonic() + seconds
        while not self._journal.wait_until_sent(_TICK_SECONDS):
            self._signals.check()
            if time.monotonic() > deadline:
                return False
        return True

    def _tell(self, kind: str | None, message: str) -> None:
        if kind is not None and self._journal.attempt is not None:
            self._journal.add({"type": "error", "code": kind, "message": message, "param": None})

    def _run(self) -> tuple[ExitCode, str]:
        if self._journal.attempt is None:
            self._journal.begin(self._new_attempt())
        self._sender.start()
        self._result = self._read_result()
        if self._result is None:
            InputFiles(self._client, self._work, self._state, self._report_progress, say).fetch()
            self._write_config()
            self._checkpoints.start()
            try:
                if (failed := self._run_program()) is not None:
                    return failed
            finally:
                self._checkpoints.stop()
        return self._store_results()

    def _new_attempt(self) -> int:
        patience = Patience()
        while True:
            try:
                return self._client.new_attempt()
            except Away as error:
                say(str(error))
                patience.wait(error)

    def _report_progress(self, message: str) -> None:
        say(message)
        self._journal.add({"type": "progress", "phase": "inputs", "message": message})

    def _write_config(self) -> None:
        building = self._work / "config.json.part"
        building.write_text(json.dumps(dict(self._config.config)), encoding="utf-8")
        building.replace(self._work / "config.json")

    def _run_program(self) -> tuple[ExitCode, str] | None:
        """``None`` once the program has left its result."""
        for attempt in range(MAX_RESTARTS + 1):
            before = self._group.memory()
            status, stopping_until = self._follow()
            self._result = self._result or self._read_result()
            if status == 0 and self._result is not None:
                if stopping_until is not None:
                    self._signals.leave_by(stopping_until)
                return None
            if stopping_until is not None:
                self._leave(stopping_until)
                raise Stopped("Stopped; the job goes on from its last checkpoint.")
            if self._error is not None:
                out = self._error.get("code") == "out_of_memory"
                code = ExitCode.OUT_OF_MEMORY if out else ExitCode.FAILED
                return code, str(self._error.get("message"))
            memory = self._group.memory()
            if status == -signal.SIGKILL and memory.ran_out_since(before):
                message = (
                    f"The training ran out of memory ({memory.describe()}). Use a smaller batch_size or shorter "
                    "examples, or give the job more memory."
                )
                return self._failed(ExitCode.OUT_OF_MEMORY, "out_of_memory", message)
            if status >= 0 or attempt == MAX_RESTARTS:
                break
            message = f"The program {describe(status)}; starting it again from its last checkpoint"
            self._journal.add({"type": "message", "level": "warn", "message": message})
        return self._failed(ExitCode.CRASHED, "crashed", f"The program {describe(status)}; the log has the details.")

    def _failed(self, code: ExitCode, kind: str, message: str) -> tuple[ExitCode, str]:
        self._tell(kind, message)
        return code, message

    def _follow(self) -> tuple[int, float | None]:
        """Run the program to its end. Returns its exit status and, if it was told to stop, when to have left."""
        program = self._start_program()
        stopping_until: float | None = None
        kill_at = float("inf")
        try:
            with self._signals.running() as events:
                while (status := program.poll()) is None:
                    try:
                        event = events.get(timeout=_TICK_SECONDS)
                    except queue.Empty:
                        event = "tick"
                    reap_others(program)
                    self._last_words.memory(self._group.memory())
                    if isinstance(event, RunEnded):
                        raise event
                    if event == "stop" and stopping_until is None:
                        grace = self._config.grace_seconds
                        stopping_until = time.monotonic() + grace - _EXIT_SECONDS
                        kill_at = time.monotonic() + grace / 2
                        say("asked to stop; the program writes a last checkpoint")
                        # Its answer tells whether anybody still wants the checkpoint.
                        self._journal.add({"type": "message", "level": "info", "message": "The pod is being stopped"})
                        program.ask_to_stop()
                    if time.monotonic() > kill_at:
                        say("the program has not stopped in time and is killed")
                        program.kill()
        finally:
            if program.poll() is None:
                program.kill()
                wait_for_end(program, _EXIT_SECONDS)
            program.finish()
            reap_others(None)
        return status, stopping_until

    def _start_program(self) -> Program:
        cache = self._work / "cache"
        threads = str(self._group.processors())
        environment = {
            "OMP_NUM_THREADS": threads,
            # Threads that spin at a barrier make a step ten times as long once the node has other work to do.
            "OMP_WAIT_POLICY": "PASSIVE",
            "HF_HOME": str(cache / "huggingface"),
            "HOME": str(self._work),
            **os.environ,
        }
        paths = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), str(_PACKAGES)]
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
        module = f"perijove_platform.{self._config.program}"
        argv = [sys.executable, "-P", "-m", module, str(self._work), str(cache / "bases")]
        return Program(argv, self._work, environment, self._on_report)

    def _on_report(self, report: Mapping[str, Any]) -> None:
        """In the thread that reads the program's output."""
        kind = report.get("type")
        if kind == "result":
            self._result = report  # told once its files are stored
            return
        if kind == "error":
            self._error = report
        if (line := line_of(report)) is not None:
            say(line)
        self._journal.add(report)
        if kind == "checkpoint" and isinstance(report.get("step"), int) and isinstance(report.get("path"), str):
            self._checkpoints.offer(report["step"], self._work / str(report["path"]))

    def _leave(self, until: float) -> None:
        """Store the last checkpoint and tell what is left to tell, as long as there is time."""
        if not self._checkpoints.wait_until_stored(until - time.monotonic()):
            say("the last checkpoint could not be stored in time")
        self._journal.wait_until_sent(max(0.0, until - time.monotonic()))

    def _store_results(self) -> tuple[ExitCode, str]:
        assert self._result is not None
        self._signals.finishing(self._config.grace_seconds - _EXIT_SECONDS)
        for name in _RESULT_FILES:
            if (file := self._result.get(name)) is not None:
                path = f"results/{file}"
                self._journal.add(store(self._client, self._work / str(file), path, Patience(), say))
        self._journal.add(self._result)
        if not self._wait_until_sent(AWAY_SECONDS):
            raise GaveUp("The platform was away for too long to be told the result.")
        return ExitCode.SUCCEEDED, "The results are stored."

    def _read_result(self) -> Mapping[str, Any] | None:
        try:
            result = json.loads((self._work / RESULT_FILE).read_bytes())
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) else None


def describe(status: int) -> str:
    """How a program ended, after its name: ``crashed (SIGSEGV)``."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed ({name})" if status == -signal.SIGKILL else f"crashed ({name})"
