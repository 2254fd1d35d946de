"""What a run has stored as its results, brought to this machine."""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from perijove_platform.errors import Conflict, Unavailable
from perijove_platform.objects import ObjectMissing, ObjectStore

_ATTEMPTS = 6
_FIRST_WAIT_SECONDS = 1.0


async def fetch_results(
    objects: ObjectStore, prefix: str, results: Mapping[str, Mapping[str, Any]], folder: Path
) -> None:
    """Files appear in `folder` whole or not at all; one that is there already is kept.

    Args:
        results: ``{"size", "sha256"}`` by file name.

    Raises:
        Conflict: an object is missing, or is not what was stored.
        Unavailable: the object store has been away for half a minute.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    for name, expected in results.items():
        if await asyncio.to_thread(_is_there, folder / name, int(expected["size"])):
            continue
        await _fetch_patiently(objects, prefix + name, folder / name, str(expected["sha256"]))


async def _fetch_patiently(objects: ObjectStore, key: str, target: Path, sha256: str) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            await _fetch(objects, key, target, sha256)
            return
        except Unavailable:
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(_FIRST_WAIT_SECONDS * 2**attempt)


async def _fetch(objects: ObjectStore, key: str, target: Path, sha256: str) -> None:
    building = target.with_name(f"{target.name}.part")
    digest = hashlib.sha256()
    file: BinaryIO = await asyncio.to_thread(building.open, "wb")
    try:
        async for chunk in objects.get(key):
            await asyncio.to_thread(file.write, chunk)
            digest.update(chunk)
        await asyncio.to_thread(_sync, file)
    except ObjectMissing:
        raise Conflict(f"The job's result '{target.name}' is not in the object store.", code="result_missing") from None
    finally:
        await asyncio.to_thread(file.close)
    if digest.hexdigest() != sha256:
        message = f"The job's result '{target.name}' is not what its pod has stored."
        raise Conflict(message, code="result_damaged")
    await asyncio.to_thread(building.replace, target)


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
