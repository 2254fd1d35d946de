"""JupyterLab with the built panels as a process of its own, and the Chromium that looks at it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from free_ports import free_port
from lab_in_browser import PATIENCE_MS, TOKEN, Lab, barriers
from playwright.sync_api import Browser, Page, expect, sync_playwright

REPOSITORY = Path(__file__).parents[2]
BUNDLE = REPOSITORY / "server_extension" / "perijove" / "labextension"
AXE = REPOSITORY / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
PREFIX = "/user/t%40b/"
"""As a Hub gives it to the person t@b."""
START_SECONDS = 180
STOP_SECONDS = 20
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


def copy_bundle(share: Path) -> Path:
    """Make `share` a folder for `JUPYTER_PATH` with the built panels, safe from builds during the tests."""
    if not (BUNDLE / "package.json").exists():
        pytest.skip("the panels are not built: run `jlpm build` in labextension/")
    shutil.copytree(BUNDLE, share / "labextensions" / "@perijove" / "labextension")
    return share


@contextmanager
def running_lab(
    folder: Path,
    bundle: Path,
    *,
    extension: bool = True,
    python: str | Path = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Lab]:
    """JupyterLab under a prefix.

    Args:
        folder: everything that it writes lies there.
        extension: whether the server knows of Perijove; it starts a platform of its own then, unless `environment`
            names another.
    """
    root, config, port = folder / "root", folder / "config", free_port()
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


@contextmanager
def chromium() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        pytest.skip("no Chromium: install Debian's package chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"], timeout=PATIENCE_MS)
        yield instance
        instance.close()


def axe_source() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run `jlpm install` in labextension/")
    return AXE.read_text()


def shoot_themes(page: Page, name: str, folder: Path, axe: str) -> list[str]:
    """Keep screenshots of the page in `folder`, in the light and in the dark theme.

    Args:
        axe: the source of axe-core.

    Returns:
        what keeps people out of the page.
    """
    folder.mkdir(exist_ok=True)
    found: list[str] = []
    for suffix, theme in reversed(THEMES.items()):
        change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme}).then(() => null)"
        page.evaluate(change, theme)
        expected = "true" if suffix == "light" else "false"
        page.wait_for_selector(f'body[data-jp-theme-light="{expected}"]', state="attached")
        page.wait_for_timeout(300)
        page.screenshot(path=folder / f"{name}-{suffix}.png")
        found.extend(f"{name}, {suffix}: {barrier}" for barrier in barriers(page, axe))
    return found


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
