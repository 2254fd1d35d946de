"""The chat playground with a real model: streaming, stopping, errors, parameters, a reload."""

import json
import re
from typing import Any

from lab_in_browser import Lab, Shoot, await_lab, saved
from platform_through_lab import CHAT_MODEL, READY_MS, ask, execute, shown
from playwright.sync_api import Locator, Page, Route, expect

ENDS = ("0", "2")
"""The tokens by which the model ends an answer."""


def open_chat(page: Page, **args: str) -> None:
    execute(page, "perijove:chat", **args)
    expect(shown(page, ".jp-PerijoveChat")).to_be_visible()


def answers(page: Page) -> Locator:
    return shown(page, ".jp-PerijoveChat-message.jp-mod-assistant")


def settled(answer: Locator) -> str:
    """Its text: Markdown is rendered a moment after it has arrived."""
    before, text = "", answer.inner_text()
    while text != before:
        answer.page.wait_for_timeout(500)
        before, text = text, answer.inner_text()
    return text


def set_parameter(page: Page, label: str, value: str) -> None:
    form = shown(page, ".jp-PerijoveChat-parameters")
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    form.get_by_label(label).fill(value)


def test_an_answer_streams_and_says_what_it_cost(page: Page, shoot: Shoot) -> None:
    open_chat(page, model=CHAT_MODEL)
    set_parameter(page, "Max tokens", "24")
    ask(page, "Name three moons of Jupiter.")
    expect(answers(page)).to_have_class(re.compile("jp-mod-complete"), timeout=READY_MS)
    expect(answers(page).locator(".jp-RenderedMarkdown")).not_to_be_empty()
    expect(answers(page).locator(".jp-PerijoveChat-stats")).to_have_text(
        re.compile(r"\d+ \+ \d+ tokens · first after .* s in all · [\d.]+ tokens/s")
    )
    shoot(page, "chat")


def test_stop_ends_the_request(page: Page) -> None:
    def without_end(route: Route) -> None:
        """The model may not end its answer before it is stopped."""
        body = json.loads(route.request.post_data or "")
        route.continue_(post_data=json.dumps({**body, "logit_bias": dict.fromkeys(ENDS, -100)}))

    page.route("**/chat/completions", without_end)
    open_chat(page, model=CHAT_MODEL)
    set_parameter(page, "Max tokens", "4000")
    set_parameter(page, "Temperature", "1")
    with page.expect_event("requestfailed", lambda request: "chat/completions" in request.url, timeout=READY_MS):
        ask(page, "Write a very long story about a spacecraft, with at least thirty chapters.")
        expect(answers(page)).to_have_class(re.compile("jp-mod-streaming"), timeout=READY_MS)
        shown(page, ".jp-PerijoveChat-send button").click()
    expect(answers(page)).to_contain_text("Stopped.")
    text = settled(answers(page))
    set_parameter(page, "Max tokens", "4")
    ask(page, "Hello")
    expect(answers(page)).to_have_count(2)
    expect(answers(page).last).to_have_class(re.compile("jp-mod-complete"), timeout=READY_MS)
    assert answers(page).first.inner_text() == text


def test_an_error_is_shown_where_the_answer_would_be(page: Page) -> None:
    open_chat(page, model="no-such-model")
    ask(page, "Hello")
    expect(answers(page).get_by_role("alert")).to_contain_text("no-such-model")
    expect(answers(page).get_by_role("button", name="Try again")).to_be_enabled()


def test_parameters_are_checked_beside_their_field(page: Page) -> None:
    open_chat(page, model=CHAT_MODEL)
    set_parameter(page, "Temperature", "3")
    field = shown(page, ".jp-PerijoveChat-field").filter(has_text="Temperature")
    expect(field).to_contain_text("Give a number from 0 to 2.")
    expect(field.get_by_label("Temperature")).to_have_attribute("aria-invalid", "true")


def test_an_edited_question_is_asked_again(page: Page) -> None:
    open_chat(page, model=CHAT_MODEL)
    set_parameter(page, "Max tokens", "8")
    ask(page, "Good morning")
    expect(answers(page)).to_have_class(re.compile("jp-mod-complete"), timeout=READY_MS)
    shown(page, ".jp-PerijoveChat-action").get_by_text("Edit").click()
    page.get_by_label("Edit the question").fill("Good evening")
    page.get_by_label("Edit the question").press("Enter")
    expect(shown(page, ".jp-PerijoveChat-question")).to_have_text("Good evening")
    expect(answers(page)).to_have_count(1)
    expect(answers(page)).to_have_class(re.compile("jp-mod-complete"), timeout=READY_MS)


def is_answered(state: dict[str, Any]) -> bool:
    """Whether Lab's state has a conversation whose last message is a whole answer."""
    kept = [value["chat"]["messages"][-1:] for key, value in state.items() if key.startswith("perijove-chat:")]
    return any(last["role"] == "assistant" and last["state"] == "complete" for messages in kept for last in messages)


def test_the_conversation_is_there_after_a_reload(page: Page, lab: Lab) -> None:
    open_chat(page, model=CHAT_MODEL)
    set_parameter(page, "Max tokens", "8")
    with saved(page, is_answered, timeout=READY_MS):
        ask(page, "Good morning")
    said = settled(answers(page).locator(".jp-RenderedMarkdown"))
    page.goto(lab.url.replace("&reset", ""))
    await_lab(page)
    expect(shown(page, ".jp-PerijoveChat-question")).to_have_text("Good morning")
    expect(answers(page).locator(".jp-RenderedMarkdown")).to_have_text(said)
