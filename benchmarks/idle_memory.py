"""Resident memory of an idle platform, against a bare FastAPI application under the same server."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from perijove_platform.discovery import NotRunning, read_record

BUDGET_MIB = 150
SETTLE_SECONDS = 5
BARE = """
import uvicorn
from fastapi import FastAPI
uvicorn.run(FastAPI(), port=0, log_level="warning")
"""


def tree_rss(pid: int) -> float:
    """MiB of a process and its children."""
    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]) / 2**20


def measure(command: list[str], ready: Path | None = None) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while ready is not None and time.monotonic() < deadline:
            try:
                read_record(ready)
                break
            except NotRunning:
                time.sleep(0.05)
        time.sleep(SETTLE_SECONDS)
        return tree_rss(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        serve = [sys.executable, "-m", "perijove_platform", "serve", "--data-dir", folder, "--port", "0"]
        ours = measure(serve, Path(folder))
    bare = measure([sys.executable, "-c", BARE])
    print(f"{'':34}{'MiB':>8}")
    print(f"{'bare FastAPI under uvicorn':34}{bare:8.1f}")
    print(f"{'platform, idle, with its children':34}{ours:8.1f}   (budget {BUDGET_MIB})")


if __name__ == "__main__":
    main()
