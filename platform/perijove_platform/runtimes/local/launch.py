"""Takes on a child's limits and becomes the program: ``python launch.py LIMITS PROGRAM [ARGUMENT]...``.

Standard library only, and run by path, so that it also starts programs of another environment. Doing this after
the fork in the platform itself would run Python code in a forked copy of a process that has threads.
LIMITS is JSON: ``{"parent": pid, "nice": 0..19}``.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NOT_STARTED, _NOT_FOUND = 126, 127
"""A shell's exit codes for a program that cannot be started, or is not there."""


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above took effect
        os.kill(os.getpid(), signal.SIGKILL)


def _prefer_as_victim() -> None:
    """Should the machine run out of memory, the kernel takes this process and not the platform."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("500")


def main(arguments: list[str]) -> None:
    limits = json.loads(arguments[0])
    _die_with(limits["parent"])
    _prefer_as_victim()
    if limits["nice"]:
        os.nice(limits["nice"])
    try:
        os.execvp(arguments[1], arguments[1:])
    except OSError as error:
        print(f"{arguments[1]}: {error.strerror}", file=sys.stderr)
        sys.exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
