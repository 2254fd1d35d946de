"""How the command fails: with one line on standard error and an exit code, never with a traceback."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import IO, Any, ClassVar

import click

FAILED = 1
ALREADY_SERVED = 3
NO_PLATFORM = 4
CLOSED = 141
"""Exit codes beside click's own 2 for a wrong command line; the last is what a shell reports of SIGPIPE."""

Json = dict[str, Any]
_PASSING = (502, 503, 504)


class Failed(click.ClickException):
    """The command failed.

    Args:
        body: the platform's error, for `--json`.
        status: of the HTTP answer; ``None`` when there was none.
    """

    exit_code = FAILED
    code: ClassVar[str | None] = None

    def __init__(self, message: str, *, body: Json | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.body = body
        self.status = status
        self.as_json = False
        self._more: list[str] = []

    @property
    def passing(self) -> bool:
        """Whether it may be gone when the same is asked again."""
        return self.status in _PASSING

    @property
    def refused(self) -> bool:
        """Whether the platform has said no, so that nothing was done."""
        return self.status is not None and 400 <= self.status < 500

    def add(self, sentence: str) -> None:
        """Say something more to the user."""
        self._more.append(sentence)

    def format_message(self) -> str:
        return " ".join([self.message, *self._more])

    def show(self, file: IO[Any] | None = None) -> None:
        if not self.as_json:
            super().show(file)
            return
        told = self.body["error"] if self.body else {"type": "cli_error", "param": None, "code": self.code}
        error = {**told, "message": self.format_message()}
        click.echo(json.dumps({"error": error}, ensure_ascii=False), err=True, file=file)


class Lost(Failed):
    """The platform was reached, but the answer did not arrive: whether it was done is not known."""

    code = "connection_lost"

    @property
    def passing(self) -> bool:
        return True


class Unreachable(Failed):
    """There is no platform to talk to."""

    exit_code = NO_PLATFORM
    code = "no_platform"

    @property
    def passing(self) -> bool:
        return True


class Silent(Lost):
    """The platform said nothing for longer than it was given."""

    code = "timeout"


class FileFailed(click.ClickException):
    """The operating system refused to read or write."""

    def show(self, file: IO[Any] | None = None) -> None:
        # Standard error may be on the same full disk.
        with contextlib.suppress(OSError):
            super().show(file)


class OutputClosed(FileFailed):
    """Whoever read standard output, as `head` does, has stopped."""

    exit_code = CLOSED


@contextlib.contextmanager
def file_failures() -> Iterator[None]:
    """Turns what the operating system refuses into a message.

    Raises:
        OutputClosed: standard output was closed.
        FileFailed: standard output cannot be written, or a file cannot be read or written.
    """
    try:
        yield
    except BrokenPipeError:
        _abandon_stdout()
        raise OutputClosed("Standard output was closed before everything was written.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None:
            raise FileFailed(f"{os.fsdecode(error.filename)}: {reason}.") from None
        _abandon_stdout()
        raise FileFailed(f"Standard output cannot be written: {reason}.") from None


def _abandon_stdout() -> None:
    """Send what is still buffered nowhere: the interpreter writes it at its end and would complain again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
