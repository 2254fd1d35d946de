"""A real JupyterLab with the built panels, its platform, and a real Chromium.

Screenshots, light and dark, are kept in `artefacts/` to be looked at; axe-core looks at the same states of the page.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_in_browser import Drop, Lab, Shoot, open_lab
from lab_process import axe_source, chromium, copy_bundle, running_lab, shoot_themes
from perijove_platform.discovery import Connection
from platform_through_lab import call
from playwright.sync_api import Browser, Page

ARTEFACTS = Path(__file__).parent / "artefacts"
OLDEST = ("jupyterlab==4.4.*", "httpx")
"""The oldest JupyterLab of `pyproject.toml`, and what the server extension needs besides."""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `JUPYTER_PATH` that holds a copy of the built panels, safe from builds during the tests."""
    return copy_bundle(tmp_path_factory.mktemp("share"))


@pytest.fixture(scope="session")
def lab(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab under a prefix, with the server extension and the platform that it starts."""
    with running_lab(tmp_path_factory.mktemp("lab"), bundle) as running:
        yield running


@pytest.fixture(scope="session")
def bare_lab(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with the panels but without the server extension."""
    with running_lab(tmp_path_factory.mktemp("bare"), bundle, extension=False) as running:
        yield running


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
    with running_lab(folder, bundle, python=oldest_python, environment=remote) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For a module: as long as Playwright runs, nothing else can run an event loop in the main thread."""
    with chromium() as instance:
        yield instance


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
    return axe_source()


@pytest.fixture
def shoot(axe: str) -> Iterator[Shoot]:
    """Take a screenshot of the page in the light and in the dark theme; fails at the end if people are kept out."""
    found: list[str] = []

    def take(page: Page, name: str) -> None:
        found.extend(shoot_themes(page, name, ARTEFACTS, axe))

    yield take
    assert not found, "\n".join(found)


@pytest.fixture
def no_clusters(lab: Lab) -> Iterator[None]:
    """Whatever clusters a test registers are gone after it."""
    yield
    for cluster in call(lab, "/v1/clusters")["data"]:
        if cluster["kind"] != "local":
            call(lab, f"/v1/clusters/{cluster['id']}?force=true", method="DELETE")


@pytest.fixture
def cluster(lab: Lab, no_clusters: None) -> dict[str, Any]:
    """A registered cluster whose agent has not come."""
    made: dict[str, Any] = call(lab, "/v1/clusters", {"name": "gpu-1", "description": "Rack 7"})
    return made


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
