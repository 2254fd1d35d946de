"""Who uses the machine's one test bed, or a cluster that is named: many at the same time, and none while it is started
or ended."""

import fcntl
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from programs import caches

from testbed.layout import NAMED, STATE


class Lock:
    """A share in a file's lock, held across processes; it ends with the process at the latest."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file: TextIO = path.open("w")

    def share(self) -> None:
        """Hold it together with others, once nobody holds it alone."""
        self._take(fcntl.LOCK_SH)

    def exclude(self) -> None:
        """Hold it alone, once nobody else holds it."""
        self._take(fcntl.LOCK_EX)

    def try_exclude(self) -> bool:
        """Hold it alone if nobody else holds it; what was held before is given up when somebody does."""
        with suppress(BlockingIOError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return False

    def release(self) -> None:
        self._file.close()

    @classmethod
    def of(cls, what: str) -> "Lock":
        """One of this cluster, by what it is about."""
        return cls(caches() / f"{f'{STATE.name}-' if NAMED else ''}{what}.lock")

    def _take(self, kind: int) -> None:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"testbed: waiting for another command that holds {self._path} …", file=sys.stderr, flush=True)
            fcntl.flock(self._file, kind)
