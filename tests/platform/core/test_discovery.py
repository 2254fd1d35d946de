"""The record of a running platform is believed only while the process that wrote it runs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from perijove_platform import discovery
from perijove_platform.discovery import NotRunning, read_record, remove_record, started, write_record


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "api_key").write_text("key\n")
    return tmp_path


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def change(data_dir: Path, **fields: object) -> None:
    path = data_dir / discovery.RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_record_is_read_while_its_process_runs(data_dir: Path) -> None:
    write_record(data_dir, base_url="http://127.0.0.1:1", version="1")
    found = read_record(data_dir)
    assert (found.base_url, found.api_key, found.pid, found.version) == ("http://127.0.0.1:1", "key", os.getpid(), "1")
    remove_record(data_dir)
    with pytest.raises(NotRunning):
        read_record(data_dir)


def test_a_reused_process_number_fools_nobody(data_dir: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    write_record(data_dir, base_url="http://127.0.0.1:1", version="1")
    change(data_dir, pid=sleeper.pid)
    with pytest.raises(NotRunning, match="has stopped"):
        read_record(data_dir)
    change(data_dir, started=started(sleeper.pid))
    assert read_record(data_dir).pid == sleeper.pid


def test_a_process_that_ended_and_was_not_waited_for_is_gone(
    data_dir: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    write_record(data_dir, base_url="http://127.0.0.1:1", version="1")
    change(data_dir, pid=sleeper.pid, started=started(sleeper.pid))
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(NotRunning, match="has stopped"):
        read_record(data_dir)


@pytest.mark.parametrize("by", [discovery._started_by_proc, discovery._started_by_ps])
def test_both_ways_to_tell_processes_apart(by: object, sleeper: "subprocess.Popen[bytes]") -> None:
    assert callable(by)
    assert by(sleeper.pid) == by(sleeper.pid) is not None
    assert by(sleeper.pid) != by(1)
    sleeper.kill()
    sleeper.communicate()
    assert by(sleeper.pid) is None
