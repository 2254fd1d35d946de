"""Chat completions by the unmodified openai client, answered by a real SmolLM2."""

import json
import math
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
TIME: Any = {"type": "function", "function": {"name": "get_time", "description": "The time of day"}}


async def test_an_answer_has_everything_that_openai_promises(openai_client: AsyncOpenAI) -> None:
    raw = await openai_client.chat.completions.with_raw_response.create(
        model="small", messages=QUESTION, temperature=0, max_completion_tokens=24, service_tier="auto"
    )
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.id.startswith("chatcmpl-") and answer.object == "chat.completion"
    assert answer.model == "small"
    assert answer.system_fingerprint and answer.service_tier == "default"
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 0 < answer.usage.completion_tokens <= 24
    assert raw.headers["x-request-id"]


async def test_a_stream_equals_the_answer_and_ends_with_its_usage(openai_client: AsyncOpenAI) -> None:
    options: Any = {"model": "smollm2", "messages": QUESTION, "temperature": 0, "max_tokens": 16, "seed": 1}
    whole = await openai_client.chat.completions.create(**options)
    chunks = [
        chunk
        async for chunk in await openai_client.chat.completions.create(
            **options, stream=True, stream_options={"include_usage": True}
        )
    ]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {"smollm2"}
    assert chunks[-1].choices == [] and chunks[-1].usage is not None and whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert sum(len(chunk.choices[0].delta.content or "") > 0 for chunk in chunks[:-1]) > 3


async def test_the_bytes_of_a_stream(http: httpx.AsyncClient) -> None:
    body = {"model": "smollm2", "messages": QUESTION, "max_tokens": 3, "stream": True}
    response = await http.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    # While a busy machine has no answer yet, comments say that it is to come.
    events = [event for event in response.text.split("\n\n") if not event.startswith(": ")]
    assert events[-1] == "" and events[-2] == "data: [DONE]"
    assert all(event.startswith("data: ") for event in events[:-1])
    assert "usage" not in json.loads(events[0][6:])


async def test_the_stream_helper_parses_a_schema(openai_client: AsyncOpenAI) -> None:
    class City(BaseModel):
        name: str
        large: bool

    async with openai_client.chat.completions.stream(
        model="smollm2", messages=QUESTION, temperature=0, max_tokens=100, response_format=City
    ) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert "content.delta" in kinds
    assert isinstance(final.choices[0].message.parsed, City)


async def test_json_object(openai_client: AsyncOpenAI) -> None:
    answer = await openai_client.chat.completions.create(
        model="smollm2",
        messages=[{"role": "user", "content": 'Answer with the JSON object {"ok": true}'}],
        response_format={"type": "json_object"},
        temperature=0,
        max_tokens=200,
    )
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)
    assert (answer.choices[0].message.content or "").lstrip().startswith("{")


async def test_logprobs_are_those_of_the_tokens(openai_client: AsyncOpenAI) -> None:
    answer = await openai_client.chat.completions.create(
        model="smollm2", messages=QUESTION, temperature=0, max_tokens=4, logprobs=True, top_logprobs=3
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert "".join(token.token for token in logprobs.content) == answer.choices[0].message.content
    for token in logprobs.content:
        assert len(token.top_logprobs) == 3
        assert token.logprob <= 0 and bytes(token.bytes or []).decode() == token.token
        assert math.isclose(max(top.logprob for top in token.top_logprobs), token.logprob)
    without = await openai_client.chat.completions.create(
        model="smollm2", messages=QUESTION, temperature=0, max_tokens=2, logprobs=True
    )
    assert without.choices[0].logprobs is not None and without.choices[0].logprobs.content is not None
    assert without.choices[0].logprobs.content[0].top_logprobs == []


async def test_seed_stop_and_several_choices(openai_client: AsyncOpenAI) -> None:
    options: Any = {"model": "smollm2", "messages": QUESTION, "max_tokens": 12, "temperature": 1.2, "seed": -7}
    one = await openai_client.chat.completions.create(**options)
    again = await openai_client.chat.completions.create(**options)
    assert one.choices[0].message.content == again.choices[0].message.content
    first = await openai_client.chat.completions.create(**options, n=3)
    texts = [choice.message.content for choice in first.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2] and len(set(texts)) > 1
    assert first.usage is not None and one.usage is not None
    assert first.usage.prompt_tokens == one.usage.prompt_tokens
    assert first.usage.completion_tokens > 12
    counting: Any = {"model": "smollm2", "prompt": "One, two, three,", "temperature": 0, "max_tokens": 12}
    stopped = await openai_client.completions.create(**counting, stop=[" six", " never"])
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.choices[0].text == " four, five,"


async def test_logit_bias_bans_a_token(openai_client: AsyncOpenAI) -> None:
    options: Any = {"model": "smollm2", "prompt": "One, two, three,", "temperature": 0, "max_tokens": 1}
    free = await openai_client.completions.create(**options)
    # " four" in SmolLM2's vocabulary.
    banned = await openai_client.completions.create(**options, logit_bias={"1876": -100})
    assert free.choices[0].text == " four"
    assert banned.choices[0].text != " four"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
async def test_a_demanded_function_is_called_with_valid_arguments(openai_client: AsyncOpenAI, choice: Any) -> None:
    messages: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    options: Any = {"model": "smollm2", "messages": messages, "temperature": 0, "tool_choice": choice}
    answer = await openai_client.chat.completions.create(**options, tools=[WEATHER, TIME])
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls" and message.tool_calls is not None
    call: Any = message.tool_calls[0]
    assert call.function.name in ("get_weather", "get_time") and call.id
    if choice != "required":
        assert isinstance(json.loads(call.function.arguments)["city"], str)
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"}
    history = [*messages, message.model_dump(), result]
    after = await openai_client.chat.completions.create(model="smollm2", messages=history, max_tokens=8)
    assert after.choices[0].message.content


async def test_after_a_message_of_the_assistant_comes_a_new_turn(openai_client: AsyncOpenAI) -> None:
    """Not the rest of that message, as an engine would have it: its end and the next one's start are in the prompt."""
    user: Any = {"role": "user", "content": "Count to ten."}
    assistant: Any = {"role": "assistant", "content": "One, two, three,"}

    async def prompt_tokens(*messages: Any) -> int:
        answer = await openai_client.chat.completions.create(model="smollm2", messages=messages, max_tokens=1)
        assert answer.usage is not None
        return answer.usage.prompt_tokens

    one_more = await prompt_tokens(user, user) - await prompt_tokens(user)
    assert await prompt_tokens(user, assistant) == await prompt_tokens(user, assistant, user) - one_more
    answer = await openai_client.responses.create(model="smollm2", input=[user, assistant], max_output_tokens=4)
    assert answer.usage is not None and answer.usage.input_tokens == await prompt_tokens(user, assistant)


async def test_tool_calls_are_streamed(openai_client: AsyncOpenAI) -> None:
    async with openai_client.chat.completions.stream(
        model="smollm2",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],
        tool_choice="required",
        temperature=0,
    ) as stream:
        pieces = [event async for event in stream if event.type == "tool_calls.function.arguments.delta"]
        final = await stream.get_final_completion()
    assert len(pieces) > 2
    calls = final.choices[0].message.tool_calls
    assert calls and set(json.loads(calls[0].function.arguments)) == {"city"}


REFUSED = [
    ({"store": True}, "store"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"audio": {"voice": "a", "format": "wav"}}, "audio"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"verbosity": "low"}, "verbosity"),
    ({"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
    ({"temprature": 1}, "temprature"),
    ({"temperature": 3}, "temperature"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"n": 99}, "n"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        "messages[0].content[0].type",
    ),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "function": {"name": "bad name"}}]}, "tools[0].function.name"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
]


@pytest.mark.parametrize(("change", "param"), REFUSED)
async def test_what_is_not_honoured_is_refused_by_name(http: httpx.AsyncClient, change: Any, param: str) -> None:
    response = await http.post("/v1/chat/completions", json={"model": "smollm2", "messages": QUESTION, **change})
    error = response.json()["error"]
    assert response.status_code == 400, response.text
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith(param)
    assert param.split("[")[0].split(".")[0] in error["message"] or "content" in error["message"].lower()


async def test_what_changes_nothing_is_accepted(http: httpx.AsyncClient) -> None:
    body = {
        "model": "smollm2",
        "messages": QUESTION,
        "max_tokens": 1,
        "store": False,
        "user": "me",
        "safety_identifier": "me",
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "reasoning_effort": "low",
        "modalities": ["text"],
        "parallel_tool_calls": True,
        "prediction": {"type": "content", "content": "x"},
        "verbosity": "medium",
    }
    assert (await http.post("/v1/chat/completions", json=body)).status_code == 200


async def test_an_unknown_model_names_those_that_exist(openai_client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await openai_client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert caught.value.code == "model_not_found" and "'smollm2'" in caught.value.message
    with pytest.raises(openai.BadRequestError, match="embedding"):
        await openai_client.chat.completions.create(model="wordllama", messages=QUESTION)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long_is_refused_with_numbers(openai_client: AsyncOpenAI, stream: bool) -> None:
    long: Any = [{"role": "user", "content": "word " * 4000}]
    with pytest.raises(openai.BadRequestError) as caught:
        await openai_client.chat.completions.create(model="smollm2", messages=long, stream=stream)
    assert caught.value.code == "context_length_exceeded" and caught.value.param == "messages"
    assert "2048" in caught.value.message and "40" in caught.value.message


async def test_completions(openai_client: AsyncOpenAI) -> None:
    answer = await openai_client.completions.create(
        model="smollm2", prompt=["One, two,", "The sky is"], n=2, max_tokens=4, echo=True, seed=3
    )
    assert answer.id.startswith("cmpl-") and answer.object == "text_completion"
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert all(choice.text.startswith("The sky is") for choice in answer.choices[2:])
    assert answer.usage is not None and answer.usage.completion_tokens == 16
    by_token = await openai_client.completions.create(
        model="smollm2", prompt=[504, 3575], max_tokens=3, logprobs=2, temperature=0
    )
    logprobs = by_token.choices[0].logprobs
    assert logprobs is not None and logprobs.tokens is not None and logprobs.top_logprobs is not None
    assert "".join(logprobs.tokens) == by_token.choices[0].text
    assert len(logprobs.top_logprobs[0]) == 2 and logprobs.text_offset is not None and logprobs.text_offset[0] == 0
    chunks = [
        chunk
        async for chunk in await openai_client.completions.create(
            model="smollm2", prompt="One, two,", max_tokens=4, stream=True, stream_options={"include_usage": True}
        )
    ]
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 4 and chunks[-1].choices == []
    for change in ({"suffix": "x"}, {"best_of": 3}, {"echo": True, "logprobs": 1}):
        with pytest.raises(openai.BadRequestError):
            await openai_client.completions.create(model="smollm2", prompt="a", **change)
