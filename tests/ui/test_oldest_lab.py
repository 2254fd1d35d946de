"""The panels in the oldest JupyterLab that the wheel allows."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_in_browser import Lab, Shoot, open_lab
from platform_through_lab import ask, execute
from playwright.sync_api import Browser, Page, expect

ANSWER_MS = 60_000


@pytest.fixture
def page(browser: Browser, oldest_lab: Lab) -> Iterator[Page]:
    yield from open_lab(browser, oldest_lab)


def test_jupyterlab_calls_the_extension_compatible(oldest_python: Path, bundle: Path) -> None:
    done = subprocess.run(
        [oldest_python, "-m", "jupyter", "labextension", "list"],
        env=os.environ | {"JUPYTER_PATH": str(bundle), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(line for line in (done.stdout + done.stderr).splitlines() if "@perijove/labextension" in line)
    assert "OK" in line, done.stdout + done.stderr


def test_the_panels_work(page: Page, shoot: Shoot) -> None:
    assert page.evaluate("window.jupyterapp.version").startswith("4.4.")
    expect(page.locator("#perijove-panel .lm-AccordionPanel-titleLabel")).to_have_count(5)
    row = page.locator('.jp-PerijoveList-row[data-id="wordllama"]')
    row.dblclick()
    expect(page.locator(".jp-PerijoveDetail h1")).to_have_text("wordllama")
    shoot(page, "oldest-lab")


def test_a_model_answers(page: Page) -> None:
    page.locator('.jp-PerijoveList-row[data-id="SmolLM2-135M-Instruct"]').click()
    execute(page, "perijove:try-model")
    ask(page, "Say hello.")
    expect(page.locator(".jp-PerijoveChat-markdown").last).not_to_be_empty(timeout=ANSWER_MS)
    page.keyboard.press("Escape")


def test_code_is_inserted_into_a_notebook(page: Page) -> None:
    execute(page, "notebook:create-new", kernelName="python3")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.locator('.jp-PerijoveList-row[data-id="wordllama"]').click(button="right")
    page.locator(".lm-Menu-itemLabel").get_by_text("Insert code into the notebook", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Python client", exact=True).click()
    expect(page.locator(".jp-NotebookPanel .jp-Cell").first).to_contain_text("perijove.client()")
