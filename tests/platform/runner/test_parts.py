"""The runner's parts: archives, the journal, transfers that are cut, figures of control groups."""

import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from perijove_platform.runner import journal as journals
from perijove_platform.runner.archive import pack, unpack
from perijove_platform.runner.contract import FAIL_JOB, IGNORE, ExitCode
from perijove_platform.runner.errors import Away, GaveUp, InputFailed, Rejected, ReportGap
from perijove_platform.runner.exchange import download, sha256_of
from perijove_platform.runner.inputs import InputFiles, newest_step
from perijove_platform.runner.journal import Journal
from perijove_platform.runner.last_words import LastWords
from perijove_platform.runner.memory import ControlGroup, Memory
from perijove_platform.runner.patience import Patience
from perijove_platform.runner.sender import Sender


def message(number: int) -> dict[str, Any]:
    return {"type": "message", "level": "info", "message": str(number)}


def test_a_folder_goes_through_an_archive(tmp_path: Path) -> None:
    (tmp_path / "one" / "deep").mkdir(parents=True)
    (tmp_path / "one" / "a").write_bytes(b"a")
    (tmp_path / "one" / "deep" / "b").write_bytes(os.urandom(100_000))
    pack(tmp_path / "one", tmp_path / "one.tar")
    unpack(tmp_path / "one.tar", tmp_path / "checkpoint-7")
    assert (tmp_path / "checkpoint-7" / "a").read_bytes() == b"a"
    assert sha256_of(tmp_path / "checkpoint-7" / "deep" / "b") == sha256_of(tmp_path / "one" / "deep" / "b")
    assert newest_step(tmp_path) == 7
    with pytest.raises(OSError):
        pack(tmp_path / "absent", tmp_path / "absent.tar")
    assert not list(tmp_path.glob("*.part")) and not (tmp_path / "absent.tar").exists()


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/../../out", "link"])
def test_an_archive_cannot_write_elsewhere(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        entry = tarfile.TarInfo(name)
        if name == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(entry)
        else:
            entry.size = 1
            archive.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="no plain file"):
        unpack(tmp_path / "bad.tar", tmp_path / "in" / "checkpoint-1")
    assert not (tmp_path / "in" / "checkpoint-1").exists() and not (tmp_path / "out").exists()
    (tmp_path / "bad.tar").write_bytes(b"no archive at all")
    with pytest.raises(ValueError, match="cannot be read"):
        unpack(tmp_path / "bad.tar", tmp_path / "in" / "checkpoint-1")


def test_the_journal_survives_and_goes_on_counting(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db")
    first.begin(3)
    for number in range(5):
        assert first.add(message(number))
    first.acknowledge(2)
    first.close()
    again = Journal(tmp_path / "journal.db")
    assert again.attempt == 3
    assert again.batch() == (3, [message(2), message(3), message(4)])
    assert again.batch(1) == (3, [message(2)])
    again.acknowledge(5)
    assert again.batch() == (0, []) and again.wait_until_sent(0)
    again.add(message(5))
    assert again.batch() == (6, [message(5)])
    again.begin(4)
    assert again.batch() == (1, [message(5)])


def test_a_full_journal_keeps_what_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MAX_BYTES", 1000)
    journal = Journal(tmp_path / "journal.db")
    journal.begin(1)
    assert any(not journal.add(message(number)) for number in range(100))
    assert journal.add({"type": "result", "adapter": "a"})
    assert not journal.add({"type": "metrics", "step": float("nan")})
    assert not journal.add({"type": "result", "adapter": "x" * 100_000})
    journal.acknowledge(1000)
    journal.add(message(0))
    assert "reports were dropped while the platform was away" in journal.batch()[1][0]["message"]


class Platform:
    """Stands in for the platform's client: takes reports, unless they are bad or it has lost some."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.received = 0
        self.attempts = 1
        self.away = 2
        self.gap = False

    def new_attempt(self) -> int:
        self.attempts += 1
        self.received, self.gap = 0, False
        return self.attempts

    def send_reports(self, attempt: int, first: int, reports: list[dict[str, Any]]) -> int:
        if self.away:
            self.away -= 1
            raise Away("away")
        if self.gap:
            raise ReportGap
        if any(report["message"] == "13" for report in reports):
            raise Rejected("Invalid 'reports[0]'.")
        assert (attempt, first) == (self.attempts, self.received + 1)
        self.taken += [report["message"] for report in reports]
        self.received += len(reports)
        return self.received


def test_a_refused_report_is_replaced_and_the_others_arrive(tmp_path: Path) -> None:
    journal, platform, said = Journal(tmp_path / "journal.db"), Platform(), list[str]()
    journal.begin(1)
    for number in range(30):
        journal.add(message(number))
    sender = Sender(journal, platform, lambda _: None, said.append)  # type: ignore[arg-type]
    sender.start()
    assert journal.wait_until_sent(30)
    assert len(platform.taken) == 30
    assert platform.taken[:13] + platform.taken[14:] == [str(number) for number in range(30) if number != 13]
    assert "(message) was refused: Invalid" in platform.taken[13]
    assert said[0].startswith("away; reports are kept") and said[1] == "the platform is back"
    platform.gap = True
    journal.add(message(30))
    assert journal.wait_until_sent(30)
    assert platform.taken[-1] == "30" and platform.attempts == 2
    sender.stop()


class CutsConnections(BaseHTTPRequestHandler):
    """A server of faults: every answer ends after so many bytes, whatever was announced."""

    content = os.urandom(300_000)
    most = 100_000
    refusals = 0
    asked: list[str | None]

    def do_GET(self) -> None:
        begin = self.headers.get("Range")
        type(self).asked.append(begin)
        if type(self).refusals:
            type(self).refusals -= 1
            self.send_error(403)
            return
        start = int(begin.removeprefix("bytes=").removesuffix("-")) if begin else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        if begin:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        self.wfile.write(self.content[start : start + self.most])
        self.close_connection = True

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def faulty_server() -> Iterator[str]:
    CutsConnections.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), CutsConnections)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/object?signature=secret"
    server.shutdown()
    server.server_close()


def test_a_download_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    with faulty_server() as url:
        for size in (100_000, 200_000, 300_000):
            download(url, tmp_path / "file", 300_000, lambda: None)
            assert (tmp_path / "file").stat().st_size == size
    assert (tmp_path / "file").read_bytes() == CutsConnections.content
    assert CutsConnections.asked == [None, "bytes=100000-", "bytes=200000-"]
    with pytest.raises(Away, match="cannot be reached: Connection refused") as refused:
        download(url, tmp_path / "other", 5, lambda: None)
    assert "secret" not in str(refused.value)


class Listing:
    """Stands in for the platform's client: names one input at an address, and counts how often it is asked."""

    def __init__(self, url: str, sha256: str) -> None:
        self.asked = 0
        self._file = {"path": "inputs/x", "url": url, "size": 300_000, "sha256": sha256}

    def inputs(self) -> dict[str, Any]:
        self.asked += 1
        return {"inputs": [self._file], "checkpoint": None}


def fetch(listing: Listing, work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(Patience, "wait", lambda *_: None)
    said: list[str] = []
    state = work / ".runner"
    state.mkdir(parents=True, exist_ok=True)
    InputFiles(listing, work, state, said.append, said.append).fetch()  # type: ignore[arg-type]
    return said


def test_an_address_that_has_expired_is_asked_for_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "same").write_bytes(CutsConnections.content)
    with faulty_server() as url:
        CutsConnections.refusals = 2
        listing = Listing(url, sha256_of(tmp_path / "same"))
        said = fetch(listing, tmp_path / "work", monkeypatch)
        assert listing.asked == 3
        assert (tmp_path / "work" / "inputs" / "x").read_bytes() == CutsConnections.content
        assert not any("secret" in line for line in said)
        asked = len(CutsConnections.asked)
        fetch(listing, tmp_path / "work", monkeypatch)
        assert len(CutsConnections.asked) == asked
        CutsConnections.refusals = 100
        with pytest.raises(InputFailed, match="answers 403"):
            fetch(listing, tmp_path / "other", monkeypatch)
        CutsConnections.refusals = 0


def test_an_input_of_another_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_server() as url, pytest.raises(InputFailed, match="SHA-256 differs"):
        fetch(Listing(url, "0" * 64), tmp_path / "work", monkeypatch)
    assert not (tmp_path / "work" / "inputs" / "x").exists()


def test_patience_grows_and_ends() -> None:
    slept: list[float] = []
    patience = Patience(slept.append, seconds=1000)
    for _ in range(8):
        patience.wait(Away("away"))
    assert slept[0] <= 0.5 and 2.5 <= slept[-1] <= 5
    with pytest.raises(GaveUp, match="away; gave up"):
        Patience(slept.append, seconds=-1).wait(Away("away"))


CGROUP_2 = {
    "memory.max": "4294967296\n",
    "memory.peak": "4290000000\n",
    "memory.events": "low 0\nmax 12\noom 1\noom_kill 1\n",
    "cpu.max": "150000 100000\n",
}
CGROUP_1 = {
    "memory/memory.limit_in_bytes": "4294967296\n",
    "memory/memory.max_usage_in_bytes": "4290000000\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "cpu/cpu.cfs_quota_us": "150000\n",
    "cpu/cpu.cfs_period_us": "100000\n",
}


@pytest.mark.parametrize(
    ("files", "membership"),
    [
        (CGROUP_2, "0::/\n"),
        (CGROUP_2, "0::/../../kubepods/pod1\n"),
        (CGROUP_1, "4:memory:/kubepods/pod1\n3:cpu,cpuacct:/kubepods/pod1\n"),
    ],
)
def test_control_groups_of_both_versions(
    tmp_path: Path, files: dict[str, str], membership: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "self").write_text(membership)
    group = ControlGroup(tmp_path / "cgroup", tmp_path / "self")
    assert group.memory() == Memory(limit=4 << 30, peak=4_290_000_000, kills=1)
    assert group.memory().describe() == "limit 4.0 GiB, peak 4.0 GiB"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert group.processors() == 2


def test_a_machine_without_limits(tmp_path: Path) -> None:
    group = ControlGroup(tmp_path, tmp_path / "absent")
    assert group.memory() == Memory(None, None, None)
    assert group.memory().describe() == ""
    assert group.processors() >= 1


def test_who_was_killed_for_want_of_memory() -> None:
    before = Memory(limit=100, peak=10, kills=0)
    assert Memory(100, 100, 1).ran_out_since(before)
    assert not Memory(100, 100, 0).ran_out_since(before)
    unknown = Memory(100, 10, None)
    assert Memory(100, 96, None).ran_out_since(unknown)
    assert not Memory(100, 50, None).ran_out_since(unknown)
    assert not Memory(None, None, None).ran_out_since(unknown)


def test_the_last_words_are_current_when_the_runner_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    words = LastWords(path)
    words.memory(Memory(limit=100, peak=50, kills=0))
    assert not path.exists()  # outside of a container
    path.touch()
    for peak in (50, 90, 91):
        words.memory(Memory(limit=100, peak=peak, kills=0))
    told = {"exit": None, "message": None, "memory_limit_bytes": 100, "memory_peak_bytes": 90}
    assert json.loads(path.read_bytes()) == told
    words.ended(ExitCode.FAILED, "x" * 10_000, Memory(None, None, None))
    assert path.stat().st_size < 4096
    assert json.loads(path.read_bytes())["exit"] == "failed"


def test_every_exit_status_has_one_consequence() -> None:
    counted = {ExitCode.SUCCEEDED, ExitCode.INTERNAL, ExitCode.AWAY}
    assert set(ExitCode) == counted | set(FAIL_JOB) | set(IGNORE)
    assert not set(FAIL_JOB) & set(IGNORE)
