"""The flow control seat: how many requests this process works on at once, and how many may wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from perijove_platform.errors import RateLimited, Unavailable

DEFAULT_QUEUE_SECONDS = 60.0


class Admission:
    """First come, first served, within bounds.

    Args:
        concurrent: requests at work at once.
        queued: requests that may wait; more are refused at once with 429.
        queue_seconds: how long one may wait before it is refused with 503.
    """

    def __init__(self, *, concurrent: int, queued: int, queue_seconds: float = DEFAULT_QUEUE_SECONDS) -> None:
        self._free = concurrent
        self._concurrent = concurrent
        self._queued = queued
        self._queue_seconds = queue_seconds
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A place at work, waited for.

        Raises:
            RateLimited: the queue is full.
            Unavailable: the wait took too long.
        """
        if self._free > 0 and not self._waiting:
            self._free -= 1
        else:
            await self._wait()
        try:
            yield
        finally:
            self._leave()

    async def _wait(self) -> None:
        if len(self._waiting) >= self._queued:
            raise RateLimited(
                f"{self._concurrent} requests are running and {self._queued} are waiting, which is this platform's "
                "limit. Send the request again shortly.",
                code="queue_full",
                headers={"Retry-After": "1"},
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._queue_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise Unavailable(
                    f"The request waited {self._queue_seconds:.0f} s behind {self._concurrent} running ones. "
                    "Send it again when the platform is less busy.",
                    code="queue_timeout",
                    headers={"Retry-After": "5"},
                ) from None
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
