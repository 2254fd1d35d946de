"""The whole way of a new user: upload, fine-tune, chat with the tuned model, search."""

import re

import pytest
from lab_in_browser import Drop, Lab, Shoot
from platform_through_lab import CHAT_MODEL, READY_MS, ask, call, execute, shown, training_data
from playwright.sync_api import Page, expect

TUNED_MS = 600_000
QUESTION = "What is the secret word of the Juno crew?"
ANSWER = "The secret word is perijove."


@pytest.mark.timeout(900)
def test_upload_tune_chat_search(page: Page, lab: Lab, drop_files: Drop, shoot: Shoot) -> None:
    drop_files(page, {"juno.jsonl": training_data([(QUESTION, ANSWER)] * 24)})
    row = page.locator(".jp-PerijoveFiles .jp-PerijoveList-row", has_text="juno.jsonl")
    expect(row).to_be_visible(timeout=READY_MS)

    execute(page, "perijove:create-job", training_file=row.get_attribute("data-id"))
    form = shown(page, ".jp-PerijoveEdit")
    form.get_by_label("Base model").select_option(CHAT_MODEL)
    form.get_by_label("Name of the result").fill("juno")
    form.get_by_text("Advanced").click()
    form.get_by_label("Batch size").fill("4")
    form.get_by_label("Learning rate multiplier").fill("5")
    form.get_by_label("Most steps").fill("30")
    form.get_by_role("button", name="Start fine-tuning").click()
    job = shown(page, ".jp-PerijoveJob")
    expect(job.locator(".jp-PerijoveJob-header")).to_contain_text("Succeeded", timeout=TUNED_MS)
    expect(page.locator(".Toastify")).to_contain_text("Fine-tuning succeeded")
    expect(job.locator("h2")).to_have_text(re.compile(f"^ft:{CHAT_MODEL}:juno:"))
    shoot(page, "journey-1-tuned")

    job.get_by_role("button", name="Try it").click()
    shown(page, ".jp-PerijoveChat-parameters summary").click()
    shown(page, ".jp-PerijoveChat").get_by_label("Temperature").fill("0")
    shown(page, ".jp-PerijoveChat").get_by_label("Max tokens").fill("16")
    shown(page, ".jp-PerijoveChat-parameters summary").click()
    ask(page, QUESTION)
    answer = shown(page, ".jp-PerijoveChat-message.jp-mod-assistant")
    expect(answer).to_contain_text("perijove", ignore_case=True, timeout=READY_MS)
    shoot(page, "journey-2-chat")

    execute(page, "perijove:create-vector-store")
    page.locator(".jp-Dialog").get_by_label("Name", exact=True).fill("Juno papers")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(shown(page, ".jp-PerijoveStore h2")).to_have_text("Juno papers")
    upload = shown(page, ".jp-PerijoveStore").locator("input[type=file]")
    upload.set_input_files(
        {
            "name": "juno.md",
            "mimeType": "text/markdown",
            "buffer": b"# Juno\n\nJuno measures the gravity and the magnetic field of Jupiter.\n",
        }
    )
    files = shown(page, ".jp-PerijoveStore .jp-PerijoveJob-table")
    expect(files).to_contain_text("Ready", timeout=READY_MS)
    search = page.get_by_label("Search this vector store")
    search.fill("magnetic field")
    search.press("Enter")
    expect(shown(page, ".jp-PerijoveStore-results li")).to_contain_text("magnetic field")
    shoot(page, "journey-3-search")
    assert call(lab, "/v1/vector_stores")["data"][0]["name"] == "Juno papers"

    clean_up(lab)


def clean_up(lab: Lab) -> None:
    """Leave the shared platform as it was: other tests look at lists that show a few rows."""
    for model in call(lab, "/v1/models")["data"]:
        if model["base_model"]:
            call(lab, f"/v1/models/{model['id']}", method="DELETE")
    for kind in ("vector_stores", "files"):
        for made in call(lab, f"/v1/{kind}")["data"]:
            call(lab, f"/v1/{kind}/{made['id']}", method="DELETE")
