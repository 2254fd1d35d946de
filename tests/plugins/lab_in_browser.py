"""A running JupyterLab and a browser page on it, as the tests of the panels see them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Response

TOKEN = "ui-tests"
PATIENCE_MS = 60_000
"""Longest wait for what a page does at once on a machine that has nothing else to do."""

Shoot = Callable[[Page, str], None]
"""Takes a screenshot of that name, in the light and in the dark theme, and has axe-core look at both."""
Drop = Callable[[Page, dict[str, str]], None]
"""Drops files, given by name and text, onto the Files section."""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab.

    Attributes:
        base_url: ends with a slash; a prefix as a Hub gives it is part of it.
        root: the folder that its file browser shows.
        data_dir: of the embedded platform.
    """

    base_url: str
    root: Path
    data_dir: Path

    @property
    def url(self) -> str:
        return f"{self.base_url}lab?token={TOKEN}&reset"


FIND_BARRIERS = """async selectors => {
    const {violations} = await axe.run({include: selectors}, {resultTypes: ['violations']});
    return violations
        .filter(({impact}) => impact === 'serious' || impact === 'critical')
        .flatMap(({id, nodes}) => nodes.map(node => `${id}: ${node.target.join(' ')}: ${node.failureSummary}`));
}"""


def barriers(page: Page, axe: str) -> list[str]:
    """What axe finds in the panels' own part of the page that keeps people out, each with its place and remedy.

    Args:
        axe: the source of axe-core.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found: list[str] = page.evaluate(FIND_BARRIERS, ["[class*=jp-Perijove]"])
    return found


def open_lab(browser: Browser, lab: Lab) -> Iterator[Page]:
    """Open Lab and the panel; an exception on the page fails the test at its end."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-US", accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(f"{error}\n{error.stack}"))
    page.goto(lab.url)
    await_lab(page)
    page.locator('.lm-TabBar-tab[data-id="perijove-panel"]').click()
    yield page
    context.close()
    ours = [text for text in broken if "labextension" in text]
    assert not ours, f"The page threw: {ours}"


@contextmanager
def saved(page: Page, fits: Callable[[dict[str, Any]], bool], *, timeout: float = PATIENCE_MS) -> Iterator[None]:
    """Ends once Lab has saved what it restores after a reload, which it does a moment after the last change.

    Args:
        fits: whether what is to be restored is in it.
    """

    def is_it(response: Response) -> bool:
        if "/api/workspaces/" not in response.url or response.request.method != "PUT":
            return False
        return fits(json.loads(response.request.post_data or "")["data"])

    with page.expect_response(is_it, timeout=timeout):
        yield


@contextmanager
def saved_tab(page: Page, object_id: str) -> Iterator[None]:
    """The same for the tab of an object."""
    with saved(page, lambda state: f'{object_id}"' in json.dumps(state.get("layout-restorer:data"))):
        yield


def await_lab(page: Page) -> None:
    """Wait until Lab has been loaded and its commands stand."""
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=PATIENCE_MS)
    page.wait_for_function("window.jupyterapp?.commands.hasCommand('apputils:change-theme')")
    page.evaluate("window.jupyterapp.restored.then(() => null)")
