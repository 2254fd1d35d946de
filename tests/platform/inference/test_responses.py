"""Responses by the unmodified openai client, answered by a real SmolLM2."""

import json
from typing import Any

import httpx
import openai
import pytest
from inference_gateway import Gateway
from openai import AsyncOpenAI
from pydantic import BaseModel

pytestmark = pytest.mark.asyncio(loop_scope="module")
FUNCTION: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


async def test_a_response_is_stored_continued_listed_and_deleted(openai_client: AsyncOpenAI) -> None:
    first = await openai_client.responses.create(
        model="smollm2", input="My name is Ada.", max_output_tokens=8, temperature=0, metadata={"a": "b"}
    )
    assert first.status in ("incomplete", "completed") and first.output_text and first.metadata == {"a": "b"}
    if first.status == "incomplete":
        assert first.incomplete_details is not None and first.incomplete_details.reason == "max_output_tokens"
    assert first.usage is not None and first.usage.input_tokens > 0
    second = await openai_client.responses.create(
        model="smollm2",
        input="What is my name?",
        previous_response_id=first.id,
        max_output_tokens=8,
        instructions="Be short",
    )
    assert second.usage is not None and second.usage.input_tokens > first.usage.input_tokens
    assert second.previous_response_id == first.id
    stored = await openai_client.responses.retrieve(second.id)
    assert stored.model_dump() == second.model_dump()
    items = await openai_client.responses.input_items.list(second.id)
    assert items.data[0].type == "message" and items.data[0].content[0].text == "What is my name?"  # type: ignore[union-attr]
    with pytest.raises(openai.BadRequestError, match="background"):
        await openai_client.responses.cancel(second.id)
    await openai_client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        await openai_client.responses.retrieve(second.id)
    with pytest.raises(openai.NotFoundError) as caught:
        await openai_client.responses.create(model="smollm2", input="x", previous_response_id=second.id)
    assert caught.value.param == "previous_response_id"


async def test_what_is_not_to_be_stored_is_not(openai_client: AsyncOpenAI) -> None:
    response = await openai_client.responses.create(model="smollm2", input="Hi", store=False, max_output_tokens=1)
    with pytest.raises(openai.NotFoundError):
        await openai_client.responses.retrieve(response.id)


async def test_events_come_in_order(openai_client: AsyncOpenAI) -> None:
    stream = await openai_client.responses.create(model="smollm2", input="Hi", stream=True, max_output_tokens=200)
    events: list[Any] = [event async for event in stream]
    kinds = [event.type for event in events]
    deltas = kinds.count("response.output_text.delta")
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        kinds[-1],
    ]
    assert deltas > 1 and kinds[-1] in ("response.completed", "response.incomplete")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert events[-1].response.output_text == text
    assert events[0].response.status == "in_progress" and events[0].response.output == []
    assert (await openai_client.responses.retrieve(events[-1].response.id)).output_text == text


async def test_the_stream_helper_parses_a_schema(openai_client: AsyncOpenAI) -> None:
    class City(BaseModel):
        name: str

    async with openai_client.responses.stream(
        model="smollm2", input="Name a city.", text_format=City, temperature=0, max_output_tokens=100
    ) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    assert isinstance(final.output_parsed, City)


async def test_a_function_is_called_and_its_output_read(openai_client: AsyncOpenAI) -> None:
    question: Any = {"role": "user", "content": "What is the weather in Paris?"}
    stream = await openai_client.responses.create(
        model="smollm2", input=[question], tools=[FUNCTION], tool_choice="required", stream=True, temperature=0
    )
    events: list[Any] = [event async for event in stream]
    response = events[-1].response
    call = response.output[0]
    assert call.type == "function_call" and set(json.loads(call.arguments)) == {"city"}
    done = next(event for event in events if event.type == "response.function_call_arguments.done")
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == done.arguments == call.arguments and len(deltas) > 1
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    by_id = await openai_client.responses.create(
        model="smollm2", input=[output], previous_response_id=response.id, max_output_tokens=8
    )
    by_hand = await openai_client.responses.create(
        model="smollm2", input=[question, call.model_dump(exclude_none=True), output], max_output_tokens=8
    )
    assert by_id.output_text and by_hand.output_text
    assert by_id.usage is not None and by_hand.usage is not None
    assert by_id.usage.input_tokens == by_hand.usage.input_tokens


async def test_a_function_call_that_was_cut_off_is_not_replayed(openai_client: AsyncOpenAI) -> None:
    options: Any = {"model": "smollm2", "tools": [FUNCTION], "tool_choice": "required", "temperature": 0}
    cut = await openai_client.responses.create(**options, input="The weather in Paris?", max_output_tokens=3)
    assert cut.status == "incomplete" and [(item.type, item.status) for item in cut.output] == [  # type: ignore[union-attr]
        ("function_call", "incomplete")
    ]
    after = await openai_client.responses.create(
        model="smollm2", input="Never mind.", previous_response_id=cut.id, max_output_tokens=2
    )
    assert after.output_text


async def test_file_search_gives_the_passages_to_the_model(openai_client: AsyncOpenAI, gateway: Gateway) -> None:
    tool: Any = {
        "type": "file_search",
        "vector_store_ids": ["vs_1"],
        "max_num_results": 3,
        "filters": {"type": "eq", "key": "topic", "value": "space"},
    }
    question = "What is the capital of the planet Zog?"
    options: Any = {"model": "smollm2", "input": question, "temperature": 0, "max_output_tokens": 40, "tools": [tool]}
    stream = await openai_client.responses.create(**options, include=["file_search_call.results"], stream=True)
    events: list[Any] = [event async for event in stream]
    kinds = [event.type for event in events if "file_search" in event.type]
    assert kinds == [f"response.file_search_call.{state}" for state in ("in_progress", "searching", "completed")]
    search, message = events[-1].response.output
    assert search.queries == [question] and search.results[0].file_id == "file-planets"
    assert search.results[0].attributes == {"topic": "space"} and search.results[0].score == 0.9
    assert "Blip" in message.content[0].text
    assert message.content[0].annotations[0].filename == "planets.md"
    assert "response.output_text.annotation.added" in [event.type for event in events]
    assert gateway.searches.asked[-1]["max_num_results"] == 3
    plain = await openai_client.responses.create(**options)
    assert plain.output[0].type == "file_search_call" and plain.output[0].results is None
    without = await openai_client.responses.create(**options, tool_choice="none")
    assert [item.type for item in without.output] == ["message"]
    tool["vector_store_ids"] = ["vs_missing"]
    with pytest.raises(openai.NotFoundError, match="vs_missing"):
        await openai_client.responses.create(**options)


async def test_truncation(openai_client: AsyncOpenAI) -> None:
    items: Any = [{"role": "user", "content": "word " * 900} for _ in range(4)] + [{"role": "user", "content": "Hi"}]
    options: Any = {"model": "smollm2", "input": items, "max_output_tokens": 4}
    with pytest.raises(openai.BadRequestError) as caught:
        await openai_client.responses.create(**options)
    assert caught.value.code == "context_length_exceeded" and caught.value.param == "input"
    kept = await openai_client.responses.create(**options, truncation="auto")
    assert kept.usage is not None and 0 < kept.usage.input_tokens < 2048
    events: list[Any] = [event async for event in await openai_client.responses.create(**options, stream=True)]
    kinds = [event.type for event in events]
    assert kinds == ["response.created", "response.in_progress", "error", "response.failed"]
    stored = await openai_client.responses.retrieve(events[0].response.id)
    assert stored.status == "failed" and stored.output == []
    assert stored.error is not None and stored.error.code == "invalid_prompt" and "2048" in stored.error.message


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "x"}}, "prompt"),
        ({"max_tool_calls": 2}, "max_tool_calls"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].vector_store_ids"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": []}, "input"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"max_tokens": 3}, "max_tokens"),
    ],
)
async def test_what_is_not_honoured_is_refused_by_name(http: httpx.AsyncClient, change: Any, param: str) -> None:
    response = await http.post("/v1/responses", json={"model": "smollm2", "input": "Hi", **change})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"].startswith(param)


async def test_reasoning_changes_nothing(openai_client: AsyncOpenAI) -> None:
    response = await openai_client.responses.create(
        model="smollm2", input="Hi", max_output_tokens=2, reasoning={"effort": "low"}, top_logprobs=2
    )
    assert response.reasoning is not None and response.reasoning.effort == "low"
    message: Any = response.output[0]
    logprobs = message.content[0].logprobs
    assert logprobs and len(logprobs[0].top_logprobs) == 2
