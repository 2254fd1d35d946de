"""`perijove serve` as a process."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

COMMAND = [sys.executable, "-m", "perijove_platform"]
ENVIRONMENT = {**os.environ, "PERIJOVE_INSTALL_DEFAULT_MODELS": "false"}
STOP_SECONDS = 30


@contextmanager
def serving(data_dir: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--data-dir", str(data_dir), *options],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=STOP_SECONDS)
        for pipe in (process.stdin, process.stderr):
            assert pipe is not None
            pipe.close()


def perijove(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=90)


def answering(data_dir: Path) -> dict[str, str]:
    status = perijove("status", "--data-dir", str(data_dir), "--wait", "60", "--json")
    assert status.returncode == 0, status.stderr
    found: dict[str, str] = json.loads(status.stdout)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_from_start_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    data_dir = tmp_path / "data dir"
    with serving(data_dir, "--port", "0", "--log-format", "json") as process:
        found = answering(data_dir)
        assert httpx.get(f"{found['base_url']}/healthz").status_code == 200
        assert (data_dir / "api_key").stat().st_mode & 0o777 == 0o600
        second = perijove("serve", "--data-dir", str(data_dir))
        assert second.returncode == 3
        assert "already serves" in second.stderr
        assert answering(data_dir) == found
        process.send_signal(number)
        _, log = process.communicate(timeout=STOP_SECONDS)
        assert process.returncode == 0
        assert not (data_dir / "platform.json").exists()
        assert all(isinstance(json.loads(line), dict) for line in log.splitlines())
        assert found["api_key"] not in log
    stopped = perijove("status", "--data-dir", str(data_dir))
    assert stopped.returncode == 4
    assert "perijove serve" in stopped.stderr


def test_the_life_line(tmp_path: Path) -> None:
    with serving(tmp_path, "--life-line") as process:
        answering(tmp_path)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=STOP_SECONDS) == 0
    assert not (tmp_path / "platform.json").exists()


def test_a_crash_is_told_from_a_running_platform(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        answering(tmp_path)
        process.kill()
        process.wait(timeout=STOP_SECONDS)
        assert perijove("status", "--data-dir", str(tmp_path)).returncode == 4
    with serving(tmp_path):
        assert answering(tmp_path)["base_url"]


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = perijove("serve", "--data-dir", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert "Cannot serve on 127.0.0.1" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_is_light() -> None:
    program = (
        "import sys; from perijove_platform.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'fastapi', 'httpx', 'rich', 'sqlalchemy', 'pydantic'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
