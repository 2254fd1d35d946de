"""The `ObjectStore` contract: immutable objects by key, streamed both ways."""

import asyncio
import errno
import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from perijove_platform.errors import OutOfStorage

Chunk = bytes | memoryview
READ_BYTES = 1024 * 1024
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_MAX_KEY = 512
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

P = ParamSpec("P")
T = TypeVar("T")


class ObjectMissing(LookupError):
    """No object has this key."""


@dataclass(frozen=True)
class Stored:
    """What was written.

    Attributes:
        size: bytes.
        sha256: of the content, lower-case hexadecimal; `md5` too, where it was asked for.
    """

    size: int
    sha256: str
    md5: str | None = None


@dataclass(frozen=True)
class Found:
    """An object of a listing; `modified` is in Unix seconds."""

    key: str
    size: int
    modified: float


class ObjectStore(Protocol):
    """Objects by key. A key is chosen by us and never by a user: words joined by ``/``, see `check_key`.

    Attributes:
        settle_seconds: an object that no row names after this long will never be named. 0 where one process owns the
            store, so that what a crash left can be swept at the next start.
    """

    settle_seconds: float

    async def start(self) -> None:
        """Check that the store can be used and remove what a crash left half written."""
        ...

    async def stop(self) -> None: ...

    async def put(self, key: str, chunks: AsyncIterable[Chunk], *, md5: bool = False) -> Stored:
        """Write an object; it appears whole and durable or not at all, also when `chunks` raises.

        Holds a few megabytes, whatever the size of the object.

        Raises:
            OutOfStorage: no room, or a quota is used up.
            Unavailable: the store does not answer.
        """
        ...

    def get(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `stop`. Raises `ObjectMissing` at the first chunk."""
        ...

    async def size(self, key: str) -> int:
        """Bytes. Raises `ObjectMissing`."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every object whose key begins with `prefix`, which ends in ``/``."""
        ...

    def list(self, prefix: str) -> AsyncIterator[Found]:
        """The objects whose keys begin with `prefix`, which ends in ``/``."""
        ...

    async def concatenate(self, key: str, parts: Sequence[str], *, md5: bool = False) -> Stored:
        """Write the content of `parts`, in order, as one object; the parts stay."""
        ...

    def local_path(self, key: str) -> AbstractAsyncContextManager[Path]:
        """A file with the object's content, to be read while the context lasts. Raises `ObjectMissing`."""
        ...

    async def signed_get(self, key: str, seconds: int) -> str:
        """An address that anybody can GET the object from for `seconds`, ranges included, without a credential.

        It is a secret while it is valid: it belongs into no log and no command line.

        Raises:
            Unavailable: whoever fetches has no way to this store.
        """
        ...

    async def signed_put(self, key: str, seconds: int) -> str:
        """An address that anybody can PUT the object to for `seconds`, with a Content-Length; else as `signed_get`."""
        ...

    async def free_bytes(self) -> int | None:
        """How much more fits, or ``None`` where the store does not tell."""
        ...


def check_key(key: str) -> str:
    """The key, if it is one: no empty part, none that begins with a dot, so that it can be a path.

    Raises:
        ValueError: it is not; keys are made by us, so this is a programming error.
    """
    if len(key) > _MAX_KEY or not _KEY.fullmatch(key):
        raise ValueError(f"not an object key: {key!r}")
    return key


def check_prefix(prefix: str) -> str:
    if not prefix.endswith("/"):
        raise ValueError(f"a prefix ends in '/': {prefix!r}")
    return check_key(prefix[:-1]) + "/"


class Digest:
    """Size and digests of the chunks that it is fed."""

    def __init__(self, *, md5: bool) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None

    def update(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            self.size += len(chunk)
            self._sha256.update(chunk)
            if self._md5 is not None:
                self._md5.update(chunk)

    def stored(self) -> Stored:
        return Stored(self.size, self._sha256.hexdigest(), self._md5.hexdigest() if self._md5 else None)


async def batches(chunks: AsyncIterable[Chunk], size: int) -> AsyncIterator[list[Chunk]]:
    """The chunks in groups of at least `size` bytes (the last may be smaller), without copying them."""
    batch: list[Chunk] = []
    held = 0
    async for chunk in chunks:
        batch.append(chunk)
        held += len(chunk)
        if held >= size:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def out_of_storage(error: OSError, needed: str) -> OutOfStorage | None:
    """The error for a client, where `error` says that no more can be written."""
    if error.errno not in _FULL:
        return None
    return OutOfStorage(f"There is no room left for {needed}. Free some space, or delete files, and send it again.")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`asyncio.to_thread` that lets the thread finish before a cancellation goes on.

    What the thread works on (an open file, a buffer) must not be closed under it.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()
        raise
