"""JupyterLab's start until its page answers, with the server extension and without it, in turn."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROUNDS = 7
BUDGET_MS = 50


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_seconds(*, extension: bool) -> float:
    """Seconds from the command to the first answer of ``/lab``."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        enabled = f"--ServerApp.jpserver_extensions={{'perijove': {extension}, 'jupyterlab': True}}"
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", enabled]
        command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
        environment = {**os.environ, "PERIJOVE_DATA_DIR": folder, "JUPYTER_CONFIG_DIR": folder}
        began = time.perf_counter()
        lab = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        try:
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/lab", timeout=5):
                        return time.perf_counter() - began
                except OSError:
                    time.sleep(0.005)
        finally:
            lab.terminate()
            lab.wait(timeout=30)


def main() -> None:
    start_seconds(extension=True)
    pairs = [(start_seconds(extension=False), start_seconds(extension=True)) for _ in range(ROUNDS)]
    without, with_ours = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
    penalty = statistics.median(ours - bare for bare, ours in pairs) * 1000
    print(f"{'':28}{'ms (median)':>12}")
    print(f"{'JupyterLab alone':28}{without:12.0f}")
    print(f"{'JupyterLab with Perijove':28}{with_ours:12.0f}")
    print(f"{'difference, pair by pair':28}{penalty:12.0f}   (budget {BUDGET_MS})")


if __name__ == "__main__":
    main()
