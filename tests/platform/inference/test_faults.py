"""Who leaves, what dies, and what is refused: clients that disconnect, engines that are killed, full queues."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest
from inference_gateway import Gateway, entry, gateway_in
from openai import AsyncOpenAI
from perijove_platform.errors import RateLimited, Unavailable
from perijove_platform.inference.admission import Admission
from perijove_platform.inference.catalog import ModelKind, ModelState

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 60
LONG: Any = {
    "model": "smollm2",
    "messages": [{"role": "user", "content": "Write a very long story."}],
    "max_tokens": 1500,
    "logit_bias": {"2": -100},
}


async def _busy_slots(gateway: Gateway) -> int:
    serving = gateway.app.state.inference._router
    model = await serving.resolve("-", "smollm2", ModelKind.CHAT)
    async with serving.lease(model) as route, httpx.AsyncClient(headers=route.endpoint.headers) as client:
        slots = (await client.get(f"{route.endpoint.base_url}/slots")).json()
    return sum(slot["is_processing"] for slot in slots)


async def _until_idle(gateway: Gateway) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while await _busy_slots(gateway):
        assert time.monotonic() < deadline, "the engine goes on although nobody reads"
        await asyncio.sleep(0.05)


async def _until_busy(gateway: Gateway) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await _busy_slots(gateway):
        assert time.monotonic() < deadline, "the engine was not asked"
        await asyncio.sleep(0.02)


async def test_a_client_that_leaves_its_stream_stops_the_engine(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with http.stream("POST", "/v1/chat/completions", json={**LONG, "stream": True}) as response:
        lines = response.aiter_lines()  # held: a collected iterator closes the response
        chunks = 0
        while chunks < 5:
            chunks += (await anext(lines)).startswith("data: ")
        assert await _busy_slots(gateway) == 1
    await _until_idle(gateway)
    page = (await http.get("/v1/usage")).json()
    # Its hour may have ended meanwhile, and another bucket be the last.
    [used] = [result for bucket in page["data"] for result in bucket["results"]]
    assert used["model"] == "smollm2" and 3 <= used["output_tokens"] < 1500 and used["input_tokens"] > 10


async def test_a_client_that_leaves_without_a_stream_stops_the_engine(
    gateway: Gateway, http: httpx.AsyncClient
) -> None:
    request = asyncio.create_task(http.post("/v1/chat/completions", json=LONG))
    await _until_busy(gateway)
    request.cancel()
    await _until_idle(gateway)


def _kill_engine(gateway: Gateway) -> None:
    """Of this gateway: other tests' platforms are children of this process too, and may end meanwhile."""
    killed = 0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if Path(child.cwd()).is_relative_to(gateway.engines_dir):
                child.kill()
                killed += 1
    assert killed


async def test_an_engine_killed_in_a_stream_ends_it_with_an_error(
    gateway: Gateway, http: httpx.AsyncClient, openai_client: AsyncOpenAI
) -> None:
    events: list[str] = []
    async with http.stream("POST", "/v1/chat/completions", json={**LONG, "stream": True}) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events.append(line[6:])
            if len(events) == 4:
                _kill_engine(gateway)
                events.append("killed")
    error = json.loads(events[-1])["error"]
    assert error["code"] == "engine_failed" and "again" in error["message"]
    assert "[DONE]" not in events
    again = await openai_client.chat.completions.create(**{**LONG, "max_tokens": 2})
    assert again.choices[0].message.content
    with pytest.raises(openai.APIError, match="again"):
        stream = await openai_client.chat.completions.create(**LONG, stream=True)
        await anext(aiter(stream))
        _kill_engine(gateway)
        async for _ in stream:
            pass
    with pytest.raises(openai.InternalServerError) as caught:
        asking = asyncio.create_task(openai_client.chat.completions.create(**LONG))
        await _until_busy(gateway)
        _kill_engine(gateway)
        await asking
    assert caught.value.status_code in (502, 503) and caught.value.code == "engine_failed"
    streamed: list[Any] = []
    async for event in await openai_client.responses.create(model="smollm2", input="Write a story.", stream=True):
        streamed.append(event)
        if len(streamed) == 6:
            _kill_engine(gateway)
    assert [event.type for event in streamed[-2:]] == ["error", "response.failed"]
    stored = await openai_client.responses.retrieve(streamed[0].response.id)
    assert stored.status == "failed" and stored.model_dump() == streamed[-1].response.model_dump()
    assert stored.error is not None and stored.error.code == "server_error" and "again" in stored.error.message
    message: Any = stored.output[0]
    assert message.status == "incomplete" and message.content[0].text
    again_from_it = await openai_client.responses.create(
        model="smollm2", input="Go on.", previous_response_id=stored.id, max_output_tokens=2
    )
    assert again_from_it.output_text


async def test_a_response_whose_reader_leaves_is_stored_as_cancelled(
    gateway: Gateway, openai_client: AsyncOpenAI
) -> None:
    stream = await openai_client.responses.create(model="smollm2", input="Write a story.", stream=True)
    events = aiter(stream)
    seen: list[Any] = [await anext(events)]
    while seen[-1].type != "response.output_text.delta":
        seen.append(await anext(events))
    await stream.close()
    deadline = time.monotonic() + PATIENCE_SECONDS
    stored = None
    while stored is None:
        assert time.monotonic() < deadline
        with contextlib.suppress(openai.NotFoundError):
            stored = await openai_client.responses.retrieve(seen[0].response.id)
        await asyncio.sleep(0.05)
    assert stored.status == "cancelled" and stored.error is None
    message: Any = stored.output[0]
    assert message.status == "incomplete" and message.content[0].text.startswith(seen[-1].delta)
    await _until_idle(gateway)


async def test_models_that_cannot_answer_say_why(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.models.entries += [
        entry("pulling", state=ModelState.PULLING, path=None),
        entry("broken", state=ModelState.FAILED, state_reason="its checksum is wrong"),
        entry("elsewhere", project_id="proj_other"),
        entry("orphan", base_key="model-gone"),
    ]
    expected = {
        "pulling": (503, "pulled"),
        "broken": (503, "checksum"),
        "elsewhere": (404, "exist"),
        "orphan": (503, "base"),
    }
    for model, (status, word) in expected.items():
        answer = await http.post("/v1/chat/completions", json={**LONG, "model": model})
        assert (answer.status_code, word in answer.json()["error"]["message"]) == (status, True), answer.text
        assert "proj_other" not in answer.text


async def test_a_full_platform_refuses_with_a_reason(tmp_path: Path) -> None:
    async with gateway_in(tmp_path / "data", Admission(concurrent=1, queued=1, queue_seconds=120)) as gateway:
        async with httpx.AsyncClient(base_url=gateway.base_url, headers=gateway.headers, timeout=120) as http:
            body = {**LONG, "max_tokens": 60}
            answers = await asyncio.gather(*(http.post("/v1/chat/completions", json=body) for _ in range(4)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200, 200, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "queue_full" and refused.headers["retry-after"]


async def test_admission_is_fair_and_loses_no_place() -> None:
    admission = Admission(concurrent=1, queued=2, queue_seconds=PATIENCE_SECONDS)
    order: list[int] = []
    ended = asyncio.Event()

    async def work(number: int) -> None:
        async with admission.slot():
            order.append(number)
            await ended.wait()

    first = asyncio.create_task(work(0))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(work(1)), asyncio.create_task(work(2))]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await work(3)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    waiting.append(asyncio.create_task(work(4)))
    ended.set()
    await asyncio.gather(first, *waiting[1:])
    await work(5)
    assert order == [0, 2, 4, 5]


async def test_who_waited_too_long_is_told_and_leaves_no_place_taken() -> None:
    admission = Admission(concurrent=1, queued=1, queue_seconds=0.05)
    async with admission.slot():
        for _ in range(2):
            with pytest.raises(Unavailable, match="waited"):
                async with admission.slot():
                    pass
    async with admission.slot():
        pass


async def test_loading_is_seen_by_those_who_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway_in(tmp_path / "data") as gateway:
        async with httpx.AsyncClient(base_url=gateway.base_url, headers=gateway.headers, timeout=60) as http:
            body = {**LONG, "max_tokens": 2, "stream": True}
            monkeypatch.setattr("perijove_platform.inference.sse.FIRST_COMMENT_SECONDS", PATIENCE_SECONDS)
            refused = await http.post("/v1/chat/completions", json={**body, "model": "nothing"})
            monkeypatch.setattr("perijove_platform.inference.sse.FIRST_COMMENT_SECONDS", 0.01)
            response = await http.post("/v1/chat/completions", json=body)
    assert refused.status_code == 404
    assert response.text.startswith(": waiting for the model\n\n")
    assert response.text.endswith("data: [DONE]\n\n")
