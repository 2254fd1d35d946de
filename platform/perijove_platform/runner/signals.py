"""SIGTERM and children's ends, for a main thread that either prepares, follows the program, or finishes.

A handler must not take a lock that the code beneath it may hold, so it only raises, sets a timer, or puts into a
`SimpleQueue`, which allows that.
"""

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from perijove_platform.runner.errors import RunEnded, Stopped

Event = str | RunEnded


class Signals:
    """Installed in the main thread.

    While nothing else is said, SIGTERM raises `Stopped` there: what is only prepared can be given up at any point.
    """

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._following = False
        self._grace: float | None = None
        self._refusal: RunEnded | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, self._on_child)
        signal.signal(signal.SIGALRM, self._on_alarm)

    def refuse(self, reason: RunEnded) -> None:
        """Called from another thread: the platform wants nothing more of this run."""
        self._refusal = reason
        self._events.put(reason)
        if not self._following:
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGALRM)

    @contextlib.contextmanager
    def running(self) -> Iterator["queue.SimpleQueue[Event]"]:
        """Within, nothing is raised; what happens is put into the queue: ``stop``, ``child``, or a refusal."""
        self._following = True
        try:
            yield self._events
        finally:
            self._following = False

    def finishing(self, grace_seconds: float) -> None:
        """From now on a SIGTERM leaves `grace_seconds` before `Stopped` is raised."""
        self._grace = max(1.0, grace_seconds)

    def leave_by(self, moment: float) -> None:
        """`Stopped` is raised at `moment`, of the monotonic clock."""
        signal.setitimer(signal.ITIMER_REAL, max(0.1, moment - time.monotonic()))

    def check(self) -> None:
        """Raise the platform's refusal, if there was one."""
        if self._refusal is not None:
            raise self._refusal

    def _on_stop(self, *_: Any) -> None:
        if self._following:
            self._events.put("stop")
        elif self._grace is not None:
            signal.setitimer(signal.ITIMER_REAL, self._grace)
        else:
            raise Stopped("Stopped before the program was started.")

    def _on_child(self, *_: Any) -> None:
        self._events.put("child")

    def _on_alarm(self, *_: Any) -> None:
        if self._following:
            return
        if self._refusal is not None:
            raise self._refusal
        raise Stopped("Stopped; a new pod goes on.")
