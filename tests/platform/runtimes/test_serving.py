"""Serving with real engines and the real default model."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from perijove_platform.errors import Unavailable
from perijove_platform.runtimes.base import AdapterSpec, Endpoint, EngineState, EngineUpdate, ModelSpec
from perijove_platform.runtimes.local.cluster import local_serving, local_supervisor
from perijove_platform.runtimes.local.serving import LocalServing
from perijove_platform.settings import Settings

MIB = 1 << 20


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., LocalServing]]:
    """Makes a serving with the given settings; stopped at the end of the test."""
    made = []
    supervisor = local_supervisor(Settings(data_dir=tmp_path))

    def make(room_seconds: float = 60.0, **changes: Any) -> LocalServing:
        settings = Settings(data_dir=tmp_path, max_context_length=512, **changes)
        made.append(local_serving(settings, supervisor, room_seconds=room_seconds))
        return made[-1]

    yield make
    for serving in made:
        await serving.stop()
    await supervisor.stop()


async def say(endpoint: Endpoint, **more: object) -> str:
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, "temperature": 0, "seed": 1, **more}
    async with httpx.AsyncClient(timeout=60, headers=dict(endpoint.headers)) as client:
        response = await client.post(f"{endpoint.base_url}/v1/chat/completions", json=body)
    response.raise_for_status()
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


async def until(updates: AsyncIterator[EngineUpdate], state: EngineState) -> EngineUpdate:
    async with asyncio.timeout(60):
        async for update in updates:
            if update.state is state:
                return update
    raise AssertionError("the watch ended")


async def test_first_use_loads_once_while_all_wait(start: Callable[..., LocalServing], smollm2: Path) -> None:
    serving = start()
    updates = serving.watch()

    async def use() -> tuple[str, str]:
        async with serving.use(ModelSpec(model_id="m", path=smollm2)) as endpoint:
            return endpoint.base_url, await say(endpoint)

    answers = await asyncio.gather(*(use() for _ in range(6)))
    assert len({base_url for base_url, _ in answers}) == 1 and all(text for _, text in answers)
    assert [(await anext(updates)).state for _ in range(2)] == [EngineState.LOADING, EngineState.READY]
    (engine,) = serving.engines()
    assert engine.state is EngineState.READY and (engine.memory_bytes or 0) > 100 * MIB
    await serving.unload("m")
    assert (await anext(updates)).state is EngineState.STOPPED and serving.engines() == []


async def test_the_engine_wants_its_secret(start: Callable[..., LocalServing], smollm2: Path) -> None:
    async with start().use(ModelSpec(model_id="m", path=smollm2)) as endpoint, httpx.AsyncClient() as client:
        refused = await client.post(f"{endpoint.base_url}/v1/chat/completions", json={"messages": []})
        assert refused.status_code == 401
        command_lines = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
        secret = endpoint.headers["Authorization"].removeprefix("Bearer ")
        assert not any(secret in line for line in command_lines)


async def test_adapter_replaces_the_engine_and_the_old_one_finishes(
    start: Callable[..., LocalServing], smollm2: Path, lora_adapter: Path
) -> None:
    serving = start()
    base = ModelSpec(model_id="m", path=smollm2)
    tuned = ModelSpec(model_id="m", path=smollm2, adapters=[AdapterSpec(model_id="ft", path=lora_adapter)])
    async with serving.use(base) as old:
        async with serving.use(tuned) as new:
            assert new.base_url != old.base_url
            plain = await say(old)
            index = new.adapter_index["ft"]
            for scale in (0.0, 1.0, 0.0, 1.0):
                said = await say(new, lora=[{"id": index, "scale": scale}])
                assert (said == plain) is (scale == 0.0)
        async with serving.use(base) as same:  # an engine with more adapters than are asked for will do
            assert same.base_url == new.base_url
    with pytest.raises(httpx.TransportError):
        async with asyncio.timeout(60):
            while True:
                await say(old)


async def test_crash_fails_the_users_and_the_next_use_restarts(
    start: Callable[..., LocalServing], smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perijove_platform.runtimes.local.serving._CRASH_NOTICE_SECONDS", 60.0)
    serving = start()
    updates = serving.watch()
    spec = ModelSpec(model_id="m", path=smollm2)
    with pytest.raises(Unavailable, match="Send the request again"):
        async with serving.use(spec) as endpoint:
            os.kill(engine_pid(tmp_path), signal.SIGSEGV)
            while True:
                await say(endpoint)
    assert "SIGSEGV" in ((await until(updates, EngineState.FAILED)).reason or "")
    async with serving.use(spec) as endpoint:
        assert await say(endpoint)


def engine_pid(data_dir: Path) -> int:
    import json

    (record,) = (data_dir / "engines" / "processes").glob("*.json")
    pid: int = json.loads(record.read_text())["pid"]
    return pid


async def test_least_recently_used_makes_room(start: Callable[..., LocalServing], smollm2: Path) -> None:
    serving = start(engine_memory_bytes=700 * MIB)
    for name in ("a", "b", "a", "c"):
        async with serving.use(ModelSpec(model_id=name, path=smollm2)):
            pass
    assert [engine.model_id for engine in serving.engines()] == ["a", "c"]


async def test_a_model_in_use_is_not_evicted(start: Callable[..., LocalServing], smollm2: Path) -> None:
    serving = start(room_seconds=0.2, engine_memory_bytes=400 * MIB)
    async with serving.use(ModelSpec(model_id="a", path=smollm2)) as endpoint:
        with pytest.raises(Unavailable, match="other models are in use"):
            async with serving.use(ModelSpec(model_id="b", path=smollm2)):
                pass
        assert await say(endpoint)


async def test_the_end_of_a_lease_makes_room(start: Callable[..., LocalServing], smollm2: Path) -> None:
    serving = start(engine_memory_bytes=400 * MIB)
    async with serving.use(ModelSpec(model_id="a", path=smollm2)) as endpoint:
        waiting = asyncio.create_task(first_url(serving, ModelSpec(model_id="b", path=smollm2)))
        await asyncio.sleep(0.2)
        assert await say(endpoint) and not waiting.done()
    assert await waiting
    assert [engine.model_id for engine in serving.engines()] == ["b"]


async def first_url(serving: LocalServing, spec: ModelSpec) -> str:
    async with serving.use(spec) as endpoint:
        return endpoint.base_url


async def test_too_large_for_the_budget(start: Callable[..., LocalServing], smollm2: Path) -> None:
    serving = start(engine_memory_bytes=50 * MIB)
    with pytest.raises(Unavailable, match="PERIJOVE_ENGINE_MEMORY_BYTES"):
        async with serving.use(ModelSpec(model_id="m", path=smollm2)):
            pass
    assert serving.engines() == []


async def test_idle_engines_are_unloaded(start: Callable[..., LocalServing], smollm2: Path) -> None:
    serving = start(engine_idle_seconds=0.2)
    updates = serving.watch()
    async with serving.use(ModelSpec(model_id="m", path=smollm2)):
        await asyncio.sleep(0.5)  # longer than the idle time: a lease is no idleness
        assert serving.engines()
    await until(updates, EngineState.STOPPED)
    assert serving.engines() == []


async def test_unload_waits_for_the_lease(start: Callable[..., LocalServing], smollm2: Path) -> None:
    serving = start()
    spec = ModelSpec(model_id="m", path=smollm2)
    async with serving.use(spec) as endpoint:
        unloading = asyncio.create_task(serving.unload("m"))
        await asyncio.sleep(0.1)
        assert await say(endpoint) and not unloading.done()
        assert await first_url(serving, spec) != endpoint.base_url
    await unloading


async def test_a_cancelled_caller_does_not_stop_the_load(start: Callable[..., LocalServing], smollm2: Path) -> None:
    serving = start()
    spec = ModelSpec(model_id="m", path=smollm2)
    first = asyncio.create_task(first_url(serving, spec))
    second = asyncio.create_task(first_url(serving, spec))
    await asyncio.sleep(0.05)
    first.cancel()
    assert await second


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "is missing"), (b"", "empty"), (b"not a model at all", "not a GGUF"), (b"GGUF\x03\0\0\0", "truncated")],
)
async def test_bad_files(start: Callable[..., LocalServing], tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "bad.gguf"
    if content is not None:
        path.write_bytes(content)
    serving = start()
    updates = serving.watch()
    with pytest.raises(Unavailable, match=says):
        async with serving.use(ModelSpec(model_id="m", path=path)):
            pass
    assert says in ((await until(updates, EngineState.FAILED)).reason or "")


async def test_what_only_the_engine_can_tell(
    start: Callable[..., LocalServing], tmp_path: Path, tiny_gguf: Callable[..., Path]
) -> None:
    path = tiny_gguf(tmp_path / "x.gguf", architecture="perijovian")
    with pytest.raises(Unavailable, match="architecture 'perijovian'"):
        async with start().use(ModelSpec(model_id="m", path=path)):
            pass


async def test_stop_ends_engines_watches_and_waiters(start: Callable[..., LocalServing], smollm2: Path) -> None:
    serving = start()
    updates = serving.watch()
    waiting = asyncio.create_task(first_url(serving, ModelSpec(model_id="m", path=smollm2)))
    await until(updates, EngineState.LOADING)
    await serving.stop()
    with pytest.raises(Unavailable, match="shutting down"):
        await waiting
    assert [update.state async for update in updates][-1:] in ([], [EngineState.FAILED], [EngineState.STOPPED])
    with pytest.raises(Unavailable, match="shutting down"):
        await first_url(serving, ModelSpec(model_id="m", path=smollm2))
