"""Opens JupyterLab with the getting-started notebook. `$LAB_ARGS` is handed on; `$PORT` chooses the port."""

import os
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    arguments = [f"--ServerApp.root_dir={ROOT / 'notebooks'}", "--LabApp.default_url=/lab/tree/getting-started.ipynb"]
    if os.environ.get("PORT"):
        arguments.append(f"--port={os.environ['PORT']}")
    # Jupyter refuses to run as root unless told; containers and fresh machines often have no other user.
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        arguments.append("--no-browser")
    arguments += shlex.split(os.environ.get("LAB_ARGS", ""))
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *arguments])


if __name__ == "__main__":
    main()
