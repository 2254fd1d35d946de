"""Waiting between attempts: longer each time, and not for ever."""

import random
import time
from collections.abc import Callable

from perijove_platform.runner.errors import GaveUp

AWAY_SECONDS = 3600.0
"""How long a platform or an object store may be away before the pod makes room."""
_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 5.0


class Patience:
    """One undertaking's attempts.

    Args:
        sleep: waits so many seconds; may raise to end the undertaking.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep, *, seconds: float = AWAY_SECONDS) -> None:
        self._sleep = sleep
        self._seconds = seconds
        self.progressed()

    def progressed(self) -> None:
        """Something went well: begin anew."""
        self._wait = _FIRST_SECONDS
        self._since = time.monotonic()

    def wait(self, why: Exception) -> None:
        """Raises `GaveUp` with the reason when nothing has gone well for too long."""
        if time.monotonic() - self._since > self._seconds:
            raise GaveUp(f"{why}; gave up after {self._seconds / 60:.0f} minutes.") from None
        self._sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311
        self._wait = min(_LONGEST_SECONDS, self._wait * 2)
