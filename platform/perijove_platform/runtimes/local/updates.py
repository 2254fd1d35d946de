"""Engine updates to any number of watchers, none of which can hold up another."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator

from perijove_platform.runtimes.base import EngineUpdate

_KEPT = 1000


class UpdateWatcher:
    """One watcher's updates, from its making on. A watcher that lags by `_KEPT` updates loses the oldest."""

    def __init__(self) -> None:
        self._pending: deque[EngineUpdate | None] = deque(maxlen=_KEPT)
        self._wake = asyncio.Event()

    def put(self, update: EngineUpdate | None) -> None:
        """``None`` ends the watch."""
        self._pending.append(update)
        self._wake.set()

    def __aiter__(self) -> UpdateWatcher:
        return self

    async def __anext__(self) -> EngineUpdate:
        while not self._pending:
            self._wake.clear()
            await self._wake.wait()
        update = self._pending.popleft()
        if update is None:
            self._pending.append(None)
            raise StopAsyncIteration
        return update


class Updates:
    """Sends to every watcher that somebody still holds."""

    def __init__(self) -> None:
        self._watchers: list[weakref.ref[UpdateWatcher]] = []

    def watch(self) -> AsyncIterator[EngineUpdate]:
        watcher = UpdateWatcher()
        self._watchers.append(weakref.ref(watcher))
        return watcher

    def send(self, update: EngineUpdate | None) -> None:
        for reference in list(self._watchers):
            watcher = reference()
            if watcher is None:
                self._watchers.remove(reference)
            else:
                watcher.put(update)
