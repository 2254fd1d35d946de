"""The same promises of every object store."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from perijove_platform.errors import OutOfStorage, Unavailable
from perijove_platform.objects import Chunk, ObjectMissing, ObjectStore, Stored
from perijove_platform.objects.folder import FolderStore
from perijove_platform.objects.s3 import S3Store

MIB = 1024 * 1024


async def chunks_of(data: bytes, size: int = 64 * 1024) -> AsyncIterator[Chunk]:
    for start in range(0, len(data), size):
        yield memoryview(data)[start : start + size]


async def content(objects: ObjectStore, key: str, **bounds: int) -> bytes:
    return b"".join([chunk async for chunk in objects.get(key, **bounds)])


async def keys(objects: ObjectStore, prefix: str) -> list[str]:
    return sorted([found.key async for found in objects.list(prefix)])


@pytest.mark.parametrize("size", [0, 1, 100_000, 8 * MIB, 21 * MIB + 5])
async def test_what_is_put_is_got(objects: ObjectStore, size: int) -> None:
    data = os.urandom(size)
    stored = await objects.put("files/p/one", chunks_of(data), md5=True)
    assert stored == Stored(size, hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest())
    assert await objects.size("files/p/one") == size
    assert await content(objects, "files/p/one") == data
    async with objects.local_path("files/p/one") as path:
        assert path.read_bytes() == data


async def test_ranges(objects: ObjectStore) -> None:
    data = os.urandom(3 * MIB)
    await objects.put("a/b", chunks_of(data))
    assert await content(objects, "a/b", start=5, stop=2 * MIB) == data[5 : 2 * MIB]
    assert await content(objects, "a/b", start=3 * MIB - 2) == data[-2:]
    assert await content(objects, "a/b", start=3 * MIB) == b""
    assert await content(objects, "a/b", start=7, stop=7) == b""


async def test_put_replaces_and_delete_removes(objects: ObjectStore) -> None:
    await objects.put("a/b", chunks_of(b"old"))
    await objects.put("a/b", chunks_of(b"new!"))
    assert await content(objects, "a/b") == b"new!"
    await objects.delete("a/b")
    await objects.delete("a/b")
    with pytest.raises(ObjectMissing):
        await objects.size("a/b")
    with pytest.raises(ObjectMissing):
        await content(objects, "a/b")
    with pytest.raises(ObjectMissing):
        async with objects.local_path("a/b"):
            pass


async def test_prefixes_end_at_a_slash(objects: ObjectStore) -> None:
    for key in ("up/one/1", "up/one/2", "up/oneandmore/1", "up/two/1"):
        await objects.put(key, chunks_of(b"x"))
    assert await keys(objects, "up/one/") == ["up/one/1", "up/one/2"]
    await objects.delete_prefix("up/one/")
    assert await keys(objects, "up/") == ["up/oneandmore/1", "up/two/1"]
    assert await keys(objects, "nothing/") == []
    await objects.delete_prefix("nothing/")


async def test_concatenate(objects: ObjectStore) -> None:
    parts = [os.urandom(size) for size in (1, 6 * MIB, 3)]
    for number, part in enumerate(parts):
        await objects.put(f"up/{number}", chunks_of(part))
    whole = b"".join(parts)
    stored = await objects.concatenate("files/x", [f"up/{number}" for number in range(3)], md5=True)
    assert stored == Stored(len(whole), hashlib.sha256(whole).hexdigest(), hashlib.md5(whole).hexdigest())
    assert await content(objects, "files/x") == whole
    with pytest.raises(ObjectMissing):
        await objects.concatenate("files/y", ["up/0", "up/9"])
    assert await keys(objects, "files/") == ["files/x"]


@pytest.mark.parametrize("sent", [1000, 17 * MIB])
async def test_a_source_that_fails_leaves_nothing(objects: ObjectStore, sent: int, tmp_path: Path) -> None:
    async def breaks() -> AsyncIterator[Chunk]:
        async for chunk in chunks_of(os.urandom(sent)):
            yield chunk
        raise ConnectionError("the sender went away")

    await objects.put("files/kept", chunks_of(b"before"))
    with pytest.raises(ConnectionError):
        await objects.put("files/kept", breaks())
    assert await content(objects, "files/kept") == b"before"
    assert await keys(objects, "files/") == ["files/kept"]
    assert no_leftovers(objects)


async def test_a_cancelled_put_leaves_nothing(objects: ObjectStore) -> None:
    started = asyncio.Event()

    async def endless() -> AsyncIterator[Chunk]:
        async for chunk in chunks_of(os.urandom(20 * MIB)):
            yield chunk
        started.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(objects.put("files/x", endless()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys(objects, "files/") == []
    assert no_leftovers(objects)


def no_leftovers(objects: ObjectStore) -> bool:
    if isinstance(objects, FolderStore):
        return not list((objects._root / ".unfinished").iterdir())
    assert isinstance(objects, S3Store)
    try:
        return not objects._client.list_multipart_uploads(Bucket=objects._bucket).get("Uploads")
    except ClientError as error:
        # What rclone answers for a bucket without any.
        return bool(error.response["Error"]["Code"] == "NoSuchUpload")


@pytest.mark.parametrize("key", ["", "/a", "a/", "../a", "a/../b", "a//b", ".hidden/a", "a b", "a\x00b", "ü"])
async def test_only_our_own_keys_are_taken(objects: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="object key"):
        await objects.put(key, chunks_of(b"x"))


async def test_start_clears_what_a_crash_left(tmp_path: Path) -> None:
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "half").write_bytes(b"half")
    store = FolderStore(tmp_path)
    await store.start()
    assert list((tmp_path / ".unfinished").iterdir()) == []


async def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    store = S3Store(bucket="b", endpoint="http://127.0.0.1:9", scratch=tmp_path)
    with pytest.raises(Unavailable, match="cannot be reached|credentials"):
        await store.start()


async def test_full_disk(tmp_path: Path, small_disk: Path) -> None:
    store = FolderStore(small_disk / "objects")
    await store.start()
    with pytest.raises(OutOfStorage, match="no room"):
        await store.put("files/x", chunks_of(os.urandom(16 * MIB)))
    assert await keys(store, "files/") == []
    assert no_leftovers(store)
    await store.put("files/x", chunks_of(b"fits"))
