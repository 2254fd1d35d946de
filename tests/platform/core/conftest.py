"""One object of each kind, for hostile requests to aim at."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from attacker import ENDLESS, Attacker, Routes
from random_model import write_random_model


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull that a request happens to begin ends at a closed port."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
async def attacker(no_hub: None, client: httpx.AsyncClient, tmp_path: Path) -> AsyncIterator[Attacker]:
    """With one object of each kind to aim at; afterwards everything can still be listed."""
    model = {"id": "chat", "source": {"type": "path", "path": str(write_random_model(tmp_path / "random.gguf"))}}
    (await client.post("/v1/models", json=model)).raise_for_status()
    form = {"purpose": (None, "user_data"), "file": ("text.txt", b"Saturn has rings.\n")}
    file = (await client.post("/v1/files", files=form)).raise_for_status().json()
    store = (await client.post("/v1/vector_stores", json={"file_ids": [file["id"]]})).raise_for_status().json()
    upload = {"filename": "f", "purpose": "user_data", "bytes": 5, "mime_type": "text/plain"}
    pending = (await client.post("/v1/uploads", json=upload)).raise_for_status().json()
    cluster = (await client.post("/v1/clusters", json={"name": "gpu"})).raise_for_status().json()
    ids = {
        "file_id": file["id"],
        "vector_store_id": store["id"],
        "upload_id": pending["id"],
        "cluster_id": cluster["id"],
        "project": "proj-local",
        "model": "chat",
        "operation": "completions",
    }
    attacker = Attacker(client, ids)
    yield attacker
    attacker.check()
    for method, path, _ in Routes():
        if method == "GET" and path not in ENDLESS and ("{" not in path or path.endswith("{vector_store_id}/files")):
            answer = await client.get(attacker.url(path))
            assert answer.status_code == 200, f"{path} afterwards: {answer.text[:500]}"
