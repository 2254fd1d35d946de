"""Chat completions: what the client asks into what an engine takes, and the engine's deltas into OpenAI's answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from pydantic import ValidationError

from perijove_platform.database import now
from perijove_platform.errors import BadRequest, field_path
from perijove_platform.ids import new_id
from perijove_platform.inference import tools
from perijove_platform.inference.choices import Choices, Gathered, gather, interleave
from perijove_platform.inference.engine import CHAT, Delta, EngineSession, TokenCount
from perijove_platform.inference.schemas import (
    CHAT_REFUSALS,
    ChatRequest,
    FunctionTool,
    Message,
    Part,
    ResponseFormat,
    Sampling,
    refuse,
    refuse_obfuscation,
)
from perijove_platform.inference.sse import DONE, frame

SEED_MASK = 0xFFFF_FFFF


def check(request: ChatRequest) -> None:
    """Refuse what a schema cannot say.

    Raises:
        BadRequest: names the field.
    """
    refuse(request, CHAT_REFUSALS)
    refuse_obfuscation(request.stream_options)
    if request.stream_options is not None and not request.stream:
        raise BadRequest("'stream_options' needs 'stream': true.", param="stream_options")
    if request.top_logprobs is not None and not request.logprobs:
        raise BadRequest("'top_logprobs' needs 'logprobs': true.", param="top_logprobs")
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise BadRequest("Give 'max_completion_tokens' or 'max_tokens', not both.", param="max_tokens")
    check_format(request.response_format)
    functions = function_tools(request)
    named = request.tool_choice if not isinstance(request.tool_choice, str) else None
    if named is not None and named.function.name not in {tool.function.name for tool in functions}:
        raise BadRequest(f"'tool_choice' names '{named.function.name}', which is not in 'tools'.", param="tool_choice")
    if request.tool_choice not in (None, "none", "auto") and not functions:
        raise BadRequest("'tool_choice' needs 'tools'.", param="tool_choice")
    for index, message in enumerate(request.messages):
        check_message(message, f"messages[{index}]")


def check_format(response_format: ResponseFormat | None, param: str = "response_format") -> None:
    if response_format is None or response_format.type != "json_schema":
        return
    if response_format.json_schema is None or response_format.json_schema.schema_ is None:
        raise BadRequest(
            f"'{param}' of type 'json_schema' needs the schema itself.", param=f"{param}.json_schema.schema"
        )


def function_tools(request: ChatRequest) -> list[FunctionTool]:
    found = []
    for index, tool in enumerate(request.tools or ()):
        if tool.get("type") != "function":
            raise BadRequest(
                f"Tools of type '{tool.get('type')}' are not supported: use function tools.",
                param=f"tools[{index}].type",
                code="unsupported_parameter",
            )
        try:
            found.append(FunctionTool.model_validate(tool))
        except ValidationError as error:
            first = error.errors()[0]
            where = f"tools[{index}].{field_path(first['loc'])}"
            raise BadRequest(f"Invalid '{where}': {first['msg']}.", param=where, code="invalid_value") from None
    return found


def check_message(message: Message, where: str) -> None:
    if message.audio is not None or message.function_call is not None:
        name = "audio" if message.audio is not None else "function_call"
        raise BadRequest(f"'{where}.{name}' is not supported: leave it out.", param=f"{where}.{name}")
    if message.role == "tool" and message.tool_call_id is None:
        raise BadRequest(f"'{where}' has the role 'tool' and needs a 'tool_call_id'.", param=f"{where}.tool_call_id")
    if message.tool_calls and message.role != "assistant":
        raise BadRequest("Only assistant messages have 'tool_calls'.", param=f"{where}.tool_calls")
    if message.content is None and message.role != "assistant":
        raise BadRequest(f"'{where}.content' is missing: give a text.", param=f"{where}.content")
    if isinstance(message.content, list):
        text_of(message.content, f"{where}.content")


def text_of(parts: Sequence[Part], where: str) -> str:
    """The text of content parts, one per line.

    Raises:
        BadRequest: a part is an image, audio or a file.
    """
    texts = []
    for index, part in enumerate(parts):
        text = part.refusal if part.type == "refusal" else part.text
        if part.type not in ("text", "input_text", "output_text", "refusal"):
            raise BadRequest(
                f"Content of type '{part.type}' is not supported: these models read text only.",
                param=f"{where}[{index}].type",
                code="unsupported_content",
            )
        if text is None:
            raise BadRequest(f"'{where}[{index}]' has no text.", param=f"{where}[{index}].text")
        texts.append(text)
    return "\n".join(texts)


def engine_message(message: Message) -> dict[str, Any]:
    content = message.content
    text = text_of(content, "content") if isinstance(content, list) else content
    role = "system" if message.role == "developer" else message.role
    body: dict[str, Any] = {"role": role, "content": text if text is not None else message.refusal or ""}
    if message.name is not None:
        body["name"] = message.name
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["tool_calls"] = [call.model_dump(exclude={"index"}) for call in message.tool_calls]
    return body


def engine_sampling(request: Sampling) -> dict[str, Any]:
    """The sampling fields that were given, in an engine's names."""
    fields = ("frequency_penalty", "logit_bias", "presence_penalty", "stop", "temperature", "top_p", "max_tokens")
    body = {name: value for name in fields if (value := getattr(request, name)) is not None}
    if request.frequency_penalty or request.presence_penalty:
        # OpenAI's penalties look at all of the text, llama.cpp's at the last 64 tokens unless told otherwise.
        body["repeat_last_n"] = -1
    if request.seed is not None:
        # What is cached alters the last bits of what is computed, and so, now and then, a token.
        body |= {"seed": request.seed & SEED_MASK, "cache_prompt": False}
    return body


def engine_body(request: ChatRequest) -> dict[str, Any]:
    """The engine's request, tools left out."""
    body = engine_sampling(request)
    body["messages"] = [engine_message(message) for message in request.messages]
    if request.max_completion_tokens is not None:
        body["max_tokens"] = request.max_completion_tokens
    if request.logprobs:
        body |= {"logprobs": True, "top_logprobs": max(1, request.top_logprobs or 0)}
    if request.response_format is not None and request.response_format.type != "text":
        body["response_format"] = request.response_format.model_dump(by_alias=True, exclude_none=True)
    return body


async def choices_of(session: EngineSession, request: ChatRequest) -> Choices:
    """All choices' deltas; each choice is a generation of its own, with the seed that follows the previous one's."""
    body = engine_body(request)
    functions = function_tools(request) if request.tool_choice != "none" else []
    by_prompt = bool(functions) and not await session.supports_tools()
    if functions and not by_prompt:
        body |= tools.native(request, functions)
    sources = []
    for index in range(request.n or 1):
        own = body if request.seed is None else {**body, "seed": (request.seed + index) & SEED_MASK}
        if by_prompt and request.tool_choice not in (None, "auto"):
            sources.append(tools.forced(session, own, request, functions, count_prompt=index == 0))
        else:
            sources.append(session.generate(CHAT, own, count_prompt=index == 0))
    return interleave(sources)


def usage_body(count: TokenCount) -> dict[str, Any]:
    return {
        "prompt_tokens": count.prompt,
        "completion_tokens": count.completion,
        "total_tokens": count.prompt + count.completion,
        "prompt_tokens_details": {"cached_tokens": count.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def logprobs_body(entries: list[dict[str, Any]] | None, top: int) -> dict[str, Any] | None:
    if entries is None:
        return None

    def token(entry: dict[str, Any]) -> dict[str, Any]:
        return {"token": entry["token"], "bytes": entry["bytes"], "logprob": entry["logprob"]}

    content = [{**token(entry), "top_logprobs": [token(t) for t in entry["top_logprobs"][:top]]} for entry in entries]
    return {"content": content, "refusal": None}


def _head(session: EngineSession, request: ChatRequest, kind: str) -> dict[str, Any]:
    head = {"id": new_id("chatcmpl-"), "object": kind, "created": now(), "model": request.model}
    if request.service_tier is not None:
        head["service_tier"] = "default"
    return head


async def stream(session: EngineSession, request: ChatRequest) -> AsyncGenerator[bytes]:
    """The answer as server-sent events."""
    head = _head(session, request, "chat.completion.chunk")
    no_usage = {"usage": None} if request.include_usage else {}
    begun: set[int] = set()
    top = request.top_logprobs or 0

    def chunk(index: int, delta: dict[str, Any], logprobs: Any = None, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return frame({**head, "system_fingerprint": session.fingerprint, "choices": [choice], **no_usage})

    async with aclosing(await choices_of(session, request)) as choices:
        async for index, delta in choices:
            if index not in begun:
                begun.add(index)
                yield chunk(index, {"role": "assistant", "content": "", "refusal": None})
            if (body := _delta_body(delta)) or delta.logprobs:
                yield chunk(index, body, logprobs_body(delta.logprobs, top))
            if delta.finish_reason is not None:
                yield chunk(index, {}, None, delta.finish_reason)
    if request.include_usage:
        usage = usage_body(session.totals())
        yield frame({**head, "system_fingerprint": session.fingerprint, "choices": [], "usage": usage})
    yield DONE


def _delta_body(delta: Delta) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if delta.text:
        body["content"] = delta.text
    if delta.reasoning:
        body["reasoning_content"] = delta.reasoning
    if delta.tool_calls:
        body["tool_calls"] = delta.tool_calls
    return body


async def complete(session: EngineSession, request: ChatRequest) -> dict[str, Any]:
    """The answer in one piece."""
    gathered = await gather(await choices_of(session, request), request.n or 1)
    return {
        **_head(session, request, "chat.completion"),
        "choices": [_choice_body(index, choice, request.top_logprobs or 0) for index, choice in enumerate(gathered)],
        "usage": usage_body(session.totals()),
        "system_fingerprint": session.fingerprint,
    }


def _choice_body(index: int, choice: Gathered, top: int) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text if choice.text or not choice.tool_calls else None,
        "refusal": None,
        "annotations": [],
    }
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = choice.tool_calls
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs_body(choice.logprobs, top),
        "finish_reason": choice.finish_reason,
    }
