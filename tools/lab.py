"""Opens JupyterLab with the getting-started notebook. `$LAB_ARGS` is handed on; `$PORT` chooses the port."""

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from perijove.embedded import EmbeddedPlatform
from perijove.leases import GateTimeout
from perijove_platform.discovery import default_data_dir

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    with platform_ahead():
        lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", *arguments()])
        # Ctrl-C reaches Lab too, which asks what is meant; a request to end is meant for it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: lab.terminate())
        code = lab.wait()
    sys.exit(code)


@contextlib.contextmanager
def platform_ahead() -> Iterator[None]:
    """The embedded platform starts beside JupyterLab instead of after it, and stops even when Lab did not start."""
    if os.environ.get("PERIJOVE_BASE_URL"):
        yield
        return
    platform = EmbeddedPlatform(default_data_dir().absolute(), stop_with_last=True, log=logging.getLogger("perijove"))
    with contextlib.suppress(OSError, GateTimeout):  # JupyterLab's panels will say what is wrong
        asyncio.run(platform.head_start())
    try:
        yield
    finally:
        asyncio.run(platform.stop())


def arguments() -> list[str]:
    given = [f"--ServerApp.root_dir={ROOT / 'notebooks'}", "--LabApp.default_url=/lab/tree/getting-started.ipynb"]
    if os.environ.get("PORT"):
        given.append(f"--port={os.environ['PORT']}")
    # Jupyter refuses to run as root unless told; containers and fresh machines often have no other user.
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        given.append("--allow-root")
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        given.append("--no-browser")
    return given + shlex.split(os.environ.get("LAB_ARGS", ""))


if __name__ == "__main__":
    main()
