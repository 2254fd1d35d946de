"""Function tools: handed to an engine whose model knows them, else produced by constrained generation.

A chat template without tools makes llama.cpp ignore them without a word. Where a call is demanded (`required` or a
named function), the function is then chosen and its arguments are generated under the function's own JSON schema, so
that the call is valid whatever the model; with `auto` such a model answers in text.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import orjson

from perijove_platform.errors import BadGateway
from perijove_platform.ids import new_id
from perijove_platform.inference.engine import CHAT, Delta, EngineSession
from perijove_platform.inference.schemas import ChatRequest, Function, FunctionTool, NamedToolChoice

NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
MAX_NAME_TOKENS = 96


def native(request: ChatRequest, functions: Sequence[FunctionTool]) -> dict[str, Any]:
    """The tool fields for an engine whose model knows tools."""
    chosen = functions
    choice: str = "auto"
    if isinstance(request.tool_choice, NamedToolChoice):
        # llama.cpp knows no named choice: it is the demand for a call with one function to choose from.
        chosen = [tool for tool in functions if tool.function.name == request.tool_choice.function.name]
        choice = "required"
    elif request.tool_choice is not None:
        choice = request.tool_choice
    body: dict[str, Any] = {"tools": [tool.model_dump(exclude_none=True) for tool in chosen], "tool_choice": choice}
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


async def forced(
    session: EngineSession,
    body: dict[str, Any],
    request: ChatRequest,
    functions: Sequence[FunctionTool],
    *,
    count_prompt: bool,
) -> AsyncGenerator[Delta]:
    """One call of one function, its arguments streamed as they are generated."""
    plain = {key: value for key, value in body.items() if key not in ("logprobs", "top_logprobs", "stop")}
    function = await _choose(session, plain, request, functions, count_prompt=count_prompt)
    schema = function.parameters or NO_PARAMETERS
    told = (
        f"Call the function {function.name}. {function.description or ''}\n"
        f"Answer with its arguments as JSON that follows this schema: {orjson.dumps(schema).decode()}"
    )
    call = {"index": 0, "id": new_id("call_"), "type": "function"}
    yield Delta(tool_calls=[{**call, "function": {"name": function.name, "arguments": ""}}])
    generation = session.generate(CHAT, _constrained(plain, told, schema), count_prompt=count_prompt)
    async with aclosing(generation) as deltas:
        async for delta in deltas:
            if delta.text:
                yield Delta(tool_calls=[{"index": 0, "function": {"arguments": delta.text}}])
            if delta.finish_reason is not None:
                yield Delta(finish_reason="length" if delta.finish_reason == "length" else "tool_calls")


async def _choose(
    session: EngineSession,
    body: dict[str, Any],
    request: ChatRequest,
    functions: Sequence[FunctionTool],
    *,
    count_prompt: bool,
) -> Function:
    by_name = {tool.function.name: tool.function for tool in functions}
    if isinstance(request.tool_choice, NamedToolChoice):
        return by_name[request.tool_choice.function.name]
    if len(by_name) == 1:
        return functions[0].function
    listed = "\n".join(f"- {name}: {function.description or ''}" for name, function in by_name.items())
    schema = {"type": "object", "properties": {"name": {"enum": list(by_name)}}, "required": ["name"]}
    told = f"Choose the function that helps to answer, and name it as JSON. The functions are:\n{listed}"
    answer = ""
    own = {**_constrained(body, told, schema), "max_tokens": MAX_NAME_TOKENS}
    async with aclosing(session.generate(CHAT, own, count_prompt=count_prompt)) as deltas:
        async for delta in deltas:
            answer += delta.text
    try:
        return by_name[orjson.loads(answer)["name"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise BadGateway(
            "The model did not choose one of the functions. Name one in 'tool_choice'.", param="tool_choice"
        ) from None


def _constrained(body: dict[str, Any], told: str, schema: dict[str, Any]) -> dict[str, Any]:
    messages = list(body["messages"])
    if messages and messages[0]["role"] == "system":
        messages[0] = {**messages[0], "content": f"{messages[0]['content']}\n{told}"}
    else:
        messages.insert(0, {"role": "system", "content": told})
    schema_format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return {**body, "messages": messages, "response_format": schema_format}
