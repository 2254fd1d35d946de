"""A job's log as readers get it: its last lines, and every byte once, whatever the writer does meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from perijove_platform.runtimes.local import job_log
from perijove_platform.runtimes.local.child_log import ChildLog
from perijove_platform.runtimes.local.job_log import Bell, read_log


async def text_of(chunks: AsyncIterator[bytes]) -> str:
    return b"".join([chunk async for chunk in chunks]).decode()


def read(path: Path, **options: Any) -> AsyncIterator[bytes]:
    defaults = {"tail_lines": None, "tail_bytes": None, "bell": Bell(), "follow": lambda: False}
    return read_log(path, **(defaults | options))


async def last_lines(path: Path, count: int) -> str:
    return await text_of(read(path, tail_lines=count))


@pytest.mark.parametrize("cut", range(0, 40, 3))
@pytest.mark.parametrize("end", ["", "\n"])
async def test_the_last_lines_are_whole_wherever_a_rotation_cut_them(tmp_path: Path, cut: int, end: str) -> None:
    path = tmp_path / "log.txt"
    lines = ["one\n", "two, é\n", "\n", "four\n", "five is the longest\n", f"six{end}"]
    content = "".join(lines).encode()
    (tmp_path / "log.txt.1").write_bytes(content[:cut])
    path.write_bytes(content[cut:])
    for count in range(len(lines) + 3):
        assert await last_lines(path, count) == "".join(lines[len(lines) - min(count, len(lines)) :])
    assert await text_of(read(path)) == "".join(lines)
    for count in range(len(content) + 2):
        chunks = [chunk async for chunk in read(path, tail_bytes=count)]
        assert b"".join(chunks) == content[len(content) - min(count, len(content)) :]


async def test_lines_that_lie_far_apart(tmp_path: Path) -> None:
    lines = [f"{number} {'x' * 50_000}\n" for number in range(60)]
    (tmp_path / "log.txt.1").write_text("".join(lines[:33]))
    (tmp_path / "log.txt").write_text("".join(lines[33:]))
    for count in (1, 2, 26, 27, 28, 59, 60, 61):
        assert await last_lines(tmp_path / "log.txt", count) == "".join(lines[-count:])


async def test_the_last_lines_are_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_log, "MAX_TAIL_BYTES", 1000)
    path = tmp_path / "log.txt"
    lines = [f"line {number:03}\n" for number in range(200)]
    path.write_text("".join(lines))
    assert await last_lines(path, 150) == "".join(lines[-111:]), "as many whole lines as fit"
    path.write_text("x" * 5000 + "y")
    assert await last_lines(path, 3) == "x" * 999 + "y"


async def test_no_log_yet(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    for options in ({}, {"tail_lines": 5}, {"tail_bytes": 5}):
        assert await text_of(read(path, **options)) == ""


@pytest.mark.parametrize(("lines", "begin"), [(None, 0), (0, 20), (7, 13)])
async def test_a_follower_gets_every_byte_once_over_many_rotations(
    tmp_path: Path, lines: int | None, begin: int
) -> None:
    """The writer is never ahead by more than the older of two files."""
    path = tmp_path / "log.txt"
    log = ChildLog(path, max_bytes=1000)
    written = [f"line {number:04}\n".encode() for number in range(2000)]
    for line in written[:20]:
        log.write(line)
    bell, writing, received = Bell(), True, bytearray()
    begun = asyncio.Event()

    def more() -> bool:
        begun.set()  # it has found the place to read from
        return writing

    async def follow() -> None:
        async for chunk in read(path, tail_lines=lines, bell=bell, follow=more):
            received.extend(chunk)

    following = asyncio.create_task(follow())
    async with asyncio.timeout(60):
        await begun.wait()
        for first in range(20, 2000, 99):
            for line in written[first : first + 99]:
                log.write(line)
            bell.ring()
            while len(received) < len(b"".join(written[begin : first + 99])):
                await asyncio.sleep(0.001)  # not 0: threads read, and want the interpreter
        writing = False
        bell.ring()
        await following
    log.close()
    assert bytes(received) == b"".join(written[begin:])


async def test_a_reader_that_is_a_rotation_behind_loses_nothing(tmp_path: Path) -> None:
    """Two rotations between two looks: the file in the middle has been renamed before it was opened."""
    path = tmp_path / "log.txt"
    path.write_text("first\n")
    bell, writing = Bell(), True
    chunks = read(path, bell=bell, follow=lambda: writing)
    assert await anext(chunks) == b"first\n"
    path.replace(tmp_path / "log.txt.1")
    path.write_text("second\n")
    path.replace(tmp_path / "log.txt.1")
    path.write_text("third\n")
    writing = False
    bell.ring()
    async with asyncio.timeout(30):
        rest = await text_of(chunks)
    assert rest == "second\nthird\n"


async def test_a_rotation_while_the_log_is_opened_shows_no_part_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.txt"
    path.write_text("first\n")
    real, rotations = job_log._open, iter([True])

    def rotate_then_open(wanted: Path) -> Any:
        if wanted.name.endswith(".1") and next(rotations, False):
            path.replace(tmp_path / "log.txt.1")
            path.write_text("second\n")
        return real(wanted)

    monkeypatch.setattr(job_log, "_open", rotate_then_open)
    assert await last_lines(path, 5) == "first\nsecond\n"
