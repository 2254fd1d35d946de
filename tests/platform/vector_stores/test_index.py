"""The index by itself, over real Milvus Lite."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from perijove_platform.errors import Unavailable
from perijove_platform.vector_stores.filters import file_expression
from perijove_platform.vector_stores.index import VectorIndex

STORE = "vs_test"
DIMENSION = 32
_WRITER = """
import asyncio, itertools, sys
from pathlib import Path
import numpy as np
from perijove_platform.vector_stores.index import VectorIndex

async def main():
    index = VectorIndex(Path(sys.argv[1]))
    vectors = np.eye(32, dtype=np.float32)[np.arange(400) % 32]
    for file in itertools.count():
        await index.insert("vs_test", file, list(range(file * 400, file * 400 + 400)), vectors)
        await index.settle("vs_test")
        print(file, flush=True)

asyncio.run(main())
"""


def unit_vectors(count: int) -> "np.ndarray":
    vectors = np.random.default_rng(7).standard_normal((count, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[VectorIndex]:
    index = VectorIndex(tmp_path / "vectors")
    yield index
    await index.close()


async def test_search_is_exact_with_and_without_a_filter(index: VectorIndex) -> None:
    vectors = unit_vectors(600)
    for file in range(6):
        part = slice(file * 100, file * 100 + 100)
        await index.insert(STORE, file, range(600)[part], vectors[part])
    for settled in (False, True):
        if settled:
            await index.settle(STORE)
        for wanted in (range(6), (1, 4), (0, 1, 2, 3)):
            others = set(range(6)) - set(wanted)
            query = unit_vectors(601)[600:]
            [hits] = await index.search(STORE, query, limit=10, expression=file_expression(wanted, others))
            similarity = vectors @ query[0]
            allowed = [chunk for chunk in range(600) if chunk // 100 in wanted]
            assert [hit.chunk for hit in hits] == sorted(allowed, key=lambda chunk: -similarity[chunk])[:10]
            assert hits[0].similarity == pytest.approx(similarity[hits[0].chunk], abs=1e-5)


async def test_a_store_without_vectors_finds_nothing(index: VectorIndex) -> None:
    assert await index.search("vs_none", unit_vectors(2), limit=3) == [[], []]
    await index.delete_file("vs_none", 1)
    await index.drop("vs_none")


async def test_a_second_platform_on_the_same_folder_is_told_so(index: VectorIndex, tmp_path: Path) -> None:
    await index.stores()
    second = VectorIndex(tmp_path / "vectors")
    with pytest.raises(Unavailable, match="another platform"):
        await second.stores()
    await second.close()


async def test_the_socket_is_closed_to_other_users(index: VectorIndex) -> None:
    await index.stores()
    assert index._socket_folder is not None
    assert os.stat(index._socket_folder).st_mode & 0o777 == 0o700
    await index.close()
    assert not os.access(index._socket_folder, os.F_OK)


def cut_in_half(folder: Path) -> int:
    """As a crash may leave the index files; how many there were."""
    paths = list(folder.rglob("*.idx"))
    for path in paths:
        os.truncate(path, path.stat().st_size // 2)
    return len(paths)


async def test_an_index_file_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    first = VectorIndex(tmp_path)
    await first.insert(STORE, 1, range(200), unit_vectors(200))
    await first.settle(STORE)
    await first.close()
    assert cut_in_half(tmp_path)
    again = VectorIndex(tmp_path)
    [hits] = await again.search(STORE, unit_vectors(1), limit=5)
    await again.close()
    assert hits[0].chunk == 0 and len(hits) == 5


@pytest.mark.parametrize("files", [1, 3, 6])
async def test_kill_9_while_writing_leaves_an_index_that_works(tmp_path: Path, files: int) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    writer = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert writer.stdout is not None
    for _ in range(files):
        assert await writer.stdout.readline()
    writer.kill()
    written = files + (await writer.stdout.read()).count(b"\n")
    await writer.wait()
    index = VectorIndex(tmp_path)
    query = np.eye(DIMENSION, dtype=np.float32)[:1]
    for file in range(written):
        [hits] = await index.search(STORE, query, limit=20, expression=file_expression([file], [-1]))
        assert len({hit.chunk for hit in hits}) == len(hits) >= 400 // DIMENSION
    for file in range(written + 2):
        await index.delete_file(STORE, file)
    await index.settle(STORE)
    assert await index.search(STORE, query, limit=5) == [[]]
    await index.close()
