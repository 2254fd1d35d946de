"""Chat completions, completions and embeddings on the wire (OpenAI's API reference, same names).

Every field of OpenAI's is here. What this platform does not do is refused by `refuse`, by name; the fields that
cannot change the answer of a model that runs here are accepted and are listed in docs/developers/inference.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from perijove_platform.errors import BadRequest
from perijove_platform.schemas import Metadata, Request

MAX_MESSAGES = 2048
MAX_TEXT_CHARACTERS = 4 * 1024 * 1024
MAX_TOOLS = 128
MAX_EMBEDDING_INPUTS = 2048
MAX_CHOICES = 16
MAX_PROMPTS = 32
MAX_LOGIT_BIAS = 1024

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS)]
NonEmptyText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Token = Annotated[int, Field(ge=0, lt=2**31)]
Stop = NonEmptyText | Annotated[list[NonEmptyText], Field(max_length=4)] | None
LogitBias = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^\d{1,9}$")], Annotated[float, Field(ge=-100, le=100)]],
    Field(max_length=MAX_LOGIT_BIAS),
]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Part(BaseModel):
    """A content part; which types are served is decided in `chat.text_of`."""

    model_config = ConfigDict(extra="allow")
    type: Annotated[str, StringConstraints(max_length=64)]
    text: Text | None = None
    refusal: Text | None = None


class FunctionCall(Request):
    name: FunctionName
    arguments: Text


class ToolCall(Request):
    id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    type: Literal["function"] = "function"
    function: FunctionCall
    index: int | None = None


class Message(Request):
    """One message of any role; a client may send back an answer's message as it received it."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: Text | Annotated[list[Part], Field(min_length=1, max_length=256)] | None = None
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    refusal: Text | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MAX_TOOLS)] | None = None
    tool_call_id: Annotated[str, StringConstraints(max_length=256)] | None = None
    audio: Any = None
    function_call: Any = None
    annotations: Any = None


class Function(Request):
    name: FunctionName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Request):
    type: Literal["function"]
    function: Function


class NamedFunction(Request):
    name: FunctionName


class NamedToolChoice(Request):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Request):
    name: FunctionName
    description: Text | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Request):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Request):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Sampling(Request):
    """What chat completions and completions have in common."""

    model: ModelName
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: LogitBias | None = None
    max_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Seed | None = None
    stop: Stop = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    user: Annotated[str, StringConstraints(max_length=512)] | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(Sampling):
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    audio: Any = None
    function_call: Any = None
    functions: Any = None
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    metadata: Metadata | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    moderation: Any = None
    parallel_tool_calls: bool | None = None
    prediction: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: Annotated[str, StringConstraints(max_length=128)] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=MAX_TOOLS)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: Any = None


class CompletionRequest(Sampling):
    prompt: (
        NonEmptyText
        | Annotated[list[NonEmptyText], Field(min_length=1, max_length=MAX_PROMPTS)]
        | Annotated[list[Token], Field(min_length=1)]
        | Annotated[list[Annotated[list[Token], Field(min_length=1)]], Field(min_length=1, max_length=MAX_PROMPTS)]
    )
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    suffix: str | None = None


class EmbeddingRequest(Request):
    model: ModelName
    input: (
        NonEmptyText
        | Annotated[list[NonEmptyText], Field(min_length=1, max_length=MAX_EMBEDDING_INPUTS)]
        | Annotated[list[Token], Field(min_length=1)]
        | Annotated[
            list[Annotated[list[Token], Field(min_length=1)]], Field(min_length=1, max_length=MAX_EMBEDDING_INPUTS)
        ]
    )
    dimensions: Annotated[int, Field(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: Annotated[str, StringConstraints(max_length=512)] | None = None


TIER = "requests are all served alike here; leave it out, or send 'auto' or 'default'"
_NO_AUDIO = "these models answer in text; leave it out"

CHAT_REFUSALS: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "audio": ((), _NO_AUDIO),
    "modalities": ((["text"], []), "these models answer in text; leave it out or send ['text']"),
    "functions": ((), "use 'tools', which replaces it"),
    "function_call": ((), "use 'tool_choice', which replaces it"),
    "moderation": ((), "there is no moderation model here; leave it out"),
    "prompt_cache_options": ((), "prefixes are cached by the engine by itself; leave it out"),
    "prompt_cache_retention": (("in_memory",), "the engine's cache is in memory only; leave it out"),
    "service_tier": (("auto", "default"), TIER),
    "store": ((False,), "chat completions are not stored; leave it out, or use /v1/responses, which are"),
    "verbosity": (("medium",), "these models have no such setting; ask for it in the messages"),
    "web_search_options": ((), "there is no web search here; leave it out"),
}


def refuse(request: BaseModel, refusals: Mapping[str, tuple[tuple[Any, ...], str]]) -> None:
    """Refuse the fields of OpenAI's that are not honoured here.

    Args:
        refusals: by field, the values that change nothing (besides null), and what to do instead of the others.
    """
    for name, (allowed, advice) in refusals.items():
        value = getattr(request, name)
        if value is not None and value not in allowed:
            raise BadRequest(f"'{name}' is not supported: {advice}.", param=name, code="unsupported_parameter")


def refuse_obfuscation(options: StreamOptions | None) -> None:
    if options is not None and options.include_obfuscation:
        raise BadRequest(
            "'stream_options.include_obfuscation' is not supported: leave it out or send false.",
            param="stream_options.include_obfuscation",
            code="unsupported_parameter",
        )
