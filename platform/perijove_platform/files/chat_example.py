"""One training example: the shape of its messages and their order."""

import json
from collections.abc import Iterator
from typing import Any

ROLES = ("system", "developer", "user", "assistant", "tool")
EXAMPLE_FIELDS = frozenset({"messages", "tools", "parallel_tool_calls"})
MESSAGE_FIELDS = frozenset({"role", "content", "name", "weight", "tool_calls", "tool_call_id", "refusal"})


class Fault(Exception):
    """Why an example cannot be trained on; `param` says where in it."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


def check_example(example: Any) -> None:
    """Raises `Fault` for the first thing that is wrong."""
    if not isinstance(example, dict):
        raise Fault(f"The line is {_kind(example)}, not a JSON object with 'messages'.")
    if "messages" not in example:
        hint = " This is the older completions format." if {"prompt", "completion"} <= example.keys() else ""
        raise Fault(f'The key \'messages\' is missing.{hint} Write {{"messages": [{{"role": …}}]}}.', "messages")
    unknown = sorted(example.keys() - EXAMPLE_FIELDS)
    if unknown:
        raise Fault(
            f"Unknown key '{unknown[0]}'. An example has 'messages' and, where it calls tools, 'tools'.", unknown[0]
        )
    messages = example["messages"]
    if not isinstance(messages, list) or not messages:
        raise Fault("'messages' must be a list of at least one message.", "messages")
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    _check_order(messages)
    _check_tools(example.get("tools"))


def texts_of(example: dict[str, Any]) -> Iterator[str]:
    """Every text that the model reads or learns."""
    for message in example["messages"]:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            yield from (part["text"] for part in content)
        for call in message.get("tool_calls") or ():
            yield call["function"]["name"]
            yield call["function"]["arguments"]
    if example.get("tools"):
        yield json.dumps(example["tools"], ensure_ascii=False)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, dict):
        raise Fault(f"{where} is {_kind(message)}, not an object with 'role' and 'content'.", where)
    role = message.get("role")
    if role not in ROLES:
        given = f"has the role {json.dumps(role, ensure_ascii=False)[:40]}" if "role" in message else "has no 'role'"
        raise Fault(f"{where} {given}. Roles are {', '.join(ROLES)}.", f"{where}.role")
    unknown = sorted(message.keys() - MESSAGE_FIELDS)
    if unknown:
        raise Fault(f"{where} has the unknown key '{unknown[0]}'.", f"{where}.{unknown[0]}")
    calls = message.get("tool_calls")
    if calls is not None:
        _check_calls(calls, role, where)
    _check_content(message, where, optional=role == "assistant" and bool(calls or message.get("refusal")))
    weight = message.get("weight")
    if weight is not None and (role != "assistant" or weight not in (0, 1) or isinstance(weight, bool)):
        raise Fault(f"{where}.weight must be 0 or 1, on assistant messages only.", f"{where}.weight")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise Fault(f"{where} is of a tool and needs a 'tool_call_id'.", f"{where}.tool_call_id")


def _check_content(message: dict[str, Any], where: str, *, optional: bool) -> None:
    content = message.get("content")
    param = f"{where}.content"
    if content is None:
        if not optional:
            raise Fault(f"{where} has no 'content'.", param)
    elif isinstance(content, list):
        if not content:
            raise Fault(f"{param} is an empty list.", param)
        for index, part in enumerate(content):
            _check_part(part, f"{param}[{index}]")
    elif not isinstance(content, str):
        raise Fault(f"{param} is {_kind(content)}; it must be text or a list of text parts.", param)
    elif not content.strip() and not optional and message["role"] in ("user", "assistant"):
        raise Fault(f"{param} is empty.", param)


def _check_part(part: Any, where: str) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return
    if kind in ("image_url", "input_audio", "file"):
        raise Fault(f"{where} is of type '{kind}'; only text can be trained on here.", where)
    raise Fault(f'{where} is not a text part. Write {{"type": "text", "text": "…"}}.', where)


def _check_calls(calls: Any, role: str, where: str) -> None:
    param = f"{where}.tool_calls"
    if role != "assistant":
        raise Fault(f"{param}: only an assistant calls tools.", param)
    if not isinstance(calls, list) or not calls:
        raise Fault(f"{param} must be a list of at least one call.", param)
    for index, given in enumerate(calls):
        here = f"{param}[{index}]"
        call = given if isinstance(given, dict) else {}
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        if not isinstance(function.get("name"), str) or not isinstance(call.get("id"), str):
            raise Fault(f"{here} needs an 'id' and a 'function' with 'name' and 'arguments'.", here)
        arguments = function.get("arguments")
        if not isinstance(arguments, str) or not _is_json_object(arguments):
            raise Fault(
                f"{here}.function.arguments must be a string that holds a JSON object.", f"{here}.function.arguments"
            )


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _check_order(messages: list[dict[str, Any]]) -> None:
    """System or developer first, then user and assistant in turn; each tool call is answered before they go on."""
    open_calls: set[str] = set()
    previous: str | None = None
    for index, message in enumerate(messages):
        role, where = message["role"], f"messages[{index}]"
        if role == "tool":
            if message["tool_call_id"] not in open_calls:
                raise Fault(f"{where} answers no tool call that is open before it.", f"{where}.tool_call_id")
            open_calls.discard(message["tool_call_id"])
        elif open_calls:
            raise Fault(f"{where} comes before the answer to the tool call '{min(open_calls)}'.", f"{where}.role")
        elif role in ("system", "developer"):
            if previous not in (None, "system", "developer"):
                raise Fault(f"{where} has the role '{role}', which can only come first.", f"{where}.role")
        elif role == "user":
            if previous == "user":
                raise Fault(
                    f"{where} is a second user message in a row. User and assistant take turns.", f"{where}.role"
                )
        elif previous in (None, "system", "developer"):
            raise Fault(f"{where} is of the assistant before any user message.", f"{where}.role")
        elif previous == "assistant":
            raise Fault(f"{where} is a second assistant message in a row. They take turns.", f"{where}.role")
        if role == "assistant":
            open_calls = {call["id"] for call in message.get("tool_calls") or ()}
        previous = role
    if previous != "assistant" or open_calls:
        raise Fault("The last message must be the assistant's answer, which is what is learnt.", "messages")
    if all(message.get("weight") == 0 for message in messages if message["role"] == "assistant"):
        raise Fault("Every assistant message has weight 0, so there is nothing to learn.", "messages")


def _check_tools(tools: Any) -> None:
    if tools is None:
        return
    if not isinstance(tools, list):
        raise Fault("'tools' must be a list.", "tools")
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Fault(f'tools[{index}] needs "type": "function" and a "function" with a "name".', f"tools[{index}]")
