"""Fetches the files of a `PullPlan`: resumed where an earlier attempt ended, checked against their checksums."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from perijove_platform.models.hub import OFFLINE_ADVICE, PlannedFile, PullPlan, describe, file_url
from perijove_platform.runtimes.local.memory import format_bytes

if TYPE_CHECKING:
    import httpx

_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.25
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


class DownloadError(Exception):
    """The files could not be fetched; the message says why, for a person.

    Attributes:
        keep: whether what was fetched is worth keeping for another attempt.
    """

    def __init__(self, message: str, *, keep: bool) -> None:
        super().__init__(message)
        self.keep = keep


class _Interrupted(Exception):
    """Worth another attempt."""


class Download:
    """One pull into `folder`.

    Args:
        on_progress: called with the bytes of all files that are there, after each chunk.
    """

    def __init__(
        self, client: httpx.AsyncClient, plan: PullPlan, folder: Path, on_progress: Callable[[int], None]
    ) -> None:
        self._client = client
        self._plan = plan
        self._folder = folder
        self._on_progress = on_progress
        self._finished_bytes = 0

    async def run(self) -> Path:
        """Fetches what is missing; the path of the first file.

        Raises:
            DownloadError: after several attempts, or at once where another would not help.
        """
        try:
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
            for file in self._plan.files:
                await self._fetch(file)
                self._finished_bytes += file.size
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                wanted = format_bytes(self._plan.size)
                message = f"the disk is full (the model needs {wanted}): free space, then pull it again"
                raise DownloadError(message, keep=False) from error
            raise DownloadError(f"its files cannot be written ({error.strerror or error})", keep=False) from error
        return self._target(self._plan.files[0])

    def _target(self, file: PlannedFile) -> Path:
        return self._folder / PurePosixPath(file.name).name

    async def _fetch(self, file: PlannedFile) -> None:
        import httpx

        target = self._target(file)
        if await asyncio.to_thread(target.exists):
            return  # only a file whose checksum was right carries this name
        partial = target.with_name(target.name + ".partial")
        digest, have = await asyncio.to_thread(_digest, partial, file.size)
        self._on_progress(self._finished_bytes + have)
        attempt = 0
        while have < file.size:
            before = have
            try:
                digest, have = await self._append(file, partial, digest, have)
            except (_Interrupted, httpx.HTTPError) as error:
                digest, have = await asyncio.to_thread(_digest, partial, file.size)
                attempt = 1 if have > before else attempt + 1
                if attempt >= _ATTEMPTS:
                    message = (
                        f"the download was interrupted ({describe(error)}). {OFFLINE_ADVICE} Pull it again to go on"
                    )
                    raise DownloadError(message, keep=True) from error
                await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2**attempt)
        if digest.hexdigest() != file.sha256:
            raise DownloadError(f"{file.name} arrived damaged (its SHA-256 is wrong): pull it again", keep=False)
        await asyncio.to_thread(partial.replace, target)

    async def _append(
        self, file: PlannedFile, partial: Path, digest: hashlib._Hash, have: int
    ) -> tuple[hashlib._Hash, int]:
        # Identity: a transfer that is compressed on the way could not be resumed by byte offsets.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        async with self._client.stream("GET", file_url(self._plan, file), headers=headers) as response:
            if response.status_code in _RETRIED:
                raise _Interrupted(f"the hub answered {response.status_code}")
            if response.status_code not in (200, 206):
                raise DownloadError(f"the hub answered {response.status_code} for {file.name}", keep=False)
            if response.status_code == 200 and have:  # it ignores ranges
                digest, have = hashlib.sha256(), 0
            with await asyncio.to_thread(partial.open, "ab" if have else "wb") as sink:
                async for chunk in response.aiter_raw():  # as it arrives: what is gathered first is lost at a break
                    have += len(chunk)
                    if have > file.size:
                        raise DownloadError(f"the hub sent more than it announced for {file.name}", keep=False)
                    await asyncio.to_thread(_write, sink, digest, chunk)
                    self._on_progress(self._finished_bytes + have)
                await asyncio.to_thread(_sync, sink)
        if have < file.size:
            raise _Interrupted(f"the connection closed at {have} of {file.size} bytes")
        return digest, have


def _write(sink: BinaryIO, digest: hashlib._Hash, chunk: bytes) -> None:
    sink.write(chunk)
    sink.flush()  # what has been counted survives a kill, however little came at a time
    digest.update(chunk)


def _sync(sink: BinaryIO) -> None:
    sink.flush()
    os.fsync(sink.fileno())


def _digest(partial: Path, size: int) -> tuple[hashlib._Hash, int]:
    """Of what an earlier attempt left; a file that is too long is no part of this one."""
    digest = hashlib.sha256()
    if not partial.exists():
        return digest, 0
    if partial.stat().st_size > size:
        partial.unlink()
        return digest, 0
    have = 0
    with partial.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            have += len(chunk)
    return digest, have
