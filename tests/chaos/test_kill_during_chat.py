"""The platform, or its engine, is killed while an answer is streamed."""

import json
from typing import Any

import httpx
import pytest
from killable_platform import KillablePlatform, alive, eventually

pytestmark = pytest.mark.timeout(420)
LONG = "Count from one to one thousand in words."


def chat_model(platform: KillablePlatform) -> str:
    def available() -> str | None:
        chat = [model for model in platform.get("/v1/models")["data"] if model["kind"] == "chat"]
        return next((model["id"] for model in chat if model["state"] in ("available", "loaded")), None)

    return eventually(available, what="a chat model")


def body(model: str, *, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": LONG}]
    limit = 1500 if stream else 8
    return {"model": model, "messages": messages, "stream": stream, "max_tokens": limit, "logit_bias": {"2": -100}}


def answers(platform: KillablePlatform, model: str) -> bool:
    answer = platform.client.post("/v1/chat/completions", json=body(model, stream=False), timeout=120)
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["choices"][0]["message"]["content"])


def test_a_killed_platform_leaves_no_engine_and_answers_again(killable: KillablePlatform) -> None:
    model = chat_model(killable)
    frames = []
    request = killable.client.stream("POST", "/v1/chat/completions", json=body(model, stream=True))
    with pytest.raises(httpx.TransportError), request as stream:
        for line in stream.iter_lines():
            frames.append(line)
            if len(frames) == 10:
                engines = killable.children()
                assert engines
                killable.kill()
    assert "data: [DONE]" not in frames
    eventually(lambda: not any(map(alive, engines)), what="the end of the orphaned engine")
    killable.start()
    assert {found["state"] for found in killable.get("/v1/models")["data"] if found["id"] == model} == {"available"}
    assert answers(killable, model)
    assert len(killable.children()) == 1
    killable.check_rest()


def test_a_killed_engine_ends_the_stream_with_an_error_and_is_replaced(killable: KillablePlatform) -> None:
    model = chat_model(killable)
    frames = []
    with killable.client.stream("POST", "/v1/chat/completions", json=body(model, stream=True)) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                frames.append(line[6:])
            if len(frames) == 5:
                for engine in killable.children():
                    if alive(engine):
                        engine.kill()
    failure = next(json.loads(frame)["error"] for frame in frames if frame.startswith('{"error"'))
    assert failure["type"] == "server_error"
    assert failure["message"]
    assert answers(killable, model)
    killable.check_rest()
