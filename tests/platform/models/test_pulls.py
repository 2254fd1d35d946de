"""Pulls from a hub over real HTTP: whole, resumed, damaged, cancelled, cut off, restarted."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HUB = {"type": "hub", "repo": "org/repo"}


@pytest.fixture
def gguf_bytes(tiny_gguf: Callable[..., Path], tmp_path: Path) -> bytes:
    return tiny_gguf(tmp_path / "origin.gguf", floats=64 * 1024).read_bytes()


async def test_pull(platform: Any, hub: Any, gguf_bytes: bytes, tmp_path: Path) -> None:
    hub.files = {"model.Q8_0.gguf": gguf_bytes, "model.Q4_K_M.gguf": gguf_bytes, "mmproj-model.gguf": gguf_bytes}
    response = await platform.client.post("/v1/models", json={"source": HUB})
    assert response.status_code == 202
    body = response.json()
    assert (body["id"], body["state"]) == ("org/repo", "pulling")
    assert body["progress"] == {"bytes": 0, "total_bytes": len(gguf_bytes)}
    assert body["source"]["file"] == "model.Q4_K_M.gguf" and body["source"]["revision"] == "c0ffee"
    model = await platform.settled("org/repo")
    assert (model["state"], model["size_bytes"], model["context_length"]) == ("available", len(gguf_bytes), 2048)
    assert model["parameters"] == 64 * 1024 and model["progress"] is None
    (entry,) = await platform.service.snapshot()
    assert entry.path is not None and entry.path.read_bytes() == gguf_bytes
    assert (await platform.event_types("org/repo"))[0] == "model.created"
    assert (await platform.client.delete("/v1/models/org/repo")).json()["deleted"] is True
    async with asyncio.timeout(60):
        while entry.path.exists():
            await asyncio.sleep(0.01)


async def test_split_model(platform: Any, hub: Any, tiny_gguf: Callable[..., Path], tmp_path: Path) -> None:
    names = [f"Q4_0/big-0000{n}-of-00002.gguf" for n in (1, 2)]
    hub.files = {name: tiny_gguf(tmp_path / name).read_bytes() for name in names}
    await platform.client.post("/v1/models", json={"source": HUB, "id": "big"})
    model = await platform.settled("big")
    assert model["state"] == "available" and model["size_bytes"] == sum(map(len, hub.files.values()))


async def test_interrupted_transfers_are_resumed(platform: Any, hub: Any, gguf_bytes: bytes) -> None:
    hub.files, hub.cut_after = {"m.gguf": gguf_bytes}, 100_000
    await platform.client.post("/v1/models", json={"source": HUB, "id": "m"})
    model = await platform.settled("m")
    assert model["state"] == "available"
    assert hub.ranges[0] is None and len(hub.ranges) > 2
    starts = [int(value.removeprefix("bytes=").removesuffix("-")) for value in hub.ranges[1:]]
    assert starts == sorted(starts) and starts[0] > 0


async def test_wrong_checksum(platform: Any, hub: Any, gguf_bytes: bytes, tmp_path: Path) -> None:
    hub.files, hub.sha256 = {"m.gguf": gguf_bytes}, {"m.gguf": "0" * 64}
    await platform.client.post("/v1/models", json={"source": HUB, "id": "m"})
    model = await platform.settled("m")
    assert model["state"] == "failed" and "SHA-256" in model["state_reason"]
    assert not list((tmp_path / "data" / "models").rglob("*.gguf*"))
    hub.sha256 = {}
    assert (await platform.client.post("/v1/models", json={"source": HUB, "id": "m"})).status_code == 202
    assert (await platform.settled("m"))["state"] == "available"


async def test_cancel(platform: Any, hub: Any, gguf_bytes: bytes, tmp_path: Path) -> None:
    hub.files, hub.hold_after = {"m.gguf": gguf_bytes}, 100_000
    await platform.client.post("/v1/models", json={"source": HUB, "id": "m"})
    await hub.holding.wait()
    assert (await platform.client.post("/v1/models/m/cancel")).status_code == 200
    assert (await platform.client.get("/v1/models/m")).status_code == 404
    assert not list((tmp_path / "data" / "models").iterdir())
    assert (await platform.event_types("m"))[-1] == "model.deleted"
    assert await platform.service.snapshot() == []


async def test_restart_goes_on(platform_at: Any, hub: Any, gguf_bytes: bytes, tmp_path: Path) -> None:
    hub.files, hub.hold_after = {"m.gguf": gguf_bytes}, 100_000
    first = await platform_at()
    await first.client.post("/v1/models", json={"source": HUB, "id": "m"})
    async with asyncio.timeout(60):
        while not any(p.stat().st_size for p in (tmp_path / "data" / "models").rglob("*.partial")):
            await asyncio.sleep(0.01)
    await first.stop()
    (partial,) = (tmp_path / "data" / "models").rglob("*.partial")
    have = partial.stat().st_size
    hub.hold_after = None
    second = await platform_at()
    assert (await second.settled("m"))["state"] == "available"
    assert hub.ranges[-1] == f"bytes={have}-"


async def test_what_arrives_must_be_a_model(platform: Any, hub: Any) -> None:
    hub.files = {"m.gguf": b"surely not a model"}
    await platform.client.post("/v1/models", json={"source": HUB, "id": "m"})
    model = await platform.settled("m")
    assert model["state"] == "failed" and "not a GGUF" in model["state_reason"]


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        ({"type": "hub", "repo": "org/none"}, 404, "HF_TOKEN"),
        ({"type": "hub", "repo": "org/repo", "file": "x.gguf"}, 404, "has no GGUF file"),
        ({"type": "hub", "repo": "org/repo"}, 400, "holds no GGUF model"),
        ({"type": "hub", "repo": "../../etc"}, 400, "repo"),
    ],
)
async def test_refused_at_once(platform: Any, hub: Any, source: dict[str, str], status: int, says: str) -> None:
    response = await platform.client.post("/v1/models", json={"source": source})
    assert response.status_code == status and says in response.json()["error"]["message"]
    assert (await platform.client.get("/v1/models")).json()["data"] == []


async def test_no_network(platform_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    platform = await platform_at()
    response = await platform.client.post("/v1/models", json={"source": HUB})
    assert response.status_code == 503
    message = response.json()["error"]["message"]
    assert "cannot be reached" in message and "register it by its path" in message


async def test_no_space(platform: Any, hub: Any, gguf_bytes: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files = {"m.gguf": gguf_bytes}
    monkeypatch.setattr("perijove_platform.models.service._DISK_MARGIN_BYTES", 1 << 60)
    response = await platform.client.post("/v1/models", json={"source": HUB})
    assert response.status_code == 507 and "Free space" in response.json()["error"]["message"]


async def test_token_goes_to_the_hub_and_nowhere_else(
    platform_at: Any, hub: Any, gguf_bytes: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_hidden")
    caplog.set_level("DEBUG")
    hub.files = {"m.gguf": gguf_bytes}
    platform = await platform_at()
    await platform.client.post("/v1/models", json={"source": HUB, "id": "m"})
    model = await platform.settled("m")
    assert hub.tokens and set(hub.tokens) == {"Bearer hf_hidden"}
    assert "hf_hidden" not in caplog.text + str(model)
