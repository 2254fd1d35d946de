"""Steps with their times, commands with their errors, and waiting for conditions."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class Failed(Exception):
    """The test bed cannot do what was asked; the message says why and what to do."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what is done and how long it took, on standard error."""
    began = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"{name}: failed after {time.monotonic() - began:.1f} s")
        raise
    say(f"{name}: {time.monotonic() - began:.1f} s")


def say(line: str) -> None:
    print(f"testbed: {line}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path],
    *,
    given: str | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 120,
) -> str:
    """What a command prints; `Failed` with what it said when it does not succeed."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, input=given, cwd=cwd, env=environment, capture_output=True, text=True, timeout=seconds
        )
    except FileNotFoundError:
        raise Failed(f"There is no program {words[0]} here.") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(words[:6])} has not ended within {seconds:.0f} s.") from None
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-20:])
        raise Failed(f"{' '.join(words[:12])} ended with {done.returncode}:\n{said}")
    return done.stdout


def succeeds(command: Sequence[str | Path], seconds: float = 20) -> bool:
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def wait_for(
    what: str, condition: Callable[[], bool], *, seconds: float = 60, explain: Callable[[], str] = lambda: ""
) -> None:
    """Wait until `condition` holds; `Failed`, with what `explain` says, when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:.0f} s. {explain()}".strip())
        time.sleep(0.1)
