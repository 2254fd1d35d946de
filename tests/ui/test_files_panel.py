"""The Files section: drag and drop, preview, validation, download, delete."""

import json

from lab_in_browser import Drop, Lab, Shoot
from playwright.sync_api import Locator, Page, expect


def examples(count: int, *, broken: bool = False) -> str:
    turns = [
        [{"role": "user", "content": f"How far is moon {i}?"}, {"role": "assistant", "content": f"{i} thousand km."}]
        for i in range(count)
    ]
    lines = [json.dumps({"messages": messages}) for messages in turns]
    if broken:
        lines.append('{"messages": [}')
    return "\n".join(lines) + "\n"


def row(page: Page, name: str) -> Locator:
    return page.locator(".jp-PerijoveFiles .jp-PerijoveList-row", has_text=name)


def test_several_files_are_uploaded_by_drag_and_drop(page: Page, drop_files: Drop, shoot: Shoot) -> None:
    drop_files(page, {"one.jsonl": examples(12), "two.csv": "moon,radius\nIo,1821\n", "ünï ☄ code.txt": "Hello\n"})
    for name in ("one.jsonl", "two.csv", "ünï ☄ code.txt"):
        expect(row(page, name)).to_be_visible()
    expect(page.locator(".jp-PerijoveUpload")).to_have_count(0)
    shoot(page, "files-uploaded")


def test_problems_of_a_training_file_lead_to_their_lines(page: Page, drop_files: Drop, shoot: Shoot) -> None:
    drop_files(page, {"broken.jsonl": examples(250, broken=True)})
    row(page, "broken.jsonl").dblclick()
    detail = page.locator(".jp-PerijoveFile")
    expect(detail.locator(".jp-PerijoveValidation")).to_contain_text("1 problem")
    expect(detail.locator(".jp-PerijovePreview-pager")).to_contain_text("Lines 1 to 100 of 251")
    expect(detail.locator("thead")).to_contain_text("messages")
    detail.get_by_role("button", name="Line 251").click()
    line = detail.locator('tr[data-line="251"]')
    expect(line).to_be_in_viewport()
    expect(line).to_have_class("jp-mod-broken jp-mod-current")
    shoot(page, "file-validation")


def test_a_good_training_file_is_ready(page: Page, drop_files: Drop) -> None:
    drop_files(page, {"good.jsonl": examples(12)})
    row(page, "good.jsonl").dblclick()
    expect(page.locator(".jp-PerijoveValidation")).to_contain_text("Ready for fine-tuning: 12 examples")


def test_a_table_is_shown_as_one_and_as_text(page: Page, drop_files: Drop, shoot: Shoot) -> None:
    page.get_by_label("Upload for").select_option("assistants")
    drop_files(page, {"moons.csv": 'moon,note\nIo,"hot, bright"\nEuropa,icy\n'})
    row(page, "moons.csv").dblclick()
    preview = page.locator(".jp-PerijovePreview")
    expect(preview.locator("thead th")).to_have_text(["Line", "moon", "note"])
    expect(preview.locator('tr[data-line="2"] td')).to_have_text(["Io", "hot, bright"])
    shoot(page, "file-table")
    preview.get_by_label("As a table").uncheck()
    expect(preview.locator('tr[data-line="2"] td')).to_have_text(['Io,"hot, bright"'])
    page.get_by_label("Upload for").select_option("fine-tune")


def test_an_empty_file_is_refused_with_a_reason(page: Page, drop_files: Drop, shoot: Shoot) -> None:
    drop_files(page, {"empty.jsonl": ""})
    upload = page.locator(".jp-PerijoveUpload", has_text="empty.jsonl")
    expect(upload.locator("[role=alert]")).to_contain_text("The file is empty")
    shoot(page, "upload-refused")
    upload.get_by_role("button", name="Cancel empty.jsonl").click()
    expect(upload).to_have_count(0)


DROP_BIG = """bytes => {
    const data = new DataTransfer();
    data.items.add(new File(['x'.repeat(bytes)], 'big.txt', {type: 'text/plain', lastModified: 1}));
    const target = document.querySelector('.jp-PerijoveFiles');
    target.dispatchEvent(new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: data}));
}"""
PART = 8 * 1024 * 1024


def test_an_upload_is_paused_and_goes_on_after_a_reload(page: Page, lab: Lab) -> None:
    parts: list[str] = []
    page.on("request", lambda request: parts.append(request.url) if request.url.endswith("/parts") else None)
    # Parts after the first wait until the upload has been paused, so that something is left to resume.
    page.route("**/v1/uploads/*/parts", lambda route: route.continue_() if len(parts) < 2 else None)
    page.wait_for_selector(".jp-PerijoveFiles")
    page.evaluate(DROP_BIG, 2 * PART)
    upload = page.locator(".jp-PerijoveUpload", has_text="big.txt")
    expect(upload).to_contain_text("8.4 MB of 16.8 MB")
    upload.get_by_role("button", name="Pause big.txt").click()
    expect(upload).to_contain_text("Paused at 50 %")
    page.unroute_all(behavior="ignoreErrors")
    page.goto(lab.url)
    page.locator('.lm-TabBar-tab[data-id="perijove-panel"]').click()
    page.wait_for_selector(".jp-PerijoveFiles")
    sent = len(parts)
    page.evaluate(DROP_BIG, 2 * PART)
    expect(row(page, "big.txt")).to_be_visible()
    expect(row(page, "big.txt")).to_contain_text("16.8 MB")
    assert len(parts) - sent == 1


def test_download_gives_the_same_bytes(page: Page, drop_files: Drop) -> None:
    text = examples(3)
    drop_files(page, {"back.jsonl": text})
    row(page, "back.jsonl").click()
    with page.expect_download() as download:
        page.locator('[data-command="perijove:download-file"]').first.click()
    assert download.value.suggested_filename == "back.jsonl"
    assert download.value.path().read_text() == text


def test_several_files_are_deleted_after_one_question(page: Page, drop_files: Drop) -> None:
    drop_files(page, {"gone-1.txt": "1", "gone-2.txt": "2"})
    expect(row(page, "gone-2.txt")).to_be_visible()
    row(page, "gone-1.txt").click()
    row(page, "gone-2.txt").click(modifiers=["Control"])
    page.keyboard.press("Delete")
    expect(page.locator(".jp-Dialog")).to_contain_text("Delete 2 files?")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(row(page, "gone-")).to_have_count(0)
