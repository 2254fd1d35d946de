"""Time-ordered ids: a list that is ordered by id is ordered by creation.

Layout, as in ULID (https://github.com/ulid/spec): 48 bits of milliseconds since the epoch, then 80 random bits, which
are incremented instead of redrawn for ids of the same millisecond, in lower-case Crockford base 32 (26 characters).
"""

import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80
_lock = threading.Lock()
_last = 0


def new_id(prefix: str = "") -> str:
    """`prefix` and 26 characters; later calls of this process sort after earlier ones."""
    global _last
    with _lock:
        drawn = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        same_millisecond = drawn >> _RANDOM_BITS <= _last >> _RANDOM_BITS
        _last = value = _last + 1 if same_millisecond else drawn
    return prefix + "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
