"""Standard output that fails: one line, an exit code, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from perijove_platform.discovery import Connection

COMMAND = [sys.executable, "-m", "perijove_platform"]
UNREADABLE = Path("/proc/self/mem")
LINES = ["--help", "status", "models list", "models list --json", "chat --max-tokens 3 Hi", "files download -o - LARGE"]


def _run(line: str, platform: Connection, stdout: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PERIJOVE_BASE_URL": platform.base_url, "PERIJOVE_API_KEY": platform.api_key}
    command = [*COMMAND, *line.split()]
    return subprocess.run(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120)


@pytest.fixture(scope="module", params=LINES)
def line(request: pytest.FixtureRequest, large: str) -> str:
    """A command that writes to standard output."""
    return str(request.param).replace("LARGE", large)


@pytest.fixture(scope="module")
def large(platform: Connection) -> str:
    """The id of a file that is larger than any pipe's buffer."""
    url, headers = f"{platform.base_url}/v1/files", {"Authorization": f"Bearer {platform.api_key}"}
    files = {"purpose": (None, "user_data"), "file": ("large.bin", b"x" * 1_000_000)}
    return str(httpx.post(url, headers=headers, files=files).raise_for_status().json()["id"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk(platform: Connection, line: str) -> None:
    with open("/dev/full", "wb") as full:
        result = _run(line, platform, full.fileno())
    assert result.returncode == 1
    assert result.stderr == "Error: Standard output cannot be written: No space left on device.\n"


def test_a_reader_that_has_enough(platform: Connection, line: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = _run(line, platform, writing)
    finally:
        os.close(writing)
    assert result.returncode == 141
    assert result.stderr == "Error: Standard output was closed before everything was written.\n"


@pytest.mark.skipif(not UNREADABLE.exists(), reason="this system has no /proc")
@pytest.mark.parametrize("command", ["files upload", "vector-stores create"])
def test_a_file_that_cannot_be_read(platform: Connection, command: str) -> None:
    result = _run(f"{command} {UNREADABLE}", platform, subprocess.PIPE)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"Error: {UNREADABLE} cannot be read: Input/output error.\n"


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [*COMMAND, "serve", "--data-dir", str(tmp_path / "file" / "data")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"Error: {tmp_path / 'file' / 'data'}: Not a directory."
    assert "Traceback" not in result.stderr
