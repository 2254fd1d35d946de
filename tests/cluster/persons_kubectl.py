"""Real kubectl of a person, through a platform: with the kubeconfig that `perijove kubeconfig` wrote for them."""

import json
import os
import pty
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Any

from programs import program
from testbed.hosted import Hosted
from testbed.people import Person

SECONDS = 60.0
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class PersonsKubectl:
    """A shell in which a person has set up the platform's address and their key, and nothing else.

    Attributes:
        person: who it is.
        environment: of every program.
        folder: home and working folder.
    """

    person: Person
    environment: dict[str, str]
    folder: Path
    more: dict[str, str] = field(default_factory=dict)

    @classmethod
    def set_up(cls, hosted: Hosted, person: Person, folder: Path, *, replica: int | None = None) -> "PersonsKubectl":
        """With the kubeconfig of the platform's address, or of a replica's own."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(folder), **hosted.environment(person, replica=replica)}
        command = ["perijove", "kubeconfig", hosted.cluster]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=SECONDS)
        return cls(person, environment, folder)

    def upgrading_by(self, protocol: str) -> "PersonsKubectl":
        """The same, whose streams are of one protocol.

        Args:
            protocol: ``websocket`` or ``spdy``.
        """
        chosen = str(protocol == "websocket").lower()
        names = ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS")
        return PersonsKubectl(self.person, self.environment, self.folder, dict.fromkeys(names, chosen))

    def __call__(self, *arguments: str, given: str | None = None) -> Done:
        return subprocess.run(
            [program("kubectl"), *arguments],
            input=given,
            env={**self.environment, **self.more},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def must(self, *arguments: str, given: str | None = None) -> str:
        done = self(*arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self.must("get", *arguments, "-o", "json"))

    @contextmanager
    def running(self, *arguments: str) -> Iterator["Running"]:
        """A command that goes on, ended in the end."""
        process = subprocess.Popen(
            [program("kubectl"), *arguments],
            env={**self.environment, **self.more},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Running(process)
        finally:
            process.terminate()
            process.communicate()

    def on_terminal(self, *arguments: str, typed: str, rows: int, columns: int) -> tuple[str, int]:
        """What a terminal of that size shows when a person types a text after the first prompt, and the exit status."""
        near, far = pty.openpty()
        ioctl(far, TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen(
            [program("kubectl"), *arguments],
            env={**self.environment, **self.more, "TERM": "dumb"},
            cwd=self.folder,
            stdin=far,
            stdout=far,
            stderr=far,
            start_new_session=True,
        )
        os.close(far)
        try:
            shown = _until(near, b"$ ")
            os.write(near, typed.encode())
            shown += _until(near, None)
            return shown.decode(errors="replace"), process.wait(timeout=SECONDS)
        finally:
            process.kill()
            process.wait()
            os.close(near)


class Running:
    """A command's output, as it comes."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._read = b""

    def line(self) -> str:
        """The next one; it does not wait longer than `SECONDS`."""
        assert self._process.stdout is not None
        while b"\n" not in self._read:
            self._read += _piece(self._process.stdout.fileno(), self._read)
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def ended(self) -> int:
        """Its exit status, once it has ended by itself."""
        return self._process.wait(timeout=SECONDS)


def _until(terminal: int, prompt: bytes | None) -> bytes:
    """What a terminal shows until it shows the prompt, or until nobody has it open any more."""
    shown = b""
    while prompt is None or prompt not in shown:
        try:
            shown += _piece(terminal, shown)
        except (OSError, EOFError):
            assert prompt is None, shown
            break
    return shown


def _piece(file: int, before: bytes) -> bytes:
    deadline = time.monotonic() + SECONDS
    ready, _, _ = select.select([file], [], [], max(0.0, deadline - time.monotonic()))
    assert ready, f"Nothing came within {SECONDS:.0f} s after: {before!r}"
    data = os.read(file, 1 << 16)
    if not data:
        raise EOFError(before)
    return data
