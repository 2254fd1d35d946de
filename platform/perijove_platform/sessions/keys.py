"""Whether the API key that a session token was made with is still good."""

import time
from collections import OrderedDict
from typing import Protocol

CACHED_KEYS = 1024
CACHE_SECONDS = 5.0


class ApiKeys(Protocol):
    """What sessions asks of users."""

    async def has_key(self, key_id: str) -> bool:
        """Whether it is neither revoked nor expired."""
        ...


class KnownKeys:
    """Answers are kept for `CACHE_SECONDS`, so that kubectl's many requests are one look; refusals are not."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys
        self._good_until: OrderedDict[str, float] = OrderedDict()

    async def has(self, key_id: str) -> bool:
        if self._good_until.get(key_id, 0.0) > time.monotonic():
            return True
        self._good_until.pop(key_id, None)
        if not await self._keys.has_key(key_id):
            return False
        self._good_until[key_id] = time.monotonic() + CACHE_SECONDS
        if len(self._good_until) > CACHED_KEYS:
            self._good_until.popitem(last=False)
        return True
