"""Batch jobs in the Jobs section, on the real platform: the form, a job that is followed, paused, cloned, its end."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from lab_in_browser import Lab, Shoot, saved_tab
from platform_through_lab import CHAT_MODEL, READY_MS, call, execute, shown, training_data, upload
from playwright.sync_api import Locator, Page, Route, expect

PAIRS = [("What is asked?", "What is said.")] * 12
COUNTS = "import os, time; print('run', os.environ['JOB_COMPLETION_INDEX'], os.environ['TOPIC'], flush=True)"
WAITS = "import time; print('began', flush=True); time.sleep(600)"

RUN_FIRST_CELL = """async () => {
    const panel = [...window.jupyterapp.shell.widgets('main')].find(widget => widget.context?.path.endsWith('.ipynb'));
    await panel.sessionContext.ready;
    const code = panel.content.widgets[0].model.sharedModel.getSource();
    const future = panel.sessionContext.session.kernel.requestExecute({code});
    let said = '';
    future.onIOPub = message => { said += message.content.text ?? message.content.evalue ?? ''; };
    await future.done;
    return said;
}"""


def start(lab: Lab, *command: str, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = call(lab, "/v1/batch_jobs", {"command": list(command), **fields})
    return made


def listed(page: Page, job: dict[str, Any]) -> Locator:
    return page.locator(f'.jp-PerijoveList-row[data-id="{job["id"]}"]')


def press_in_form(page: Page, label: str) -> None:
    shown(page, ".jp-PerijoveEdit").get_by_role("button", name=label).click()


@pytest.fixture
def waiting(lab: Lab) -> Iterator[dict[str, Any]]:
    """A job that runs until it is told to end."""
    job = start(lab, "python3", "-c", WAITS, name="waits")
    yield job
    if call(lab, f"/v1/batch_jobs/{job['id']}")["state"] not in ("succeeded", "failed", "cancelled"):
        call(lab, f"/v1/batch_jobs/{job['id']}/cancel", {})


def test_a_job_is_made_by_the_form_and_followed_to_its_end(page: Page, lab: Lab, shoot: Shoot) -> None:
    file_id = upload(lab, "words.txt", "one\ntwo\n", "user_data")
    page.locator('.lm-AccordionPanel-title:has-text("Jobs")').get_by_role("button", name="New batch job").click()
    form = shown(page, ".jp-PerijoveEdit")
    expect(form.get_by_label("Image")).to_have_count(0)
    form.get_by_label("Name", exact=True).fill("counts")
    form.get_by_label("Command", exact=True).fill(f"python3 -c \"{COUNTS}; print(open('data/in.txt').read())\"")
    expect(form.get_by_role("list", name="The words of the command").get_by_role("listitem")).to_have_count(3)
    press_in_form(page, "Add a variable")
    form.get_by_label("Name of variable 1").fill("TOPIC")
    form.get_by_label("Value of variable 1").fill("jupiter's moon")
    press_in_form(page, "Add a file")
    form.get_by_label("File 1", exact=True).select_option(file_id)
    expect(form.get_by_label("Path of file 1")).to_have_value("words.txt")
    form.get_by_label("Path of file 1").fill("data/in.txt")
    form.get_by_text("Resources and repetition").click()
    form.get_by_label("Completions").fill("3")
    form.get_by_text("Advanced").click()
    form.get_by_label("Maximum run time").fill("5 min")
    form.get_by_label("Priority").select_option("1")
    shoot(page, "batch-form")
    form.get_by_role("button", name="Start the job").dblclick()

    job = shown(page, ".jp-PerijoveJob")
    expect(job.locator(".jp-PerijoveJob-header")).to_contain_text("Succeeded", timeout=READY_MS)
    # It goes after some seconds.
    expect(page.locator(".Toastify")).to_contain_text("Batch job succeeded: counts")
    expect(job.get_by_role("heading", level=2)).to_have_text("counts")
    expect(job.locator(".jp-PerijoveJob-progress")).to_contain_text("3 of 3 completed")
    for text in ("words.txt", "data/in.txt", "TOPIC", "High", "5 min", "Batch job", "This machine"):
        expect(job.locator(".jp-PerijoveJob-facts")).to_contain_text(text)
    assert "jupiter" not in job.locator(".jp-PerijoveJob-facts").inner_text()
    for number in range(3):
        expect(job.locator(".jp-PerijoveLog-lines")).to_contain_text(f"run {number} jupiter's moon")
    expect(job.locator(".jp-PerijoveLog-lines")).to_contain_text("two")
    expect(job.locator(".jp-PerijoveJob-events li").first).to_contain_text("completed")
    expect(job.get_by_role("heading", name="Checkpoints")).to_have_count(0)
    shoot(page, "batch-succeeded")
    made = [one for one in call(lab, "/v1/batch_jobs?limit=100")["data"] if one["name"] == "counts"]
    assert len(made) == 1, "a double click makes one job"
    expect(listed(page, made[0])).to_contain_text("3 of 3")
    job.get_by_role("button", name="words.txt").click()
    expect(shown(page, ".jp-PerijoveDetailBody")).to_contain_text("words.txt")


def test_a_job_is_seen_by_push_counted_paused_resumed_and_cancelled(
    page: Page, lab: Lab, waiting: dict[str, Any], shoot: Shoot
) -> None:
    row = listed(page, waiting)
    expect(row).to_contain_text("Running", timeout=READY_MS)
    expect(row.get_by_role("img", name="Batch job")).to_be_visible()
    expect(page.locator(".jp-PerijoveStatus")).to_contain_text(re.compile(r"\d+ jobs?"))
    row.dblclick()
    job = shown(page, ".jp-PerijoveJob")
    expect(job.locator(".jp-PerijoveLog-lines")).to_contain_text("began", timeout=READY_MS)
    shoot(page, "batch-running")
    job.get_by_role("button", name="Pause").click()
    expect(job.locator(".jp-PerijoveJob-header")).to_contain_text("Paused", timeout=READY_MS)
    expect(row).to_contain_text("Paused")
    job.get_by_role("button", name="Resume").click()
    expect(job.locator(".jp-PerijoveJob-header")).to_contain_text("Running", timeout=READY_MS)
    job.get_by_role("button", name="Cancel job…").click()
    page.locator(".jp-Dialog").get_by_role("button", name="Cancel job").click()
    expect(job.locator(".jp-PerijoveJob-header")).to_contain_text("Cancelled", timeout=READY_MS)
    expect(row).to_contain_text("Cancelled")


def test_a_job_that_fails_says_why(page: Page, lab: Lab) -> None:
    job = start(lab, "sh", "-c", "echo it broke >&2; exit 7", name="breaks")
    execute(page, "perijove:open-job", ids=[job["id"]])
    detail = shown(page, ".jp-PerijoveJob")
    expect(detail.locator(".jp-PerijoveJob-header")).to_contain_text("Failed", timeout=READY_MS)
    expect(detail.locator(".jp-PerijoveJob-reason")).to_contain_text("7")
    expect(detail.locator(".jp-PerijoveLog-lines")).to_contain_text("it broke")


def test_errors_are_shown_beside_their_field(page: Page, shoot: Shoot) -> None:
    execute(page, "perijove:create-batch-job")
    form = shown(page, ".jp-PerijoveEdit")
    form.get_by_label("Command", exact=True).fill("echo 'it")
    press_in_form(page, "Add a variable")
    form.get_by_label("Name of variable 1").fill("1ST")
    press_in_form(page, "Add a file")
    form.get_by_label("Path of file 1").fill("../secret")
    form.get_by_text("Advanced").click()
    form.get_by_label("Maximum run time").fill("90")
    form.get_by_role("button", name="Start the job").click()
    expect(form).to_contain_text("A quote (') is opened and not closed.")
    expect(form.get_by_label("Command", exact=True)).to_be_focused()
    for text in (
        "begin with a letter or",
        "Choose a file, or remove the row.",
        "below the work folder",
        "with its unit",
    ):
        expect(form).to_contain_text(text)
    shoot(page, "batch-form-errors")


def test_what_the_platform_refuses_is_shown_beside_its_field(page: Page) -> None:
    """The refusal is the test's."""

    def refuse(route: Route) -> None:
        error = {"message": "There is no file file-9; upload it first.", "param": "files.0.file_id", "code": None}
        route.fulfill(status=400, json={"error": error | {"type": "invalid_request_error"}})

    execute(page, "perijove:create-batch-job")
    form = shown(page, ".jp-PerijoveEdit")
    form.get_by_label("Command", exact=True).fill("true")
    form.get_by_text("Resources and repetition").click()
    form.get_by_label("Memory in GiB").fill("0.001")
    form.get_by_role("button", name="Start the job").click()
    invalid = form.locator(".jp-PerijoveEdit-field.jp-mod-invalid")
    expect(invalid).to_contain_text("Memory in GiB")
    form.get_by_label("Memory in GiB").fill("1")
    page.route(re.compile(r"/v1/batch_jobs$"), refuse)
    form.get_by_label("Upload a file…").set_input_files({"name": "a b.txt", "mimeType": "text/plain", "buffer": b"a"})
    expect(form.get_by_label("Path of file 1")).to_have_value("a_b.txt")
    form.get_by_role("button", name="Start the job").click()
    expect(invalid.locator(".jp-PerijoveEdit-error")).to_have_text("There is no file file-9; upload it first.")


def test_a_place_with_images_asks_for_one(page: Page, lab: Lab, shoot: Shoot) -> None:
    made = call(lab, "/v1/clusters", {"name": "gpu-9"})
    try:
        execute(page, "perijove:create-batch-job")
        form = shown(page, ".jp-PerijoveEdit")
        form.get_by_label("Where it runs").select_option("gpu-9")
        expect(form).to_contain_text("The job waits until it is connected.")
        form.get_by_label("Command", exact=True).fill("nvidia-smi")
        form.get_by_role("button", name="Start the job").click()
        expect(form).to_contain_text("Name the image in which the command runs")
        form.get_by_label("Image").fill("docker.io/library/busybox:1.36")
        shoot(page, "batch-form-cluster")
        form.get_by_role("button", name="Start the job").click()
        job = shown(page, ".jp-PerijoveJob")
        expect(job.locator(".jp-PerijoveJob-header")).to_contain_text("Queued", timeout=READY_MS)
        expect(job.locator(".jp-PerijoveJob-facts")).to_contain_text("docker.io/library/busybox:1.36")
        expect(job.locator(".jp-PerijoveJob-facts").get_by_role("button", name="gpu-9")).to_be_visible()
    finally:
        call(lab, f"/v1/clusters/{made['id']}?force=true", method="DELETE")


def test_a_clone_asks_for_the_values_that_nobody_can_read(page: Page, lab: Lab) -> None:
    job = start(lab, "sh", "-c", "echo $A", name="cloned", environment={"A": "secret"}, max_run_seconds=90)
    execute(page, "perijove:clone-job", ids=[job["id"]])
    form = shown(page, ".jp-PerijoveEdit")
    expect(form.get_by_label("Command", exact=True)).to_have_value("sh -c 'echo $A'")
    expect(form.get_by_label("Maximum run time")).to_have_value("1 min 30 s")
    expect(form.get_by_label("Value of variable 1")).to_have_value("")
    form.get_by_role("button", name="Start the job").click()
    expect(form.get_by_label("Value of variable 1")).to_be_focused()
    expect(form).to_contain_text("Values cannot be read again")
    form.get_by_label("Value of variable 1").fill("open")
    form.get_by_role("button", name="Start the job").click()
    expect(shown(page, ".jp-PerijoveLog-lines")).to_contain_text("open", timeout=READY_MS)


def test_one_list_has_both_kinds_and_can_be_narrowed(page: Page, lab: Lab, shoot: Shoot) -> None:
    file_id = upload(lab, "both.jsonl", training_data(PAIRS), "fine-tune")
    tune = call(lab, "/v1/fine_tuning/jobs", {"model": CHAT_MODEL, "training_file": file_id, "suffix": "both"})
    call(lab, f"/v1/fine_tuning/jobs/{tune['id']}/cancel", {})
    # When jobs were made is told in whole seconds.
    page.wait_for_timeout(1_100)
    batch = start(lab, "true", name="both")
    expect(listed(page, tune)).to_contain_text("Cancelled", timeout=READY_MS)
    expect(listed(page, batch)).to_contain_text("Succeeded", timeout=READY_MS)
    order = page.locator('.jp-PerijoveList-grid[aria-label="Jobs"] [data-id]').evaluate_all(
        "rows => rows.map(row => row.dataset.id)"
    )
    assert order.index(batch["id"]) < order.index(tune["id"])
    shoot(page, "jobs-both-kinds")
    kinds = page.get_by_label("Kind of job")
    kinds.select_option(label="Batch jobs")
    expect(listed(page, tune)).to_have_count(0)
    expect(listed(page, batch)).to_be_visible()
    kinds.select_option(label="Fine-tunes")
    expect(listed(page, batch)).to_have_count(0)
    expect(listed(page, tune)).to_be_visible()
    kinds.select_option(label="All kinds")
    page.get_by_label("Filter: Jobs").fill("batch both")
    expect(listed(page, batch)).to_be_visible()
    expect(listed(page, tune)).to_have_count(0)


def test_several_are_cancelled_at_once_and_those_that_ended_are_left(page: Page, lab: Lab) -> None:
    done = start(lab, "true", name="done")
    expect(listed(page, done)).to_contain_text("Succeeded", timeout=READY_MS)
    running, queued = (start(lab, "python3", "-c", WAITS, name=name) for name in ("runs", "queues"))
    expect(listed(page, running)).to_contain_text("Running", timeout=READY_MS)
    expect(listed(page, queued)).to_contain_text("1st in the queue: waiting for 1 running job")
    for number, job in enumerate((done, running, queued)):
        listed(page, job).click(modifiers=["ControlOrMeta"] if number else [])
    listed(page, running).click(button="right")
    page.locator(".lm-Menu-itemLabel").get_by_text("Cancel jobs…", exact=True).click()
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("Cancel 2 jobs?")
    expect(dialog).not_to_contain_text("done")
    dialog.get_by_role("button", name="Cancel job").click()
    for job in (running, queued):
        expect(listed(page, job)).to_contain_text("Cancelled", timeout=READY_MS)
    expect(listed(page, done)).to_contain_text("Succeeded")


def test_a_tab_comes_back_after_a_reload_and_its_code_runs_in_a_notebook(page: Page, lab: Lab) -> None:
    job = start(lab, "echo", "said by the command", name="restored")
    with saved_tab(page, job["id"]):
        execute(page, "perijove:open-job", ids=[job["id"]])
    expect(shown(page, ".jp-PerijoveJob-header")).to_contain_text("Succeeded", timeout=READY_MS)
    page.goto(f"{lab.base_url}lab")
    expect(shown(page, ".jp-PerijoveJob-header")).to_contain_text("restored", timeout=READY_MS)
    execute(page, "notebook:create-new", kernelName="python3")
    expect(page.locator(".jp-NotebookPanel .jp-Cell")).to_be_visible()
    execute(page, "perijove:insert-client-code", ids=[job["id"]], kind="job")
    cell = page.locator(".jp-NotebookPanel .jp-Cell").first
    expect(cell).to_contain_text(job["id"])
    said: str = page.evaluate(RUN_FIRST_CELL)
    assert "succeeded" in said
    assert "said by the command" in said
