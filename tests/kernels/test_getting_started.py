"""The getting-started notebook, run top to bottom in a real kernel against a real platform."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from perijove_platform.discovery import Connection

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "getting-started.ipynb"
# The first run on a machine installs the training stack.
CELL_SECONDS = 1500


def shown(cell: NotebookNode) -> str:
    """Everything that a cell shows, as text."""
    parts = []
    for output in cell.outputs:
        data = output.get("data", {})
        parts += [
            output.get("text", ""),
            data.get("text/html", ""),
            data.get("text/markdown", data.get("text/plain", "")),
        ]
    return "\n".join(parts)


@pytest.mark.timeout(CELL_SECONDS + 300)
def test_the_notebook_runs_and_shows_what_it_promises(
    platform: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PERIJOVE_BASE_URL", platform.base_url)
    monkeypatch.setenv("PERIJOVE_API_KEY", platform.api_key)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    runner = NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    runner.execute()
    cells = {cell.source.split("\n")[0]: shown(cell) for cell in notebook.cells if cell.cell_type == "code"}

    assert len(cells["%%chat --max-tokens 120"]) > 20
    assert "CompletionUsage" in cells["import perijove"]
    tuned = cells['run = perijove.fine_tune(df, base=base, suffix="kestrel", epochs=8, batch_size=4, seed=1)']
    assert "succeeded" in tuned
    assert "Training loss, now" in tuned
    asked = cells["def ask(model: str, question: str) -> str:"]
    before, after = asked.split("before:")[1].split("after:")
    assert "north dome" not in before
    assert "north dome" in after
    assert "Thursdays" in cells["store = perijove.vector_store("]
    assert "ft:" in cells["perijove.created()"]
    assert "Cleaned up" in cells["perijove.clean_up()"]
