"""A response's request into a chat request: items into messages, tools into the two kinds that are served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from perijove_platform.errors import BadRequest, field_path
from perijove_platform.ids import new_id
from perijove_platform.inference import chat
from perijove_platform.inference.response_schemas import (
    REFUSALS,
    FileSearchTool,
    FunctionTool,
    NamedToolChoice,
    ResponseRequest,
)
from perijove_platform.inference.schemas import (
    MAX_MESSAGES,
    ChatRequest,
    Message,
    Part,
    refuse,
    refuse_obfuscation,
)

M = TypeVar("M", bound=BaseModel)

PREFIXES = {"message": "msg_", "function_call": "fc_", "function_call_output": "fco_"}
REPLAYED = ("reasoning", "file_search_call")
"""Items of earlier answers that say nothing to a model: their outcome is in the messages."""


@dataclass(frozen=True)
class ResponseTools:
    functions: list[FunctionTool]
    file_searches: list[FileSearchTool]


def check(request: ResponseRequest) -> ResponseTools:
    """Refuse what a schema cannot say, and sort the tools.

    Raises:
        BadRequest: names the field.
    """
    refuse(request, REFUSALS)
    refuse_obfuscation(request.stream_options)
    if request.stream_options is not None and request.stream_options.include_usage is not None:
        raise BadRequest(
            "'stream_options.include_usage' is of chat completions; a response always ends with its usage.",
            param="stream_options.include_usage",
        )
    if request.text is not None and request.text.verbosity not in (None, "medium"):
        raise BadRequest(
            "'text.verbosity' is not supported: these models have no such setting; ask for it in 'instructions'.",
            param="text.verbosity",
            code="unsupported_parameter",
        )
    tools = _sort_tools(request.tools or ())
    _check_choice(request.tool_choice, tools)
    return tools


def _sort_tools(given: Sequence[dict[str, Any]]) -> ResponseTools:
    tools = ResponseTools([], [])
    for index, tool in enumerate(given):
        where = f"tools[{index}]"
        match tool.get("type"):
            case "function":
                tools.functions.append(_validated(FunctionTool, tool, where))
            case "file_search":
                tools.file_searches.append(_validated(FileSearchTool, tool, where))
            case other:
                raise BadRequest(
                    f"Tools of type '{other}' are not supported: use 'function' and 'file_search'.",
                    param=f"{where}.type",
                    code="unsupported_parameter",
                )
    return tools


def _check_choice(choice: str | NamedToolChoice | None, tools: ResponseTools) -> None:
    if isinstance(choice, NamedToolChoice):
        if choice.type == "file_search" and not tools.file_searches:
            raise BadRequest("'tool_choice' names file_search, which is not in 'tools'.", param="tool_choice")
        if choice.type == "function" and choice.name not in {tool.name for tool in tools.functions}:
            raise BadRequest(f"'tool_choice' names '{choice.name}', which is not in 'tools'.", param="tool_choice")
    elif choice == "required" and not (tools.functions or tools.file_searches):
        raise BadRequest("'tool_choice' needs 'tools'.", param="tool_choice")


def _validated(model: type[M], value: Any, where: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        at = f"{where}.{field_path(first['loc'])}".rstrip(".")
        raise BadRequest(f"Invalid '{at}': {first['msg']}.", param=at, code="invalid_value") from None


def items_of(request: ResponseRequest) -> list[dict[str, Any]]:
    """The input as items with ids, in the form in which they are stored and listed."""
    if isinstance(request.input, str):
        content = [{"type": "input_text", "text": request.input}]
        return [{"id": new_id("msg_"), "type": "message", "role": "user", "status": "completed", "content": content}]
    items = []
    for index, given in enumerate(request.input):
        kind = given.get("type", "message")
        if kind not in PREFIXES and kind not in REPLAYED:
            raise BadRequest(
                f"Input items of type '{kind}' are not supported: send messages, function calls and their outputs.",
                param=f"input[{index}].type",
                code="unsupported_content",
            )
        item = {**given, "type": kind, "id": given.get("id") or new_id(PREFIXES.get(kind, "item_"))}
        if kind == "message" and isinstance(given.get("content"), str):
            part = "output_text" if given.get("role") == "assistant" else "input_text"
            extra: dict[str, Any] = {"annotations": []} if part == "output_text" else {}
            item["content"] = [{"type": part, "text": given["content"], **extra}]
        items.append({"status": "completed", **item} if kind in PREFIXES else item)
    messages_of(items)
    return items


def messages_of(items: Sequence[dict[str, Any]], param: str = "input") -> list[Message]:
    """Chat messages of items; function calls in a row become one assistant message.

    Raises:
        BadRequest: an item is malformed.
    """
    messages: list[Message] = []
    for index, item in enumerate(items):
        where = f"{param}[{index}]"
        match item["type"]:
            case "message":
                content = [_validated(Part, part, f"{where}.content") for part in _parts(item, where)]
                text = chat.text_of(content, f"{where}.content")
                messages.append(_validated(Message, {"role": item.get("role"), "content": text}, where))
            case "function_call":
                function = {"name": item.get("name"), "arguments": item.get("arguments")}
                call = {"id": item.get("call_id"), "type": "function", "function": function}
                message = _validated(Message, {"role": "assistant", "content": "", "tool_calls": [call]}, where)
                if messages and messages[-1].tool_calls and message.tool_calls:
                    messages[-1].tool_calls.extend(message.tool_calls)
                else:
                    messages.append(message)
            case "function_call_output":
                body = {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}
                message = _validated(Message, body, where)
                chat.check_message(message, where)
                messages.append(message)
    return messages


def _parts(item: dict[str, Any], where: str) -> list[Any]:
    content = item.get("content")
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    if not isinstance(content, list) or not content:
        raise BadRequest(f"'{where}.content' is missing: give a text or content parts.", param=f"{where}.content")
    return content


def chat_request(request: ResponseRequest, tools: ResponseTools, messages: list[Message]) -> ChatRequest:
    """What the response asks of the model, as a chat request."""
    if len(messages) > MAX_MESSAGES:
        raise BadRequest(
            f"The conversation has over {MAX_MESSAGES} items: begin a new one, without 'previous_response_id'.",
            param="previous_response_id",
        )
    body: dict[str, Any] = {
        "model": request.model,
        "messages": messages,
        "max_completion_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "parallel_tool_calls": request.parallel_tool_calls,
        "response_format": _response_format(request),
    }
    if request.top_logprobs is not None or "message.output_text.logprobs" in (request.include or ()):
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs or 0}
    if tools.functions:
        functions = [tool.model_dump(exclude={"type"}, exclude_none=True) for tool in tools.functions]
        body["tools"] = [{"type": "function", "function": function} for function in functions]
        body["tool_choice"] = _tool_choice(request.tool_choice)
    return ChatRequest.model_validate(body)


def _tool_choice(choice: str | NamedToolChoice | None) -> Any:
    if not isinstance(choice, NamedToolChoice):
        return choice
    if choice.type == "file_search":
        return "none"
    return {"type": "function", "function": {"name": choice.name}}


def _response_format(request: ResponseRequest) -> dict[str, Any] | None:
    given = request.text.format if request.text is not None else None
    if given is None:
        return None
    if given.type != "json_schema":
        return {"type": given.type}
    if given.schema_ is None:
        raise BadRequest("'text.format' of type 'json_schema' needs a schema.", param="text.format.schema")
    return {"type": "json_schema", "json_schema": {"name": given.name or "answer", "schema": given.schema_}}
