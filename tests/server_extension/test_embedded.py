"""The embedded platform under real Jupyter servers: started, shared, adopted, started again, stopped."""

import fcntl
import os
import signal
import time
from pathlib import Path

import pytest
from perijove_platform.discovery import Connection, read_record

OFFLINE = {"PERIJOVE_INSTALL_DEFAULT_MODELS": "false"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def served(data_dir: Path) -> bool:
    with (data_dir / "platform.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def another_platform(data_dir: Path, than: Connection, seconds: float = 60) -> Connection:
    deadline = time.monotonic() + seconds
    while True:
        record = read_record_or_none(data_dir)
        if record is not None and record.pid != than.pid:
            return record
        assert time.monotonic() < deadline
        time.sleep(0.1)


def read_record_or_none(data_dir: Path) -> Connection | None:
    try:
        return read_record(data_dir)
    except Exception:
        return None


def test_two_servers_share_one_platform_which_is_started_again_and_stops_with_the_last(start_jupyter, data_dir) -> None:
    first = start_jupyter(OFFLINE, data_dir=str(data_dir))
    second = start_jupyter(OFFLINE, data_dir=str(data_dir))
    status = first.until("ready")
    assert second.until("ready")["base_url"] == status["base_url"]
    assert status["embedded"] is True
    platform = read_record(data_dir)
    assert platform.base_url == status["base_url"]

    # The real API through Jupyter, with the key that the browser never sees.
    me = first.http.get("perijove/api/v1/me")
    assert me.json()["object"] == "user"
    assert platform.api_key not in me.text + str(me.headers)
    assert platform.pid is not None
    assert os.getsid(platform.pid) != os.getsid(first.process.pid)

    os.kill(platform.pid, signal.SIGKILL)
    again = another_platform(data_dir, platform)
    for jupyter in (first, second):
        jupyter.until("ready", base_url=again.base_url)
        assert jupyter.http.get("perijove/api/v1/me").status_code == 200

    answer = second.http.post("perijove/restart")
    assert (answer.status_code, answer.json()["state"]) == (202, "starting")
    restarted = another_platform(data_dir, again)
    first.until("ready", base_url=restarted.base_url)
    second.until("ready", base_url=restarted.base_url)

    first.stop()
    assert served(data_dir)
    assert second.http.get("perijove/api/v1/me").status_code == 200
    assert read_record(data_dir).pid == restarted.pid
    second.stop()
    assert not served(data_dir)
    assert not list((data_dir / "leases").glob("*.lease"))


def test_a_platform_survives_a_crash_of_jupyter_and_is_adopted(start_jupyter, data_dir) -> None:
    crashed = start_jupyter(OFFLINE, data_dir=str(data_dir))
    crashed.until("ready")
    platform = read_record(data_dir)
    crashed.stop(signal.SIGKILL)
    assert served(data_dir)
    heir = start_jupyter(OFFLINE, data_dir=str(data_dir))
    heir.until("ready")
    assert read_record(data_dir).pid == platform.pid
    # The lease of the crashed one counts for nothing.
    heir.stop()
    assert not served(data_dir)


def test_a_data_directory_that_cannot_be_used_is_said(start_jupyter, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    jupyter = start_jupyter(data_dir=str(tmp_path / "file" / "data"))
    status = jupyter.status()
    assert status["state"] in ("starting", "failed")
    answer = jupyter.http.get("perijove/api/v1/me")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    status = jupyter.until("failed")
    assert "cannot be used" in str(status["reason"])
    assert status["remedy"]
    jupyter.stop()
