"""The examples of the user pages, run as they stand: Python in a real kernel, shell lines in a shell."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import nbformat
import openai
import pytest
from nbclient import NotebookClient
from pdf_files import make_pdf
from perijove_platform.discovery import Connection

PAGES = Path(__file__).parents[2] / "docs" / "users"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CELL_SECONDS = 1500
PREPARED = """
import pandas as pd
import perijove
df = pd.DataFrame({"question": ["Where is the key?", "Who has it?"], "answer": ["In the blue cabinet.", "Ada."]})
topic = "tides"
from openai import OpenAI
client = perijove.client()
"""
EXAMPLE = '{"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]}\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: Connection) -> Path:
    """A current folder with the files that the pages name, in an environment that leads to the platform."""
    for name, value in {
        "PERIJOVE_BASE_URL": platform.base_url,
        "PERIJOVE_API_KEY": platform.api_key,
        "URL": platform.base_url,
        "BASE_URL": platform.base_url,
        "KEY": platform.api_key,
        "API_KEY": platform.api_key,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "train.jsonl").write_text(EXAMPLE * 12)
    (tmp_path / "notes.md").write_text("# Notes\n\nThe shop opens at nine.\n")
    (tmp_path / "rules.md").write_text("# Rules\n\nThe warranty lasts two years.\n")
    for name in ("report.pdf", "handbook.pdf"):
        (tmp_path / name).write_bytes(make_pdf("Sales in the north grew by a third."))
    return tmp_path


@pytest.fixture
def placeholders(platform: Connection) -> Iterator[dict[str, str]]:
    """What stands in the pages for things of the reader's own."""
    with openai.OpenAI(base_url=f"{platform.base_url}/v1", api_key=platform.api_key) as client:
        file = client.files.create(file=("train.jsonl", EXAMPLE.encode() * 12), purpose="fine-tune")
        notes = client.files.create(file=("notes.md", b"The shop opens at nine."), purpose="assistants")
        store = client.vector_stores.create(name="pages")
        client.vector_stores.files.create_and_poll(notes.id, vector_store_id=store.id)
        before = everything(client)
        yield {
            "http://127.0.0.1:8790": platform.base_url,
            'api_key="…"': f'api_key="{platform.api_key}"',
            "file-…": file.id,
            "vs_…": store.id,
        }
        # Other tests share the platform and count what is there.
        for kind, ids in everything(client).items():
            for made in ids - before[kind]:
                getattr(client, kind).delete(made)
        client.vector_stores.delete(store.id)
        for upload in (file, notes):
            client.files.delete(upload.id)


def everything(client: openai.OpenAI) -> dict[str, set[str]]:
    """The ids of all that a page may make, by the name of the client's part for them."""
    return {
        "models": {model.id for model in client.models.list()},
        "files": {file.id for file in client.files.list()},
        "vector_stores": {store.id for store in client.vector_stores.list()},
    }


def blocks(page: str, placeholders: dict[str, str]) -> Iterator[tuple[str, str]]:
    text = (PAGES / page).read_text()
    for placeholder, own in placeholders.items():
        text = text.replace(placeholder, own)
    for language, code in BLOCK.findall(text):
        yield ("python" if code.startswith("%%") else language), code


@pytest.mark.timeout(CELL_SECONDS + 300)
@pytest.mark.parametrize("page", ["notebooks.md", "batch-jobs.md", "chat.md", "files.md", "vector-stores.md"])
def test_the_examples_of_a_page_run(page: str, folder: Path, placeholders: dict[str, str]) -> None:
    found = list(blocks(page, placeholders))
    cells = [nbformat.v4.new_code_cell(code) for language, code in found if language == "python"]
    assert cells
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PREPARED), *cells])
    NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    for language, code in found:
        if language == "sh":
            strict = 'set -euo pipefail\ncurl() { command curl --fail-with-body -sS "$@"; }\n' + textwrap.dedent(code)
            done = subprocess.run(["bash", "-c", strict], cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
