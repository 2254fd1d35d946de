"""Real Jupyter servers in processes of their own, under an address as JupyterHub gives them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

TOKEN = "jupyter-token"
BASE_URL = "/user/x%40y/"
START_SECONDS = 60


@dataclass
class Jupyter:
    """A running Jupyter server and a client that is logged in by token."""

    process: subprocess.Popen[bytes]
    origin: str
    http: httpx.Client

    @property
    def root(self) -> str:
        return f"{self.origin}{BASE_URL}"

    def status(self) -> dict[str, object]:
        return self.http.get("perijove/status").json()

    def until(self, state: str, seconds: float = START_SECONDS, **more: object) -> dict[str, object]:
        """The status once it is that, and has `more`: it may be that already, of an earlier platform."""
        deadline = time.monotonic() + seconds
        while not {"state": state, **more}.items() <= (status := self.status()).items():
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(timeout=60)


StartJupyter = Callable[..., Jupyter]


@pytest.fixture(scope="module")
def start_jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartJupyter]:
    """Starts a Jupyter server with `PerijoveApp` configured by keywords."""
    started: list[Jupyter] = []

    def start(environment: dict[str, str] | None = None, **perijove: object) -> Jupyter:
        folder = tmp_path_factory.mktemp("jupyter")
        server = {
            "base_url": BASE_URL,
            "port": 0,
            "root_dir": str(folder),
            "open_browser": False,
            "allow_root": True,
            "jpserver_extensions": {"perijove": True},
        }
        config = {"ServerApp": server, "IdentityProvider": {"token": TOKEN}, "PerijoveApp": perijove}
        (folder / "jupyter_server_config.json").write_text(json.dumps(config))
        isolated = {"JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder), "JUPYTER_NO_CONFIG": ""}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PERIJOVE_")}
        log = (folder / "jupyter.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server"],
            env={**inherited, **isolated, **(environment or {})},
            stdout=log,
            stderr=log,
        )
        client = httpx.Client(headers={"Authorization": f"token {TOKEN}"}, timeout=60)
        jupyter = Jupyter(process, "", client)
        started.append(jupyter)
        _wait_for(jupyter, folder)
        return jupyter

    yield start
    for jupyter in started:
        if jupyter.process.poll() is None:
            jupyter.stop()
        jupyter.http.close()


def _wait_for(jupyter: Jupyter, folder: Path) -> None:
    """Wait until it answers at the port that it has chosen and written down."""
    record = folder / f"jpserver-{jupyter.process.pid}.json"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and jupyter.process.poll() is None:
        try:
            jupyter.origin = f"http://127.0.0.1:{json.loads(record.read_text())['port']}"
            jupyter.http.base_url = jupyter.root
            jupyter.http.get("api").raise_for_status()
            return
        except (FileNotFoundError, ValueError, httpx.TransportError):
            time.sleep(0.1)
    raise AssertionError(f"Jupyter did not start:\n{(folder / 'jupyter.log').read_text()}")
