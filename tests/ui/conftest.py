"""A real JupyterLab with the built panels, its platform, and a real Chromium.

Screenshots, light and dark, are kept in `artefacts/` to be looked at; axe-core looks at the same states of the page.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from lab_in_browser import TOKEN, Drop, Lab, Shoot, barriers, open_lab
from perijove_platform.discovery import Connection
from playwright.sync_api import Browser, Page, sync_playwright

REPOSITORY = Path(__file__).parents[2]
BUNDLE = REPOSITORY / "server_extension" / "perijove" / "labextension"
AXE = REPOSITORY / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
ARTEFACTS = Path(__file__).parent / "artefacts"
PREFIX = "/user/t%40b/"
"""As a Hub gives it to the person t@b."""
OLDEST = ("jupyterlab==4.4.*", "httpx")
"""The oldest JupyterLab of `pyproject.toml`, and what the server extension needs besides."""
START_SECONDS = 90
STOP_SECONDS = 20
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `JUPYTER_PATH` that holds a copy of the built panels, safe from builds during the tests."""
    if not (BUNDLE / "package.json").exists():
        pytest.skip("the panels are not built: run `jlpm build` in labextension/")
    share = tmp_path_factory.mktemp("share")
    shutil.copytree(BUNDLE, share / "labextensions" / "@perijove" / "labextension")
    return share


@pytest.fixture(scope="session")
def lab(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab under a prefix, with the server extension and the platform that it starts."""
    yield from _run_lab(tmp_path_factory.mktemp("lab"), bundle, extension=True)


@pytest.fixture(scope="session")
def bare_lab(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with the panels but without the server extension."""
    yield from _run_lab(tmp_path_factory.mktemp("bare"), bundle, extension=False)


@pytest.fixture(scope="session")
def oldest_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the oldest JupyterLab that the wheel allows."""
    folder = tmp_path_factory.mktemp("oldest")
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    install = [Path(sys.executable).with_name("uv"), "pip", "install", "-q", "--python", python, *OLDEST]
    subprocess.run(install, check=True)
    return python


@pytest.fixture(scope="session")
def oldest_lab(
    oldest_python: Path, bundle: Path, platform: Connection, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """That JupyterLab, with a platform elsewhere."""
    folder = tmp_path_factory.mktemp("oldest-lab")
    remote = {"PERIJOVE_BASE_URL": platform.base_url, "PERIJOVE_API_KEY": platform.api_key}
    yield from _run_lab(folder, bundle, extension=True, python=oldest_python, environment=remote)


def _run_lab(
    folder: Path,
    bundle: Path,
    *,
    extension: bool,
    python: str | Path = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Lab]:
    root, config, port = folder / "root", folder / "config", _free_port()
    root.mkdir()
    config.mkdir()
    settings = {
        "ServerApp": {"jpserver_extensions": {"perijove": extension}},
        "LabApp": {"expose_app_in_browser": True},
    }
    (config / "jupyter_server_config.json").write_text(json.dumps(settings))
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    running = Lab(f"http://127.0.0.1:{port}{PREFIX}", root, folder / "data")
    command = [str(python), "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.base_url={PREFIX}"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=_environment(folder, bundle) | dict(environment or {}),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _await(process, folder / "lab.log", f"{running.base_url}api/status", "started", None)
            if extension:
                _await(process, folder / "lab.log", f"{running.base_url}perijove/status", "state", "ready")
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _environment(folder: Path, bundle: Path) -> dict[str, str]:
    sources = [str(REPOSITORY / name) for name in ("server_extension", "kernels", "platform")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([*os.environ.get("PYTHONPATH", "").split(os.pathsep), *sources]).strip(
            os.pathsep
        ),
        "JUPYTER_PATH": str(bundle),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "PERIJOVE_DATA_DIR": str(folder / "data"),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await(process: subprocess.Popen[bytes], log: Path, url: str, field: str, value: str | None) -> None:
    """Wait until `url` answers JSON in which `field` is `value` (or anything)."""
    deadline = time.monotonic() + START_SECONDS
    request = urllib.request.Request(url, headers={"Authorization": f"token {TOKEN}"})
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                if value in (None, json.load(response)[field]):
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.2)
    pytest.fail(f"{url} did not answer as expected:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        pytest.skip("no Chromium: install Debian's package chromium")
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield instance
        instance.close()


@pytest.fixture
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """A fresh page with JupyterLab's own layout and the Perijove panel open."""
    yield from open_lab(browser, lab)


@pytest.fixture
def bare_page(browser: Browser, bare_lab: Lab) -> Iterator[Page]:
    """The same where the server knows nothing of Perijove."""
    yield from open_lab(browser, bare_lab)


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run `jlpm install` in labextension/")
    return AXE.read_text()


@pytest.fixture
def shoot(axe: str) -> Iterator[Shoot]:
    """Take a screenshot of the page in the light and in the dark theme; fails at the end if people are kept out."""
    found: list[str] = []

    def take(page: Page, name: str) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        for suffix, theme in reversed(THEMES.items()):
            change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme}).then(() => null)"
            page.evaluate(change, theme)
            expected = "true" if suffix == "light" else "false"
            page.wait_for_selector(f'body[data-jp-theme-light="{expected}"]', state="attached")
            page.wait_for_timeout(300)
            page.screenshot(path=ARTEFACTS / f"{name}-{suffix}.png")
            found.extend(f"{name}, {suffix}: {barrier}" for barrier in barriers(page, axe))

    yield take
    assert not found, "\n".join(found)


DROP = """([selector, files]) => {
    const data = new DataTransfer();
    for (const [name, text] of files) {
        data.items.add(new File([text], name, {type: 'text/plain', lastModified: 1}));
    }
    const target = document.querySelector(selector);
    for (const type of ['dragenter', 'dragover', 'drop']) {
        target.dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: data}));
    }
}"""


@pytest.fixture
def drop_files() -> Drop:
    """Drop files, given by name and text, onto the Files section as a file manager would."""

    def drop(page: Page, files: dict[str, str]) -> None:
        page.wait_for_selector(".jp-PerijoveFiles")
        page.evaluate(DROP, [".jp-PerijoveFiles", list(files.items())])

    return drop
