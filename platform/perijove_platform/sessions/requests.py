"""People's requests that are on their way through this replica: how many each person has, and when they have to end."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from perijove_platform.errors import ApiError, RateLimited
from perijove_platform.rbac import Caller
from perijove_platform.sessions.keys import ApiKeys
from perijove_platform.sessions.tunnels import AgentTunnels
from perijove_platform.tunnel import Stream

logger = logging.getLogger(__name__)

MAX_OPEN = 2500
"""Requests of one person to one cluster, so that one link always has room for others."""
RECHECK_SECONDS = 5.0
KEY_ENDED = "key_ended"
"""Code of the reset of a stream whose API key has been revoked or has expired."""


class _Owner(NamedTuple):
    cluster_id: str
    user_id: str


class OpenRequests:
    """A request is open from `open` to `done`."""

    def __init__(self, keys: ApiKeys, tunnels: AgentTunnels) -> None:
        self._keys = keys
        self._tunnels = tunnels
        self._counts: Counter[_Owner] = Counter()
        self._open: dict[Stream, tuple[_Owner, str]] = {}

    async def open(self, caller: Caller, cluster_id: str, target: Mapping[str, Any]) -> Stream:
        """A stream for a request of the caller; `done` has to be called with it.

        Raises:
            errors.RateLimited: the caller has `MAX_OPEN`.
            errors.Unavailable, tunnel.StreamReset: see `AgentTunnels.open`.
        """
        owner = _Owner(cluster_id, caller.user_id)
        if self._counts[owner] >= MAX_OPEN:
            raise RateLimited(
                f"You have {MAX_OPEN} open requests to this cluster, the most there can be. End some first."
            )
        self._counts[owner] += 1
        try:
            stream = await self._tunnels.open(cluster_id, target)
        except BaseException:
            self._leave(owner)
            raise
        self._open[stream] = owner, caller.key_id
        return stream

    def done(self, stream: Stream) -> None:
        """The request is over; its stream is reset if it is not."""
        owner, _ = self._open.pop(stream)
        self._leave(owner)
        stream.reset()

    def _leave(self, owner: _Owner) -> None:
        self._counts[owner] -= 1
        if not self._counts[owner]:
            del self._counts[owner]

    async def watch_keys(self) -> None:
        """For as long as it runs: reset the streams whose API key has been revoked or has expired."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            for key_id in {key_id for _, key_id in self._open.values()}:
                try:
                    good = await self._keys.has_key(key_id)
                except (ApiError, SQLAlchemyError, OSError) as error:
                    logger.warning("The keys of open requests could not be looked up: %s", error)
                    break
                if not good:
                    self._end(key_id)

    def _end(self, key_id: str) -> None:
        streams = [stream for stream, (_, used) in self._open.items() if used == key_id]
        logger.info("API key %s is not good any more; its %d open requests are ended", key_id, len(streams))
        for stream in streams:
            stream.reset(KEY_ENDED, "The API key that this was begun with has been revoked or has expired.")
