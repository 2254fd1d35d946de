"""Upload of a big file: throughput against `cp` of the same file, and the platform's peak memory over idle.

An acknowledged upload is on the disk, so `cp` is shown with a sync as well as without.
"""

import argparse
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from perijove_platform.discovery import Connection, NotRunning, read_record

MIB = 2**20
MEMORY_BUDGET_MIB = 64
SAMPLE_SECONDS = 0.02
BOUNDARY = "benchmark"


def write_random(path: Path, size: int) -> None:
    block = os.urandom(8 * MIB)
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        os.fsync(file.fileno())


def copy_seconds(source: Path, target: Path, *, sync: bool) -> float:
    began = time.perf_counter()
    subprocess.run(["cp", source, target], check=True)
    if sync:
        with target.open("rb") as file:
            os.fsync(file.fileno())
    took = time.perf_counter() - began
    target.unlink()
    return took


class PeakMemory(threading.Thread):
    """The largest resident memory of a process while the block runs, in bytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.idle = self.peak = self._process.memory_info().rss

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def __enter__(self) -> "PeakMemory":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def form(source: Path) -> Iterator[bytes]:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
    yield (head % ("purpose", "") + "user_data\r\n" + head % ("file", '; filename="big.bin"')).encode()
    with source.open("rb") as file:
        while block := file.read(MIB):
            yield block
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def upload_seconds(platform: Connection, source: Path) -> float:
    address = urlsplit(platform.base_url)
    length = sum(len(piece) for piece in form(Path(os.devnull))) + source.stat().st_size
    headers = {
        "Authorization": f"Bearer {platform.api_key}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(length),
    }
    began = time.perf_counter()
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("POST", "/v1/files", body=form(source), headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    took = time.perf_counter() - began
    if answer.status != 200:
        raise SystemExit(f"the upload failed: {body.decode()}")
    return took


def start(data_dir: Path) -> tuple[subprocess.Popen[bytes], Connection]:
    command = [sys.executable, "-m", "perijove_platform", "serve", "--data-dir", str(data_dir), "--port", "0"]
    environment = {**os.environ, "PERIJOVE_INSTALL_DEFAULT_MODELS": "false"}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return process, read_record(data_dir)
        except NotRunning:
            time.sleep(0.05)
    process.kill()
    raise SystemExit("the platform did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048, help="size of the file")
    parser.add_argument("--folder", type=Path, help="where to work; by default the temporary folder")
    options = parser.parse_args()
    size = options.mib * MIB
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < 3 * size:
            raise SystemExit(f"{folder} needs {3 * size / 1e9:.0f} GB free; --folder names another place")
        source = folder / "source"
        write_random(source, size)
        rows = [("cp", copy_seconds(source, folder / "copy", sync=False))]
        rows.append(("cp, then fsync", copy_seconds(source, folder / "copy", sync=True)))
        process, platform = start(folder / "data")
        try:
            time.sleep(2)
            with PeakMemory(process.pid) as memory:
                rows.append(("upload (streamed, sha256, fsync)", upload_seconds(platform, source)))
        finally:
            process.terminate()
            process.wait(timeout=30)
    print(f"{options.mib} MiB{'':28}{'s':>8}{'MiB/s':>10}")
    for label, seconds in rows:
        print(f"{label:36}{seconds:8.2f}{options.mib / seconds:10.0f}")
    over = (memory.peak - memory.idle) / MIB
    print(f"peak memory over idle: {over:.1f} MiB (budget {MEMORY_BUDGET_MIB})")


if __name__ == "__main__":
    main()
