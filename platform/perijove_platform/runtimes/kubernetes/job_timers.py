"""Clocks of jobs: what has been so for long enough, although nothing changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

START_SECONDS = 900.0
"""For which a job may hold quota without being able to start: its image is not to be had, no node takes its pod. An
image that is being pulled or a node that is being made is no such reason."""
ASIDE_SECONDS = 5.0
"""In which Kueue gives others, which come after the job in the queue, the quota that it has given back."""


class JobTimers:
    """A timer for each job of which something is so: from when that came up, and anew after a restart of the platform.

    Args:
        on_end: called with the id of a job for which it has lasted `seconds`.
    """

    def __init__(self, seconds: float, on_end: Callable[[str], None]) -> None:
        self.seconds = seconds
        self._on_end = on_end
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def look(self, job_id: str, lasts: bool) -> None:
        """What is so now, after each change of the job."""
        if not lasts:
            self.forget(job_id)
        elif job_id not in self._timers:
            self._timers[job_id] = asyncio.get_running_loop().call_later(self.seconds, self._ring, job_id)

    def forget(self, job_id: str) -> None:
        if (timer := self._timers.pop(job_id, None)) is not None:
            timer.cancel()

    def stop(self) -> None:
        for job_id in list(self._timers):
            self.forget(job_id)

    def _ring(self, job_id: str) -> None:
        del self._timers[job_id]
        self._on_end(job_id)
