"""axe-core looks at each state that any test shoots; here are those that no other has, and that it finds things."""

import re

from lab_in_browser import Lab, Shoot, await_lab, barriers
from platform_through_lab import CHAT_MODEL, call, execute, shown, training_data, upload
from playwright.sync_api import Page, expect

PAIRS = [("What is asked?", "What is said.")] * 12


def test_a_barrier_is_found(page: Page, axe: str) -> None:
    expect(page.locator(".jp-PerijoveList-row").first).to_be_visible()
    page.evaluate("document.querySelector('.jp-PerijoveList').append(document.createElement('button'))")
    assert [barrier for barrier in barriers(page, axe) if barrier.startswith("button-name")]


def test_empty_sections(page: Page, lab: Lab, shoot: Shoot) -> None:
    lists = re.compile(r"/v1/(models|files|fine_tuning/jobs|batch_jobs|vector_stores)\?")
    page.route(lists, lambda route: route.fulfill(json={"object": "list", "data": [], "has_more": False}))
    # Nor does an event tell of what there is.
    page.route(re.compile("/v1/events"), lambda route: None)
    page.goto(lab.url)
    await_lab(page)
    page.locator('.lm-TabBar-tab[data-id="perijove-panel"]').click()
    for text in ("No models yet", "No files yet", "No jobs", "No vector stores"):
        expect(page.locator("#perijove-panel")).to_contain_text(text)
    shoot(page, "empty-sections")


def test_filled_sections_with_a_selection(page: Page, lab: Lab, shoot: Shoot) -> None:
    file_id = upload(lab, "sections.jsonl", training_data(PAIRS), "fine-tune")
    call(lab, "/v1/vector_stores", {"name": "Sections"})
    job = call(lab, "/v1/fine_tuning/jobs", {"model": CHAT_MODEL, "training_file": file_id, "suffix": "sections"})
    call(lab, f"/v1/fine_tuning/jobs/{job['id']}/cancel", {})
    row = page.locator(f'.jp-PerijoveList-row[data-id="{file_id}"]')
    row.click()
    expect(row).to_have_attribute("aria-selected", "true")
    expect(page.locator(f'.jp-PerijoveList-row[data-id="{job["id"]}"]')).to_contain_text("Cancelled")
    shoot(page, "filled-sections")
    execute(page, "perijove:open-job", ids=[job["id"]])
    expect(shown(page, ".jp-PerijoveJob-header")).to_contain_text("Cancelled")
    shoot(page, "job-cancelled")
