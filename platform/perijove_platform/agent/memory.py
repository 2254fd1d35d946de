"""Giving memory back to the node.

OpenSSL's buffers of 16 KB live for the length of a handshake, between objects that stay as long as their stream. The
holes that they leave are a fifth of the memory of thousands of streams, and glibc keeps them until it is asked.
"""

import asyncio
import ctypes
from collections.abc import Callable

LOOK_SECONDS = 2.0
MANY_STREAMS = 100
"""That have come or gone since the last time: fewer leave no holes worth looking for."""


async def give_back(streams: Callable[[], int]) -> None:
    """Ask glibc after many streams came or went, until cancelled; no other library needs it.

    Args:
        streams: how many there are.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return
    known = before = streams()
    trimming = False
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = streams()
        if abs(now - known) >= MANY_STREAMS:
            trimming, known = True, now
        if trimming:
            trim(0)
            trimming = now != before  # once more when no more of them come
        before = now
