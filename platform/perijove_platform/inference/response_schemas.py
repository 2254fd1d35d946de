"""`/v1/responses` on the wire (OpenAI's API reference, same names)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from perijove_platform.inference.schemas import (
    MAX_TOOLS,
    TIER,
    FunctionName,
    ModelName,
    NonEmptyText,
    StreamOptions,
    Text,
)
from perijove_platform.schemas import Metadata, Request, Response

MAX_ITEMS = 2048

Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]


class FunctionTool(Request):
    type: Literal["function"]
    name: FunctionName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FileSearchTool(Request):
    type: Literal["file_search"]
    vector_store_ids: Annotated[list[str], Field(min_length=1, max_length=8)]
    filters: dict[str, Any] | None = None
    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None
    ranking_options: dict[str, Any] | None = None


class TextFormat(Request):
    type: Literal["text", "json_object", "json_schema"]
    name: FunctionName | None = None
    description: Text | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextConfig(Request):
    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class NamedToolChoice(Request):
    type: Literal["function", "file_search"]
    name: FunctionName | None = None


class ResponseRequest(Request):
    model: ModelName
    input: NonEmptyText | Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_ITEMS)]
    access_programs: Any = None
    background: bool | None = None
    context_management: Any = None
    conversation: Any = None
    image: Any = None
    include: list[Includable] | None = None
    instructions: Text | None = None
    max_output_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    metadata: Metadata | None = None
    moderation: Any = None
    parallel_tool_calls: bool | None = None
    previous_response_id: Annotated[str, StringConstraints(max_length=64)] | None = None
    prompt: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning: dict[str, Any] | None = None
    safety_identifier: Annotated[str, StringConstraints(max_length=128)] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    text: TextConfig | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=MAX_TOOLS)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: Annotated[str, StringConstraints(max_length=512)] | None = None


class ItemList(Response):
    """A page of items."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str
    last_id: str
    has_more: bool


REFUSALS: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "access_programs": ((), "leave it out"),
    "background": ((False,), "stream the answer instead; leave it out or send false"),
    "context_management": ((), "use 'truncation': 'auto' to drop the oldest items"),
    "conversation": ((), "continue a conversation with 'previous_response_id'"),
    "image": ((), "these models read text only"),
    "max_tool_calls": ((), "file_search runs once per response; leave it out"),
    "moderation": ((), "there is no moderation model here; leave it out"),
    "prompt": ((), "there are no stored prompts here; send 'instructions' and 'input'"),
    "prompt_cache_options": ((), "prefixes are cached by the engine by itself; leave it out"),
    "prompt_cache_retention": (("in_memory",), "the engine's cache is in memory only; leave it out"),
    "service_tier": (("auto", "default"), TIER),
}
