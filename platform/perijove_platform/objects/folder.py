"""Objects as files of a folder that one platform owns."""

import asyncio
import contextlib
import itertools
import os
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from perijove_platform.ids import new_id
from perijove_platform.objects.base import (
    READ_BYTES,
    Chunk,
    Digest,
    Found,
    ObjectMissing,
    Stored,
    batches,
    check_key,
    check_prefix,
    in_thread,
    out_of_storage,
)
from perijove_platform.objects.signing import UrlSigner

_WRITE_BYTES = 4 * 1024 * 1024
_LIST_ROWS = 500
# writev takes at most IOV_MAX buffers; 1024 on Linux and macOS.
_MAX_BUFFERS = 512
_UNFINISHED = ".unfinished"


class FolderStore:
    """Keys are paths below `root`; an object is written beside them and renamed into place once it is on the disk.

    Args:
        signer: signs the addresses under which `objects.routes` serves the folder; by default one that keeps its
            secret beside `root` and knows no address.
    """

    settle_seconds = 0.0

    def __init__(self, root: Path, signer: UrlSigner | None = None) -> None:
        self._root = root
        self._signer = signer or UrlSigner(root.with_name(f"{root.name}_signing_key"), None)
        self._unfinished = root / _UNFINISHED

    async def start(self) -> None:
        await asyncio.to_thread(self._clean)

    def _clean(self) -> None:
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def stop(self) -> None:
        return None

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    async def put(self, key: str, chunks: AsyncIterable[Chunk], *, md5: bool = False) -> Stored:
        path = self._path(key)
        temporary = self._unfinished / new_id()
        digest = Digest(md5=md5)
        try:
            file = await asyncio.to_thread(_create, temporary)
            try:
                await _write_all(file, chunks, digest)
                await in_thread(os.fsync, file.fileno())
            finally:
                file.close()
            await in_thread(_publish, temporary, path)
        except OSError as error:
            await in_thread(temporary.unlink, missing_ok=True)
            full = out_of_storage(error, "this upload")
            if full is not None:
                raise full from error
            raise
        except BaseException:
            await in_thread(temporary.unlink, missing_ok=True)
            raise
        return digest.stored()

    async def get(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(self._open, key, start)
        try:
            left = stop - start if stop is not None else None
            while left is None or left > 0:
                data = await in_thread(file.read, READ_BYTES if left is None else min(READ_BYTES, left))
                if not data:
                    return
                if left is not None:
                    left -= len(data)
                yield data
        finally:
            file.close()

    def _open(self, key: str, start: int) -> BinaryIO:
        try:
            file = self._path(key).open("rb", buffering=0)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectMissing(key) from None
        file.seek(start)
        return file

    async def size(self, key: str) -> int:
        return (await asyncio.to_thread(self._stat, key)).st_size

    def _stat(self, key: str) -> os.stat_result:
        path = self._path(key)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectMissing(key) from None
        if not path.is_file():
            raise ObjectMissing(key)
        return found

    async def delete(self, key: str) -> None:
        await in_thread(self._delete, key)

    def _delete(self, key: str) -> None:
        path = self._path(key)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
        # Best effort: a folder that is not empty, or that a writer fills just now, stays.
        with contextlib.suppress(OSError):
            for parent in path.parents:
                if parent == self._root:
                    break
                parent.rmdir()

    async def delete_prefix(self, prefix: str) -> None:
        folder = self._root / check_prefix(prefix)
        await in_thread(shutil.rmtree, folder, ignore_errors=True)

    async def list(self, prefix: str) -> AsyncIterator[Found]:
        found = self._walk(self._root / check_prefix(prefix))
        while rows := await asyncio.to_thread(lambda: list(itertools.islice(found, _LIST_ROWS))):
            for row in rows:
                yield row

    def _walk(self, folder: Path) -> Iterator[Found]:
        for where, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(where, name)
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    yield Found(path.relative_to(self._root).as_posix(), status.st_size, status.st_mtime)

    async def concatenate(self, key: str, parts: Sequence[str], *, md5: bool = False) -> Stored:
        return await self.put(key, self._joined(parts), md5=md5)

    async def _joined(self, parts: Sequence[str]) -> AsyncIterator[Chunk]:
        for part in parts:
            async for chunk in self.get(part):
                yield chunk

    @asynccontextmanager
    async def local_path(self, key: str) -> AsyncIterator[Path]:
        await self.size(key)
        yield self._path(key)

    async def signed_get(self, key: str, seconds: int) -> str:
        return await asyncio.to_thread(self._signer.sign, "GET", check_key(key), seconds)

    async def signed_put(self, key: str, seconds: int) -> str:
        return await asyncio.to_thread(self._signer.sign, "PUT", check_key(key), seconds)

    def verify(self, method: str, key: str, expires: int, signature: str) -> None:
        """Blocking. Raises `errors.Forbidden` unless the address is one that was signed here and has not expired."""
        self._signer.verify(method, key, expires, signature)

    async def free_bytes(self) -> int | None:
        return (await asyncio.to_thread(shutil.disk_usage, self._root)).free


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.open("xb", buffering=0)


def _publish(temporary: Path, path: Path) -> None:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            temporary.replace(path)
            break
        except FileNotFoundError:
            # `delete` of a sibling may have removed the folder between the two calls.
            if not temporary.exists():
                raise
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


async def _write_all(file: BinaryIO, chunks: AsyncIterable[Chunk], digest: Digest) -> None:
    """Write a batch in a thread while the next one is collected: at most two are held."""
    writing: asyncio.Future[None] | None = None
    try:
        async for batch in batches(chunks, _WRITE_BYTES):
            if writing is not None:
                await asyncio.shield(writing)
            writing = asyncio.ensure_future(asyncio.to_thread(_write, file, batch, digest))
        if writing is not None:
            await asyncio.shield(writing)
    finally:
        if writing is not None:
            await asyncio.wait([writing])
            if not writing.cancelled():
                writing.exception()


def _write(file: BinaryIO, batch: list[Chunk], digest: Digest) -> None:
    digest.update(batch)
    for first in range(0, len(batch), _MAX_BUFFERS):
        buffers = [memoryview(chunk) for chunk in batch[first : first + _MAX_BUFFERS]]
        while buffers:
            written = os.writev(file.fileno(), buffers)
            while buffers and written >= len(buffers[0]):
                written -= len(buffers.pop(0))
            if buffers and written:
                buffers[0] = buffers[0][written:]
