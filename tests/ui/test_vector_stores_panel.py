"""The Vector stores section: create, fill, search, attributes, errors of files, delete."""

import pytest
from lab_in_browser import Lab, Shoot
from platform_through_lab import call, execute, shown, upload
from playwright.sync_api import Locator, Page, expect

INDEXED_MS = 60_000
MOONS = """# The moons of Jupiter

Galileo Galilei saw four moons near Jupiter in January 1610.

Io has more active volcanoes than any other body of the solar system.

Europa hides an ocean of salt water below its ice.
"""
BREAD = "# Bread\n\nMix flour, water and salt. Let the dough rest for an hour, then bake it in a hot oven.\n"

DROP = """([name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name, {type: 'text/plain'}));
    for (const target of document.querySelectorAll('.jp-PerijoveStore')) {
        for (const type of ['dragenter', 'dragover', 'drop']) {
            target.dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: data}));
        }
    }
}"""


def files(page: Page) -> Locator:
    return shown(page, ".jp-PerijoveStore .jp-PerijoveJob-table > tbody > tr")


def accept(page: Page) -> None:
    page.locator(".jp-Dialog .jp-mod-accept, .jp-Dialog .jp-mod-warn").last.click()


@pytest.fixture
def store(page: Page, lab: Lab) -> str:
    """The id of a store over two texts, opened in a tab."""
    ids = [upload(lab, "moons.md", MOONS), upload(lab, "bread.md", BREAD)]
    made = call(lab, "/v1/vector_stores", {"name": "Notes", "file_ids": ids})
    execute(page, "perijove:open-vector-store", ids=[made["id"]])
    expect(files(page)).to_have_count(2)
    for name in ("moons.md", "bread.md"):
        expect(files(page).filter(has_text=name)).to_contain_text("Ready", timeout=INDEXED_MS)
    store_id: str = made["id"]
    return store_id


def test_a_store_is_created_by_the_form(page: Page, lab: Lab, shoot: Shoot) -> None:
    upload(lab, "for the form.md", MOONS)
    execute(page, "perijove:create-vector-store")
    dialog = page.locator(".jp-Dialog")
    dialog.get_by_label("for the form.md").first.check()
    accept(page)
    expect(dialog).to_contain_text("Give the vector store a name.")
    dialog.get_by_label("Name", exact=True).fill("From the form")
    dialog.get_by_text("Advanced").click()
    dialog.get_by_label("Chunking").select_option("static")
    dialog.get_by_label("Overlap in tokens").fill("401")
    expect(dialog).to_contain_text("from 0 to 400")
    dialog.get_by_label("Overlap in tokens").fill("100")
    dialog.get_by_label("Expires after days without use").fill("7")
    shoot(page, "vector-store-form")
    accept(page)
    expect(shown(page, ".jp-PerijoveStore h2")).to_have_text("From the form")
    expect(files(page)).to_contain_text("Ready", timeout=INDEXED_MS)
    expect(shown(page, ".jp-PerijoveStore .jp-PerijoveJob-facts")).to_contain_text("in 7 days")


def test_search_finds_passages_with_their_source(page: Page, store: str, shoot: Shoot) -> None:
    search = shown(page, ".jp-PerijoveStore-search")
    search.get_by_label("Search this vector store").fill("Which moon has volcanoes?")
    search.get_by_label("Search this vector store").press("Enter")
    first = search.locator("li").first
    expect(first).to_contain_text("moons.md")
    expect(first).to_contain_text("line")
    expect(first.locator(".jp-PerijoveStore-score")).to_contain_text("0.")
    expect(first.locator("mark").filter(has_text="volcanoes")).to_be_visible()
    shoot(page, "vector-store-search")


def test_files_are_dropped_and_broken_ones_say_why(page: Page, store: str, shoot: Shoot) -> None:
    page.evaluate(DROP, ["europa.txt", "Europa Clipper flies by Europa."])
    expect(files(page).filter(has_text="europa.txt")).to_contain_text("Ready", timeout=INDEXED_MS)
    page.evaluate(DROP, ["text.pdf", "This is only text."])
    broken = files(page).filter(has_text="text.pdf")
    expect(broken).to_contain_text("Failed", timeout=INDEXED_MS)
    expect(broken.locator(".jp-PerijoveEdit-error")).not_to_be_empty()
    shoot(page, "vector-store-files")
    broken.get_by_role("button", name="Remove text.pdf").click()
    accept(page)
    expect(broken).to_have_count(0)


def test_attributes_are_kept(page: Page, lab: Lab, store: str) -> None:
    row = files(page).filter(has_text="moons.md")
    row.get_by_role("button", name="Attributes of moons.md").click()
    page.get_by_label("Name of attribute 1").fill("year")
    page.get_by_label("Value of attribute 1").fill("1610")
    shown(page, ".jp-PerijoveStore-attributes").get_by_role("button", name="Save").click()
    expect(row).to_contain_text("year: 1610")
    listed = call(lab, f"/v1/vector_stores/{store}/files")["data"]
    assert {"year": 1610} in [file["attributes"] for file in listed]


def test_delete_asks_first_and_closes_the_tab(page: Page, store: str) -> None:
    execute(page, "perijove:delete-vector-store", ids=[store])
    expect(page.locator(".jp-Dialog")).to_contain_text("The uploaded files stay.")
    accept(page)
    expect(page.locator(".jp-PerijoveStore")).to_have_count(0)
    expect(page.locator(f'.jp-PerijoveList-row[data-id="{store}"]')).to_have_count(0)


def test_a_change_from_elsewhere_is_shown_without_a_refresh(page: Page, lab: Lab, store: str) -> None:
    call(lab, f"/v1/vector_stores/{store}", {"name": "Renamed elsewhere"})
    expect(page.locator(f'.jp-PerijoveList-row[data-id="{store}"]')).to_contain_text("Renamed elsewhere")
    expect(shown(page, ".jp-PerijoveStore h2")).to_have_text("Renamed elsewhere")
