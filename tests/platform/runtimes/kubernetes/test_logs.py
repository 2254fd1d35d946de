"""Logs of pods: every line once, whatever is cut.

The kubelet here is a fake that answers as the real one does (whole seconds, cuts anywhere, its own words among the
lines); the real one is in `tests/cluster`.
"""

import asyncio
import contextlib
import gc
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import Unreachable
from perijove_platform.runtimes.kubernetes.jobs import KubernetesJobs
from perijove_platform.runtimes.kubernetes.log_keeper import LogKeeper
from perijove_platform.runtimes.kubernetes.logs import LOG, MAX_LINE_BYTES, JobLog, LineCutter, PodLog, Position, follow
from perijove_platform.runtimes.kubernetes.objects import Object, uid_of
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues
from perijove_platform.runtimes.kubernetes.transport import Exchange, Headers
from perijove_platform.runtimes.kubernetes.view import JobsView
from perijove_platform.runtimes.local.job_log import Bell

from .place import PODS_OF_TESTS, Runs
from .transports import AlwaysReachable

_INDEX = "batch.kubernetes.io/job-completion-index"
SECONDS = "2026-11-21T08:00:0"
WAIT_SECONDS = 60


class FakeKubelet(AlwaysReachable):
    """The log of one container, as a `Transport`.

    Args:
        lines: with their times.
        cuts: after how many bytes each stream breaks off; later streams are whole.

    Attributes:
        clean: streams that break off end as if nothing more came.
        gone: after the cuts, the pod is there no more.
    """

    def __init__(self, lines: list[tuple[str, bytes]], cuts: list[int]) -> None:
        self.lines = lines
        self.cuts = cuts
        self.clean = False
        self.gone = False
        self.asked: list[str | None] = []
        self.chunk_bytes = 7

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: str, path: str, headers: Headers = (), body: bytes = b""
    ) -> AsyncIterator[Exchange]:
        since = parse_qs(urlsplit(path).query).get("sinceTime", [None])[0]
        self.asked.append(since)
        yield Exchange(404 if self.gone and not self.cuts else 200, {}, self._chunks(since))

    async def _chunks(self, since: str | None) -> AsyncIterator[bytes]:
        wanted = [(time, line) for time, line in self.lines if since is None or time[:19] >= since[:19]]
        data = b"".join(time.encode() + b" " + line + b"\n" for time, line in wanted)
        cut = self.cuts.pop(0) if self.cuts else None
        data = data[:cut]
        for start in range(0, len(data), self.chunk_bytes):
            yield data[start : start + self.chunk_bytes]
        if cut is not None and not self.clean:
            raise Unreachable("cut")


class FakeView:
    """The pods of `JobsView`, of which this test says what there is."""

    def __init__(self) -> None:
        self.shown: list[Object] = []

    def pods(self, job_id: str) -> list[Object]:
        return self.shown

    def show(self, uid: str, *, ended: bool, index: str = "0") -> None:
        state = {"terminated": {"exitCode": 0}} if ended else {"running": {"startedAt": stamp(0)}}
        metadata = {"name": uid, "namespace": "n", "uid": uid, "annotations": {_INDEX: index}}
        pod = {"metadata": metadata, "status": {"containerStatuses": [{"name": "job", "state": state}]}}
        self.shown = [*(other for other in self.shown if uid_of(other) != uid), pod]


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
    async with asyncio.timeout(WAIT_SECONDS):
        await follow(KubernetesClient(kubelet), pod, log)
    await log.close()
    return (folder / LOG).read_bytes()


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("seed", range(8))
async def test_no_line_is_lost_or_doubled_by_cuts(seed: int, clean: bool, tmp_path: Path) -> None:
    chance = random.Random(seed)
    lines = [(stamp(number), f"line {number} {'x' * chance.randrange(40)}".encode()) for number in range(300)]
    kubelet = FakeKubelet(lines, [chance.randrange(6000) for _ in range(5)])
    kubelet.chunk_bytes = chance.choice([1, 7, 1000, 100_000])
    kubelet.clean = clean

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


@pytest.mark.parametrize("index", [None, "3"])
async def test_what_was_read_of_a_last_line_is_kept_when_its_pod_has_gone(index: str | None, tmp_path: Path) -> None:
    lines = [(stamp(number), f"line {number}".encode()) for number in range(2)]
    kubelet = FakeKubelet(lines, [2 * len(f"{stamp(0)} line 0\n") - 3])
    kubelet.clean = kubelet.gone = True
    prefix = b"" if index is None else b"[3] "

    assert await followed(kubelet, tmp_path, index=index) == prefix + b"line 0\n" + prefix + b"line\n"


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


def is_open(log: Path) -> bool:
    return str(log) in [found.path for found in psutil.Process().open_files()]


async def test_a_log_is_open_only_while_a_pod_of_its_job_is_read(tmp_path: Path) -> None:
    kubelet, view = FakeKubelet([(stamp(0), b"first")], []), FakeView()
    keeper = LogKeeper(KubernetesClient(kubelet), cast(JobsView, view), tmp_path)
    log = tmp_path / "ftjob-1" / LOG
    async with asyncio.timeout(WAIT_SECONDS):
        view.show("p1", ended=True, index="0")
        view.show("p2", ended=False, index="1")
        keeper.look("ftjob-1", completions=2)
        while not log.exists() or log.read_bytes().count(b"\n") < 2:
            await asyncio.sleep(0.01)
        assert is_open(log)
        view.show("p2", ended=True, index="1")
        await keeper.drained("ftjob-1", WAIT_SECONDS)
        assert not is_open(log)
        keeper.look("ftjob-1", completions=2)
        view.show("p3", ended=True, index="2")
        keeper.look("ftjob-1", completions=2)
        await keeper.drained("ftjob-1", WAIT_SECONDS)
        assert not is_open(log)
        await keeper.stop()

    assert sorted(log.read_bytes().splitlines()) == [b"[0] first", b"[1] first", b"[2] first"]


async def test_reading_the_log_of_a_job_that_has_gone_leaves_nothing(tmp_path: Path) -> None:
    async def nothing(asked: str) -> None:
        return None

    client = KubernetesClient(FakeKubelet([], []))
    queues = ClusterQueues(client, "org-1", nothing)
    jobs = KubernetesJobs(client, "c", queues, Runs(), nothing, PODS_OF_TESTS, tmp_path)
    (tmp_path / "ftjob-1").mkdir()
    (tmp_path / "ftjob-1" / LOG).write_bytes(b"done\n")
    before = bells()

    async with asyncio.timeout(WAIT_SECONDS):
        read = [chunk async for chunk in jobs.logs("ftjob-1", follow=True)]
        assert [chunk async for chunk in jobs.logs("ftjob-2", follow=True)] == []

    assert read == [b"done\n"]
    assert [bell for bell in bells() if bell not in before] == []


def bells() -> list[Bell]:
    gc.collect()
    return [found for found in gc.get_objects() if isinstance(found, Bell)]
