"""`/v1/models` as clients use it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from perijove_platform.errors import Conflict, NotFound
from perijove_platform.inference.catalog import ModelKind, ModelState


async def register(platform: Any, path: Path, name: str | None = None) -> httpx.Response:
    body = {"source": {"type": "path", "path": str(path)}} | ({"id": name} if name else {})
    response: httpx.Response = await platform.client.post("/v1/models", json=body)
    return response


async def test_register_load_unload_delete(platform: Any, smollm2: Path) -> None:
    model = (await register(platform, smollm2, "org/smol:135m")).json()
    assert (model["id"], model["state"], model["kind"]) == ("org/smol:135m", "available", "chat")
    assert (model["context_length"], model["parameters"]) == (8192, 134_515_008)
    assert (await platform.client.post("/v1/models/org/smol:135m/load")).json()["state"] in ("available", "loading")
    await platform.settled("org/smol:135m", "loaded")
    await platform.client.post("/v1/models/org/smol:135m/unload")
    await platform.settled("org/smol:135m", "available")
    # A state shows a moment before its event is there, and of a deleted model there is none.
    async with asyncio.timeout(60):
        while len(await platform.event_types("org/smol:135m")) < 4:
            await asyncio.sleep(0.01)
    deleted = await platform.client.delete("/v1/models/org/smol:135m")
    assert deleted.json() == {"id": "org/smol:135m", "object": "model", "deleted": True}
    assert smollm2.is_file()
    events = await platform.event_types("org/smol:135m")
    assert events == ["model.created", *["model.updated"] * 3, "model.deleted"]


async def test_failed_engine_shows_and_stays_usable(
    platform: Any, tiny_gguf: Callable[..., Path], tmp_path: Path
) -> None:
    await register(platform, tiny_gguf(tmp_path / "odd.gguf", architecture="perijovian"))
    await platform.client.post("/v1/models/odd/load")
    model = await platform.settled("odd", "failed")
    assert "architecture 'perijovian'" in model["state_reason"]
    (entry,) = await platform.service.snapshot()
    assert entry.state is ModelState.AVAILABLE


async def test_a_folder_with_one_model(platform: Any, tiny_gguf: Callable[..., Path], tmp_path: Path) -> None:
    tiny_gguf(tmp_path / "one" / "a b.gguf")
    assert (await register(platform, tmp_path / "one")).json()["id"] == "a-b"
    tiny_gguf(tmp_path / "one" / "c.gguf")
    refused = await register(platform, tmp_path / "one", "two")
    assert refused.status_code == 400 and "holds 2 models" in refused.json()["error"]["message"]


async def test_an_encoder_is_an_embedding_model(platform: Any, tiny_gguf: Callable[..., Path], tmp_path: Path) -> None:
    assert (await register(platform, tiny_gguf(tmp_path / "e.gguf", architecture="bert"))).json()["kind"] == "embedding"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b"%PDF-1.7", "not a GGUF"), (None, "There is no file"), (b"GGUF\x03\0\0\0\x01", "truncated")],
)
async def test_bad_files_are_refused(platform: Any, tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "m.gguf"
    if content is not None:
        path.write_bytes(content)
    response = await register(platform, path)
    assert response.status_code == 400
    error = response.json()["error"]
    assert says in error["message"] and error["param"] == "source.path"


async def test_truncated_real_model_and_adapter(
    platform: Any, smollm2: Path, lora_adapter: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gguf"
    with smollm2.open("rb") as file:
        cut.write_bytes(file.read(4_000_000))
    response = await register(platform, cut)
    assert response.status_code == 400 and "truncated" in response.json()["error"]["message"]
    response = await register(platform, lora_adapter)
    assert response.status_code == 400 and "LoRA adapter" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"source": {"type": "path"}},
        {"source": {"type": "path", "path": "relative.gguf"}},
        {"source": {"type": "magic"}},
        {"source": {"type": "path", "path": "/\0"}},
        {"source": {"type": "path", "path": "/x"}, "surprise": 1},
        {"source": {"type": "path", "path": "/x"}, "id": "a b"},
    ],
)
async def test_bad_requests(platform: Any, body: dict[str, Any]) -> None:
    response = await platform.client.post("/v1/models", json=body)
    assert response.status_code == 400 and response.json()["error"]["message"]


@pytest.mark.parametrize("name", ["a/load", "a//b", "a/../b", "aliases", "x/aliases/y"])
async def test_names_that_routes_could_not_tell_apart(platform: Any, smollm2: Path, name: str) -> None:
    assert (await register(platform, smollm2, name)).status_code == 400


async def test_aliases(platform: Any, tiny_gguf: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "m.gguf")
    await register(platform, path, "org/a")
    await register(platform, path, "b")
    assert (await platform.client.post("/v1/models/org/a/aliases", json={"alias": "gpt-4o"})).json()["aliases"] == [
        "gpt-4o"
    ]
    assert (await platform.client.get("/v1/models/gpt-4o")).json()["id"] == "org/a"
    for taken in ("gpt-4o", "b", "org"):
        status = (await platform.client.post("/v1/models/b/aliases", json={"alias": taken})).status_code
        assert status == (201 if taken == "org" else 409)
    assert (await register(platform, path, "gpt-4o")).status_code == 409
    entries = {entry.model_id: entry.aliases for entry in await platform.service.snapshot()}
    assert entries == {"org/a": ("gpt-4o",), "b": ("org",)}
    assert (await platform.client.delete("/v1/models/org/a/aliases/gpt-4o")).json()["aliases"] == []
    assert (await platform.client.delete("/v1/models/org/a/aliases/gpt-4o")).status_code == 404
    assert (await platform.client.get("/v1/models/gpt-4o")).status_code == 404


async def test_adapter(platform: Any, smollm2: Path, lora_adapter: Path) -> None:
    caller = platform.users.local_caller()
    await register(platform, smollm2, "base")
    arguments = {"name": "ft:base:mine:1", "base_model": "base", "adapter_path": lora_adapter, "job_id": "ftjob-1"}
    tuned = await platform.service.register_adapter(caller, **arguments)
    assert (tuned.base_model, tuned.state, tuned.kind) == ("base", "available", "chat")
    assert await platform.service.register_adapter(caller, **arguments) == tuned
    with pytest.raises(Conflict):
        await platform.service.register_adapter(caller, **(arguments | {"job_id": "ftjob-2"}))
    with pytest.raises(NotFound):
        await platform.service.register_adapter(caller, **(arguments | {"name": "ft:x", "base_model": "gone"}))
    base, adapter = await platform.service.snapshot()
    assert adapter.base_key == base.key and adapter.kind is ModelKind.CHAT
    assert adapter.path.read_bytes() == lora_adapter.read_bytes() and adapter.path != lora_adapter
    assert len(list(adapter.path.parent.parent.iterdir())) == 1
    spec = await platform.service.spec(caller, "ft:base:mine:1")
    assert (spec.model_id, [a.model_id for a in spec.adapters]) == (base.key, [adapter.key])
    await platform.client.post("/v1/models/ft:base:mine:1/load")
    await platform.settled("ft:base:mine:1", "loaded")
    assert (await platform.client.get("/v1/models/base")).json()["state"] == "loaded"
    refused = await platform.client.delete("/v1/models/base")
    assert refused.status_code == 409 and "ft:base:mine:1" in refused.json()["error"]["message"]
    assert (await platform.client.delete("/v1/models/ft:base:mine:1")).status_code == 200
    assert (await platform.client.delete("/v1/models/base")).status_code == 200


async def test_list_and_cursors(platform: Any, tiny_gguf: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "m.gguf")
    for name in "abc":
        await register(platform, path, name)
    everything = (await platform.client.get("/v1/models")).json()
    assert [model["id"] for model in everything["data"]] == ["c", "b", "a"] and everything["has_more"] is False
    two = (await platform.client.get("/v1/models?limit=2&order=asc")).json()
    assert [model["id"] for model in two["data"]] == ["a", "b"] and two["has_more"] is True
    rest = (await platform.client.get("/v1/models?limit=2&order=asc&after=b")).json()
    assert [model["id"] for model in rest["data"]] == ["c"]
    assert (await platform.client.get("/v1/models?after=nobody")).status_code == 404


async def test_unknown_models(platform: Any) -> None:
    for method, path in (
        ("GET", "/v1/models/a/b"),
        ("DELETE", "/v1/models/a"),
        ("POST", "/v1/models/a/load"),
        ("POST", "/v1/models/a/unload"),
        ("POST", "/v1/models/a/cancel"),
    ):
        response = await platform.client.request(method, path)
        assert response.status_code == 404 and response.json()["error"]["code"] == "model_not_found"


async def test_same_name_at_the_same_time(platform: Any, tiny_gguf: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "m.gguf")
    statuses = [r.status_code for r in await asyncio.gather(*(register(platform, path, "m") for _ in range(5)))]
    assert sorted(statuses) == [202, 409, 409, 409, 409]


async def test_built_in_models(platform_at: Any, smollm2: Path) -> None:
    platform = await platform_at(install_default_models=True)
    models = {model["id"]: model for model in (await platform.client.get("/v1/models")).json()["data"]}
    assert models["SmolLM2-135M-Instruct"]["state"] == models["wordllama"]["state"] == "available"
    assert models["wordllama"]["kind"] == "embedding"
    assert (await platform.client.delete("/v1/models/wordllama")).status_code == 409
    assert (await platform.client.post("/v1/models/wordllama/load")).status_code == 202
    await platform.stop()
    again = await platform_at(install_default_models=True)
    assert len((await again.client.get("/v1/models")).json()["data"]) == 2
