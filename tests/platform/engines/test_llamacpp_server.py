"""What the gateway relies on in llama.cpp's server; a new version that behaves otherwise fails here."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from perijove_platform.runtimes.base import AdapterSpec, ModelSpec
from perijove_platform.runtimes.local.cluster import local_serving, local_supervisor
from perijove_platform.settings import Settings

HI = [{"role": "user", "content": "hi"}]
CHAT = "/v1/chat/completions"


async def engine_client(data_dir: Path, spec: ModelSpec, context: int = 512) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(data_dir=data_dir, max_context_length=context)
    supervisor = local_supervisor(settings)
    serving = local_serving(settings, supervisor)
    async with (
        serving.use(spec) as endpoint,
        httpx.AsyncClient(base_url=endpoint.base_url, headers=dict(endpoint.headers), timeout=60) as client,
    ):
        yield client
    await serving.stop()
    await supervisor.stop()


@pytest.fixture
async def engine(smollm2: Path, lora_adapter: Path, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    adapters = [AdapterSpec(model_id="ft", path=lora_adapter)]
    async for client in engine_client(tmp_path, ModelSpec(model_id="m", path=smollm2, adapters=adapters)):
        yield client


@pytest.fixture
async def long_winded(smollm2: Path, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """With room for an answer that takes a minute."""
    async for client in engine_client(tmp_path, ModelSpec(model_id="l", path=smollm2), context=8192):
        yield client


@pytest.fixture
async def embedder(smollm2: Path, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async for client in engine_client(tmp_path, ModelSpec(model_id="e", path=smollm2, embedding=True)):
        yield client


async def chat(engine: httpx.AsyncClient, **body: Any) -> Any:
    response = await engine.post(CHAT, json={"messages": HI, "temperature": 0, "max_tokens": 8, "seed": 1} | body)
    response.raise_for_status()
    return response.json()


async def test_base_and_adapter_take_turns_with_the_whole_lora_list(engine: httpx.AsyncClient) -> None:
    said: dict[float, set[str]] = {0.0: set(), 1.0: set()}
    for scale in (0.0, 1.0, 0.0, 1.0, 0.0):
        answer = await chat(engine, lora=[{"id": 0, "scale": scale}])
        said[scale].add(answer["choices"][0]["message"]["content"])
    assert len(said[0.0]) == len(said[1.0]) == 1 and said[0.0] != said[1.0]


async def test_stream_ends_with_usage_and_done(engine: httpx.AsyncClient) -> None:
    body = {"messages": HI, "max_tokens": 3, "stream": True, "stream_options": {"include_usage": True}}
    async with engine.stream("POST", CHAT, json=body) as response:
        lines = [line.removeprefix("data: ") async for line in response.aiter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    last = json.loads(lines[-2])
    assert last["choices"] == [] and last["usage"]["completion_tokens"] == 3


async def test_leaving_a_stream_frees_its_slot(long_winded: httpx.AsyncClient) -> None:
    body = {"messages": HI, "max_tokens": 8000, "stream": True, "ignore_eos": True}
    async with long_winded.stream("POST", CHAT, json=body) as response:
        lines = response.aiter_lines()  # held: a collected iterator closes the response
        await anext(lines)
        assert any(slot["is_processing"] for slot in (await long_winded.get("/slots")).json())
    async with asyncio.timeout(30):
        while any(slot["is_processing"] for slot in (await long_winded.get("/slots")).json()):
            await asyncio.sleep(0.01)


async def test_json_schema_constrains(engine: httpx.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    schema["additionalProperties"] = False
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    answer = await chat(engine, response_format=form, max_tokens=40)
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"])["ok"], bool)


async def test_logprobs(engine: httpx.AsyncClient) -> None:
    (first, *_) = (await chat(engine, logprobs=True, top_logprobs=2))["choices"][0]["logprobs"]["content"]
    assert first["logprob"] <= 0 and len(first["top_logprobs"]) == 2


async def test_too_long_says_how_long(engine: httpx.AsyncClient) -> None:
    response = await engine.post(CHAT, json={"messages": [{"role": "user", "content": "word " * 900}]})
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["n_ctx"]) == (400, "exceed_context_size_error", 512)


async def test_tokens_and_templates(engine: httpx.AsyncClient) -> None:
    tokens = (await engine.post("/tokenize", json={"content": "hello world"})).json()["tokens"]
    assert (await engine.post("/detokenize", json={"tokens": tokens})).json()["content"] == "hello world"
    assert "hi" in (await engine.post("/apply-template", json={"messages": HI})).json()["prompt"]
    assert (await engine.get("/metrics")).text.startswith("# HELP llamacpp:")


async def test_embeddings_have_length_one(embedder: httpx.AsyncClient) -> None:
    answer = (await embedder.post("/v1/embeddings", json={"input": ["a", "b"]})).json()
    assert [item["index"] for item in answer["data"]] == [0, 1]
    for item in answer["data"]:
        assert len(item["embedding"]) == 576
        assert sum(value * value for value in item["embedding"]) == pytest.approx(1.0, abs=1e-4)
