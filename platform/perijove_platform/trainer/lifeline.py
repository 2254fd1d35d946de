"""The trainer's standard input: it ends with whoever started it, and may be asked to stop after a checkpoint."""

import os
import sys
import threading

STOP = b"stop"


def end_with_parent() -> threading.Event:
    """End this process at once when standard input reaches its end, which is when whoever started it has died.

    Nothing is lost by ending at any moment: checkpoints and results are renamed into place whole. That is also why
    SIGTERM keeps its default action. Who can wait for a step to end, as the runner in a pod does, writes the line
    ``stop`` instead.

    Returns:
        set once that line has been read.
    """
    stop = threading.Event()
    threading.Thread(target=_read_to_end, args=(stop,), name="lifeline", daemon=True).start()
    return stop


def _read_to_end(stop: threading.Event) -> None:
    descriptor = sys.stdin.fileno()
    line = b""
    while data := os.read(descriptor, 4096):
        *lines, line = (line + data).split(b"\n")
        line = line[-len(STOP) - 1 :]  # of a longer one only enough to tell that it is another
        if STOP in lines:
            stop.set()
    os._exit(3)
