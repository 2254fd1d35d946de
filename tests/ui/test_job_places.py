"""Where a job runs, how one that waits is shown, and the log of one that has run for long.

No agent and no queue run here. Where the answers are the test's, in the platform's place, it is said.
"""

import json
import re
from typing import Any

import pytest
from lab_in_browser import Lab, Shoot
from platform_through_lab import CHAT_MODEL, call, execute, shown, training_data, upload
from playwright.sync_api import Page, Route, expect

PAIRS = [("What is asked?", "What is said.")] * 12


def test_the_place_is_chosen_when_there_is_more_than_one(page: Page, lab: Lab, no_clusters: None, shoot: Shoot) -> None:
    execute(page, "perijove:create-job")
    form = shown(page, ".jp-PerijoveEdit")
    expect(form.get_by_label("Base model")).to_be_visible()
    expect(form.get_by_label("Where it runs")).to_have_count(0)
    call(lab, "/v1/clusters", {"name": "gpu-1"})
    place = form.get_by_label("Where it runs")
    expect(place.locator("option")).to_have_count(2)
    expect(place.locator("option").first).to_contain_text("This machine")
    expect(place).to_have_value("")
    place.select_option("gpu-1")
    expect(form).to_contain_text("gpu-1: Not connected yet. The job waits until it is connected.")
    shoot(page, "job-form-place")
    file_id = upload(lab, "place.jsonl", training_data(PAIRS), "fine-tune")
    sent: list[Any] = []

    def refuse(route: Route) -> None:
        sent.append(json.loads(route.request.post_data or ""))
        error = {"message": "Not there.", "type": "invalid_request_error", "param": "cluster", "code": None}
        route.fulfill(status=400, json={"error": error})

    execute(page, "perijove:create-job", training_file=file_id)
    form = shown(page, ".jp-PerijoveEdit")
    form.get_by_label("Base model").select_option(CHAT_MODEL)
    form.get_by_label("Where it runs").select_option("gpu-1")
    page.route(re.compile(r"/v1/fine_tuning/jobs$"), refuse)
    form.get_by_role("button", name="Start fine-tuning").click()
    expect(form.locator(".jp-PerijoveEdit-field.jp-mod-invalid")).to_contain_text("Not there.")
    assert [body["cluster"] for body in sent] == ["gpu-1"]


WHY = "waiting for 2 × nvidia.com/gpu: 1 is free"


@pytest.fixture
def job(lab: Lab) -> dict[str, Any]:
    """A job that has ended."""
    file_id = upload(lab, "waiting.jsonl", training_data(PAIRS), "fine-tune")
    made = call(lab, "/v1/fine_tuning/jobs", {"model": CHAT_MODEL, "training_file": file_id, "suffix": "waiting"})
    ended: dict[str, Any] = call(lab, f"/v1/fine_tuning/jobs/{made['id']}/cancel", {})
    return ended


def test_a_job_that_waits_says_its_place_and_why(
    page: Page, cluster: dict[str, Any], job: dict[str, Any], shoot: Shoot
) -> None:
    """The answers about the job and its events are the test's: no queue runs here."""
    waiting = job | {
        "state": "queued",
        "status": "queued",
        "state_reason": WHY,
        "queue_position": 2,
        "cluster": "gpu-1",
        "finished_at": None,
    }
    told = [
        ("warn", "The job is queued again: preempted by job ftjob-2 of higher priority"),
        ("info", "The job was admitted by gpu-1"),
        ("warn", "The job is queued again: evicted: its node is being drained"),
    ]
    events = [
        {
            "id": f"ftevent-{9 - number}",
            "object": "fine_tuning.job.event",
            "created_at": 1_800_000_000 - number,
            "level": level,
            "message": message,
            "type": "message",
            "data": None,
            "job_id": job["id"],
        }
        for number, (level, message) in enumerate(told)
    ]
    listed = page.locator(f'.jp-PerijoveList-row[data-id="{job["id"]}"]')
    # All that the platform tells of it has come.
    expect(listed).to_contain_text("Cancelled")
    url = rf"/v1/fine_tuning/jobs/{job['id']}"
    page.route(re.compile(rf"{url}$"), lambda route: route.fulfill(json=waiting))
    page.route(
        re.compile(rf"{url}/events"),
        lambda route: route.fulfill(json={"object": "list", "data": events, "has_more": False}),
    )
    page.route(
        re.compile(r"/v1/fine_tuning/jobs\?"),
        lambda route: route.fulfill(json={"object": "list", "data": [waiting], "has_more": False}),
    )
    execute(page, "perijove:refresh-jobs")
    expect(listed).to_contain_text(f"2nd in the queue: {WHY}")
    execute(page, "perijove:open-job", ids=[job["id"]])
    detail = shown(page, ".jp-PerijoveJob")
    expect(detail.locator(".jp-PerijoveJob-reason")).to_have_text(f"2nd in the queue: {WHY}")
    for _, message in told:
        expect(detail.locator(".jp-PerijoveJob-events")).to_contain_text(message)
    shoot(page, "job-waiting")
    detail.get_by_role("button", name="gpu-1").click()
    expect(shown(page, ".jp-PerijoveCluster")).to_contain_text("Rack 7")


def test_a_log_of_megabytes_is_searched_and_its_attempts_are_found(
    page: Page, job: dict[str, Any], shoot: Shoot
) -> None:
    """The log is the test's: 12 MB with a line of 100 kB, in two attempts."""
    lines = [f"step {number} loss {1 / (number + 1):.4f}" for number in range(4_000)]
    lines[3_000] = f"long {'x' * 100_000} needle-at-the-end"
    lines[3_500] = "[perijove] attempt 2, pod ftjob-waiting-x7k2p"
    lines[3_600] = "Needle in a short line"
    whole = ("padding " * 200 + "\n") * 7_000 + "\n".join(lines) + "\n"
    page.route(re.compile(r"/logs\?.*tail_bytes="), lambda route: _send_tail(route, whole))
    execute(page, "perijove:open-job", ids=[job["id"]])
    log = shown(page, ".jp-PerijoveLog")
    pieces = log.locator(".jp-PerijoveLog-lines")
    expect(pieces).to_contain_text("step 3999")
    earlier = pieces.get_by_role("button", name="Load earlier lines")
    for _ in range(3):
        expect(earlier.or_(pieces.get_by_text("The beginning is not shown here"))).to_be_visible()
        if earlier.count():
            earlier.click()
            expect(pieces.get_by_text("Loading…")).to_have_count(0)
    expect(pieces).to_contain_text("The beginning is not shown here")
    held: int = pieces.evaluate("node => node.textContent.length")
    assert held < 6_500_000

    log.get_by_label("Search the log").fill("NEEDLE")
    expect(log.get_by_role("status")).to_have_text("1 of 2")
    expect(pieces.locator("mark.jp-mod-current")).to_have_text("needle")
    expect(pieces.locator("mark.jp-mod-current")).to_be_in_viewport()
    log.get_by_role("button", name="Next match").click()
    expect(log.get_by_role("status")).to_have_text("2 of 2")
    expect(pieces.locator("mark.jp-mod-current")).to_have_text("Needle")
    shoot(page, "job-log")
    expect(pieces.get_by_role("button", name="more characters")).to_be_attached()
    log.get_by_role("button", name="Previous match").click()
    expect(log.get_by_role("status")).to_have_text("1 of 2")
    log.get_by_label("Search the log").fill("")
    log.get_by_label("Go to an attempt").select_option("2")
    expect(pieces.locator('[data-attempt="2"]')).to_be_in_viewport()
    pieces.get_by_role("button", name="more characters").click()
    expect(pieces).to_contain_text("needle-at-the-end")


def _send_tail(route: Route, whole: str) -> None:
    found = re.search(r"tail_bytes=(\d+)", route.request.url)
    assert found is not None
    route.fulfill(content_type="text/plain", body=whole[-int(found[1]) :])
