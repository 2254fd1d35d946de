"""Fine-tunes in the Jobs section, with the real trainer: the form, a running job, a notebook's DataFrame."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from lab_in_browser import Lab, Shoot
from platform_through_lab import CHAT_MODEL, READY_MS, call, execute, shown, training_data, upload
from playwright.sync_api import Page, Route, expect

STARTED_MS = 300_000
"""Longest wait for the first step: the trainer's environment may have to be set up."""
PAIRS = [(f"What is the code word, asks person {number}?", "It is Perijove.") for number in range(24)]


def submit(page: Page) -> None:
    shown(page, ".jp-PerijoveEdit").get_by_role("button", name="Start fine-tuning").click()


def cancel(page: Page) -> None:
    shown(page, ".jp-PerijoveJob").get_by_role("button", name="Cancel job…").click()
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("cannot be taken up again")
    dialog.get_by_role("button", name="Cancel job").click()
    expect(shown(page, ".jp-PerijoveJob-header")).to_contain_text("Cancelled", timeout=READY_MS)


def test_errors_are_shown_beside_their_field(page: Page, lab: Lab, shoot: Shoot) -> None:
    execute(page, "perijove:create-job")
    form = shown(page, ".jp-PerijoveEdit")
    form.get_by_label("Base model").select_option(CHAT_MODEL)
    form.get_by_label("Epochs").fill("0")
    submit(page)
    expect(form).to_contain_text("Choose a training file, or upload one.")
    expect(form.get_by_label("Training file", exact=True)).to_be_focused()
    expect(form).to_contain_text('Give a whole number from 1 to 50, or "auto".')
    shoot(page, "job-form-errors")


def test_what_the_platform_refuses_is_shown_beside_its_field(page: Page) -> None:
    execute(page, "perijove:create-job", training_file="file-that-is-gone")
    form = shown(page, ".jp-PerijoveEdit")
    form.get_by_label("Base model").select_option(CHAT_MODEL)
    submit(page)
    field = form.locator(".jp-PerijoveEdit-field.jp-mod-invalid")
    expect(field).to_contain_text("Training file")
    expect(field.locator(".jp-PerijoveEdit-error")).to_contain_text("file-that-is-gone")


@pytest.mark.timeout(900)
def test_a_job_is_followed_and_cancelled(page: Page, lab: Lab, shoot: Shoot) -> None:
    file_id = upload(lab, "code-word.jsonl", training_data(PAIRS), "fine-tune")
    execute(page, "perijove:create-job", training_file=file_id)
    form = shown(page, ".jp-PerijoveEdit")
    form.get_by_label("Base model").select_option(CHAT_MODEL)
    expect(form.get_by_label("Training file", exact=True)).to_have_value(file_id)
    form.get_by_label("Name of the result").fill("followed")
    form.get_by_label("Epochs").fill("50")
    form.get_by_role("button", name="Start fine-tuning").dblclick()

    job = shown(page, ".jp-PerijoveJob")
    expect(job.locator(".jp-PerijoveJob-header")).to_contain_text("Running", timeout=STARTED_MS)
    expect(job.locator(".jp-PerijoveJob-progress")).to_contain_text("Step", timeout=STARTED_MS)
    loss = job.locator(".jp-PerijovePlot").first
    expect(loss.locator(".jp-PerijovePlot-line").first).to_have_attribute(
        "d", re.compile(r"^M.*L.*L"), timeout=READY_MS
    )
    expect(job.locator(".jp-PerijoveLog-lines pre").first).not_to_be_empty(timeout=READY_MS)
    loss.locator(".jp-PerijovePlot-drawing").focus()
    page.keyboard.press("End")
    expect(loss.locator(".jp-PerijovePlot-readout")).to_contain_text("Training loss")
    shoot(page, "job-running")
    loss.get_by_text("Values as a table").click()
    expect(loss.get_by_role("columnheader", name="Training loss")).to_be_visible()
    expect(loss.locator("tbody tr").first).to_contain_text("1")
    expect(page.locator(".jp-PerijoveStatus")).to_contain_text("1 job")

    cancel(page)
    made = [one for one in call(lab, "/v1/fine_tuning/jobs?limit=100")["data"] if one["suffix"] == "followed"]
    assert len(made) == 1, "a double click makes one job"
    expect(page.locator(f'.jp-PerijoveList-row[data-id="{made[0]["id"]}"]')).to_contain_text("Cancelled")


def test_a_clone_begins_with_the_same_settings(page: Page, lab: Lab) -> None:
    file_id = upload(lab, "clone.jsonl", training_data(PAIRS), "fine-tune")
    hyperparameters = {"n_epochs": 7, "batch_size": 3, "max_steps": 5}
    body = {"model": CHAT_MODEL, "training_file": file_id, "suffix": "cloned", "seed": 9}
    body |= {"priority": -1, "max_run_seconds": 5_400}
    method = {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
    job = call(lab, "/v1/fine_tuning/jobs", body | {"method": method})
    call(lab, f"/v1/fine_tuning/jobs/{job['id']}/cancel", {})
    execute(page, "perijove:clone-job", ids=[job["id"]])
    form = shown(page, ".jp-PerijoveEdit")
    expect(form.get_by_label("Training file", exact=True)).to_have_value(file_id)
    same = {"Name of the result": "cloned", "Epochs": "7", "Batch size": "3", "Seed": "9"}
    for label, value in (same | {"Priority": "-1", "Maximum run time": "1 h 30 min"}).items():
        expect(form.get_by_label(label, exact=True)).to_have_value(value)


def test_earlier_lines_of_the_log_come_in_above_what_is_read(page: Page, lab: Lab) -> None:
    def log(route: Route) -> None:
        tail = int(parse_qs(urlsplit(route.request.url).query)["tail_bytes"][0])
        route.fulfill(content_type="text/plain", body=whole[-tail:])

    # Lines of several lengths, which wrap into several heights.
    whole = "".join(f"line {number} {'x' * (number * 37 % 400)}\n" for number in range(2_000))
    file_id = upload(lab, "log.jsonl", training_data(PAIRS), "fine-tune")
    job = call(lab, "/v1/fine_tuning/jobs", {"model": CHAT_MODEL, "training_file": file_id})
    call(lab, f"/v1/fine_tuning/jobs/{job['id']}/cancel", {})
    page.route(re.compile(r"/logs\?.*tail_bytes="), log)
    execute(page, "perijove:open-job", ids=[job["id"]])
    lines = shown(page, ".jp-PerijoveLog-lines")
    expect(lines).to_contain_text("line 1999")
    lines.focus()
    lines.press("Home")
    expect(lines).to_have_js_property("scrollTop", 0)
    expect(lines.get_by_role("button", name="Load earlier lines")).to_be_in_viewport()
    before = lines.evaluate(SECOND_PIECE)
    assert not before["text"].startswith("line 1 ")
    lines.get_by_role("button", name="Load earlier lines").click()
    expect(lines).to_contain_text("line 0 ")
    after = lines.evaluate(FIND_PIECE, before["text"])
    assert abs(after - before["top"]) < 1
    text = "".join(f"{piece}\n" for piece in lines.locator("pre").all_text_contents())
    assert text == whole
    expect(lines.get_by_role("button", name="Load earlier lines")).to_have_count(0)


SECOND_PIECE = """lines => {
    const piece = lines.querySelectorAll('pre')[1];
    return {text: piece.textContent, top: piece.getBoundingClientRect().top};
}"""
FIND_PIECE = """(lines, text) =>
    [...lines.querySelectorAll('pre')].find(piece => piece.textContent === text).getBoundingClientRect().top
"""
RUN_IN_KERNEL = """async ([path, code]) => {
    const panels = [...window.jupyterapp.shell.widgets('main')];
    const { sessionContext } = panels.find(panel => panel.context?.path === path);
    await sessionContext.ready;
    await sessionContext.session.kernel.requestExecute({code}).done;
}"""


def test_a_dataframe_of_the_notebook_becomes_the_training_file(page: Page, lab: Lab, shoot: Shoot) -> None:
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": "words",
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": [cell]}
    (lab.root / "frames.ipynb").write_text(json.dumps(notebook))
    execute(page, "docmanager:open", path="frames.ipynb")
    expect(page.locator(".jp-Notebook .jp-Cell")).to_be_visible()
    code = "import pandas as pd\nwords = pd.DataFrame({'prompt': ['a', 'b'], 'completion': ['c', 'd']})"
    page.evaluate(RUN_IN_KERNEL, ["frames.ipynb", code])

    execute(page, "perijove:create-job")
    form = shown(page, ".jp-PerijoveEdit")
    form.get_by_role("button", name="Take a DataFrame of frames.ipynb…").click()
    form.get_by_role("list", name="DataFrames").get_by_role("button", name="words").click()
    expect(form).to_contain_text("words is uploaded.", timeout=READY_MS)
    expect(form.get_by_label("Training file", exact=True).locator("option:checked")).to_contain_text("words.jsonl")
    chosen = form.get_by_label("Training file", exact=True).input_value()
    assert call(lab, f"/v1/files/{chosen}")["filename"] == "words.jsonl"
    shoot(page, "job-form-dataframe")
    # Looking into the kernel left no trace in the notebook.
    expect(page.locator(".jp-InputPrompt").first).to_have_text("[ ]:")
