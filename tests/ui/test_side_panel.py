"""The panel in the side bar: its sections, its manners, and what it says without a platform."""

import json
import os
import signal

from lab_in_browser import PATIENCE_MS, Drop, Lab, Shoot, await_lab, saved_tab
from playwright.sync_api import Browser, Page, expect

MESSAGE = "#perijove-panel .jp-PerijovePanel-message .jp-PerijoveMessage"
WATCH = """selector => {
    window.shown = false;
    const look = () => { window.shown ||= document.querySelector(selector)?.checkVisibility() ?? false; };
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""
"""Keeps in mind that an element was shown, which may be for moments only."""
SECTIONS = ["Models", "Files", "Jobs", "Vector stores", "Clusters"]


def test_panel_has_its_sections(page: Page, shoot: Shoot) -> None:
    titles = page.locator("#perijove-panel .lm-AccordionPanel-titleLabel")
    expect(titles).to_have_text(SECTIONS)
    expect(page.locator('.jp-PerijoveList-grid[aria-label="Models"] [role="row"][data-id]').first).to_be_visible()
    shoot(page, "side-panel")


def test_panel_does_not_open_by_itself(browser: Browser, lab: Lab) -> None:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(lab.url)
    await_lab(page)
    expect(page.locator("#filebrowser")).to_be_visible()
    expect(page.locator("#perijove-panel")).to_be_hidden()
    context.close()


def test_without_the_server_extension_the_panel_says_so(bare_page: Page, shoot: Shoot) -> None:
    message = bare_page.locator("#perijove-panel [role=alert]")
    expect(message).to_contain_text("does not have the Perijove extension")
    expect(message).to_contain_text("Install perijove")
    expect(message.get_by_role("button", name="Try again")).to_be_enabled()
    expect(bare_page.locator(".jp-Launcher")).to_be_visible()
    shoot(bare_page, "no-platform")


def test_launcher_card_opens_the_panel(page: Page) -> None:
    page.locator('.lm-TabBar-tab[data-id="filebrowser"]').click()
    expect(page.locator("#perijove-panel")).to_be_hidden()
    page.locator('.jp-LauncherCard[title*="Models, files"]').click()
    expect(page.locator("#perijove-panel")).to_be_visible()


def test_layout_is_restored_after_a_reload(page: Page, lab: Lab) -> None:
    with saved_tab(page, "wordllama"):
        page.locator('.jp-PerijoveList-row[data-id="wordllama"]').dblclick()
    expect(page.locator(".jp-PerijoveDetail h1")).to_have_text("wordllama")
    page.goto(f"{lab.base_url}lab")
    await_lab(page)
    expect(page.locator("#perijove-panel")).to_be_visible()
    expect(page.locator(".jp-PerijoveDetail h1")).to_have_text("wordllama")


def test_a_crash_of_the_platform_is_survived(page: Page, lab: Lab, drop_files: Drop, shoot: Shoot) -> None:
    record = lab.data_dir / "platform.json"
    pid = json.loads(record.read_text())["pid"]
    page.wait_for_selector(".jp-PerijoveFiles")
    page.evaluate(WATCH, MESSAGE)
    os.kill(pid, signal.SIGKILL)
    page.wait_for_function("window.shown")
    expect(page.locator(".jp-PerijoveFiles")).to_be_visible()
    assert json.loads(record.read_text())["pid"] != pid
    # The list is fresh again, which only the resumed stream of events can have brought about.
    other = page.context.new_page()
    other.goto(f"{lab.base_url}lab?reset")
    other.locator('.lm-TabBar-tab[data-id="perijove-panel"]').click()
    drop_files(other, {"after-the-crash.txt": "Here."})
    expect(page.locator(".jp-PerijoveList-row", has_text="after-the-crash.txt")).to_be_visible()
