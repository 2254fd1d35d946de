"""Logs of pods: every line once, whatever is cut.

The kubelet here is a fake that answers as the real one does (whole seconds, cuts anywhere, its own words among the
lines); the real one is in `tests/cluster`.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import Unreachable
from perijove_platform.runtimes.kubernetes.logs import LOG, MAX_LINE_BYTES, JobLog, LineCutter, PodLog, Position, follow
from perijove_platform.runtimes.kubernetes.transport import Exchange, Headers
from perijove_platform.runtimes.local.job_log import Bell

SECONDS = "2026-11-21T08:00:0"


class FakeKubelet:
    """The log of one container, as a `Transport`.

    Args:
        lines: with their times.
        cuts: after how many bytes each stream breaks off; later streams are whole.
    """

    def __init__(self, lines: list[tuple[str, bytes]], cuts: list[int]) -> None:
        self.lines = lines
        self.cuts = cuts
        self.asked: list[str | None] = []
        self.chunk_bytes = 7

    def reachable(self) -> bool:
        return True

    async def wait_reachable(self) -> None:
        return

    async def close(self) -> None:
        return

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: str, path: str, headers: Headers = (), body: bytes = b""
    ) -> AsyncIterator[Exchange]:
        since = parse_qs(urlsplit(path).query).get("sinceTime", [None])[0]
        self.asked.append(since)
        yield Exchange(200, {}, self._chunks(since))

    async def _chunks(self, since: str | None) -> AsyncIterator[bytes]:
        wanted = [(time, line) for time, line in self.lines if since is None or time[:19] >= since[:19]]
        data = b"".join(time.encode() + b" " + line + b"\n" for time, line in wanted)
        cut = self.cuts.pop(0) if self.cuts else None
        for start in range(0, len(data) if cut is None else cut, self.chunk_bytes):
            yield data[start : start + self.chunk_bytes]
        if cut is not None:
            raise Unreachable("cut")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perijove_platform.runtimes.kubernetes.logs._FIRST_WAIT_SECONDS", 0.001)


def stamp(number: int) -> str:
    """Twenty lines of one second have the same time, as a program has that writes them at once."""
    second, rest = divmod(number, 60)
    return f"{SECONDS}{second}.{rest // 20:09}Z"


async def followed(
    kubelet: FakeKubelet, folder: Path, *, uid: str = "p", name: str = "pod", index: str | None = None
) -> bytes:
    log = JobLog(folder, Bell())
    await log.open()
    pod = PodLog(name=name, namespace="n", uid=uid, index=index, ended=lambda: not kubelet.cuts, gone=lambda: False)
    async with asyncio.timeout(20):
        await follow(KubernetesClient(kubelet), pod, log)
    await log.close()
    return (folder / LOG).read_bytes()


@pytest.mark.parametrize("seed", range(8))
async def test_no_line_is_lost_or_doubled_by_cuts(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    lines = [(stamp(number), f"line {number} {'x' * chance.randrange(40)}".encode()) for number in range(300)]
    kubelet = FakeKubelet(lines, [chance.randrange(6000) for _ in range(5)])
    kubelet.chunk_bytes = chance.choice([1, 7, 1000, 100_000])

    written = await followed(kubelet, tmp_path)

    assert written == b"".join(line + b"\n" for _, line in lines)
    assert kubelet.asked[0] is None
    assert len(kubelet.asked) == 6


async def test_the_next_process_goes_on_where_the_last_one_died(tmp_path: Path) -> None:
    lines = [(stamp(number), f"line {number}".encode()) for number in range(100)]
    log = JobLog(tmp_path, Bell())
    await log.open()
    pod = PodLog(name="pod", namespace="n", uid="p", index=None, ended=lambda: False, gone=lambda: False)
    first = asyncio.create_task(follow(KubernetesClient(FakeKubelet(lines[:40], [900, 900])), pod, log))
    while (tmp_path / LOG).stat().st_size < 200:
        await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first])
    with (tmp_path / LOG).open("ab") as file:
        file.write(b"written, but not remembered when the power went")

    written = await followed(FakeKubelet(lines, []), tmp_path)

    assert written == b"".join(line + b"\n" for _, line in lines)


async def test_attempts_follow_each_other(tmp_path: Path) -> None:
    await followed(FakeKubelet([(stamp(0), b"first")], []), tmp_path, uid="1", name="ftjob-1-a")

    written = await followed(FakeKubelet([(stamp(0), b"second")], []), tmp_path, uid="2", name="ftjob-1-b")

    assert written == b"first\n[perijove] attempt 2, pod ftjob-1-b\nsecond\n"


async def test_a_pod_that_was_read_to_its_end_is_not_read_again(tmp_path: Path) -> None:
    await followed(FakeKubelet([(stamp(0), b"first")], []), tmp_path)
    again = FakeKubelet([(stamp(0), b"first")], [])

    written = await followed(again, tmp_path)

    assert (written, again.asked) == (b"first\n", [])


async def test_pods_of_one_job_are_told_apart(tmp_path: Path) -> None:
    assert await followed(FakeKubelet([(stamp(0), b"step")], []), tmp_path, index="3") == b"[3] step\n"


async def test_a_huge_line_is_cut_and_counted(tmp_path: Path) -> None:
    kubelet = FakeKubelet([(stamp(0), b"x" * (20 << 20)), (stamp(1), b"after")], [])
    kubelet.chunk_bytes = 1 << 16

    written = await followed(kubelet, tmp_path)

    huge, after, rest = written.split(b"\n")
    assert (after, rest) == (b"after", b"")
    assert len(huge) < MAX_LINE_BYTES + 200
    assert huge.endswith(b"more bytes of this line are left out)")


async def test_an_unfinished_last_line_is_kept(tmp_path: Path) -> None:
    kubelet = FakeKubelet([], [])
    cutter = LineCutter(Position())

    assert cutter.feed(f"{SECONDS}1Z no line feed".encode()) == []
    assert cutter.finish() == [b"no line feed\n"]
    assert await followed(kubelet, tmp_path) == b""


def test_words_of_the_kubelet_are_no_line_of_the_log() -> None:
    cutter = LineCutter(Position())

    assert cutter.feed(b"unable to retrieve container logs for containerd://f00\n") == []
    assert cutter.position == Position()


def test_times_are_compared_in_whatever_zone_and_precision_they_are_written() -> None:
    cutter = LineCutter(Position("2026-11-21T09:00:01.5+01:00", 1))
    lines = [
        b"2026-11-21T08:00:01.25Z before",
        b"2026-11-21T09:00:01.5+01:00 known",
        b"2026-11-21T08:00:01.500000001Z after",
        b"2026-11-21T07:59:59Z and the clock went back",
    ]

    assert cutter.feed(b"\n".join(lines) + b"\n") == [b"after\n", b"and the clock went back\n"]


def test_lines_of_the_same_moment_are_counted() -> None:
    cutter = LineCutter(Position(f"{SECONDS}1Z", 2))
    lines = "".join(f"{SECONDS}1Z {number}\n" for number in range(5))

    assert cutter.feed(lines.encode()) == [b"2\n", b"3\n", b"4\n"]
    assert cutter.position == Position(f"{SECONDS}1Z", 5)
