"""Usage on the wire: OpenAI's pages of buckets, with our own result beside theirs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import AliasChoices, BaseModel, Field

from perijove_platform.schemas import Response

Width = Literal["1h", "1d"]
Group = Literal["model", "user_id", "api_key_id", "operation"]
OpenAiGroup = Literal["project_id", "user_id", "api_key_id", "model", "batch", "service_tier"]
MAX_TIME = 2**40
MAX_FILTER = 100


class Window(BaseModel):
    """Which buckets: `page` is the `next_page` of the page before."""

    end_time: Annotated[int | None, Query(ge=0, le=MAX_TIME, description="Unix seconds, not included.")] = None
    limit: Annotated[int | None, Query(ge=1, le=168, description="Buckets per page.")] = None
    page: Annotated[str | None, Query(pattern=r"^\d{1,13}$")] = None


class UsageQuery(Window):
    start_time: Annotated[int | None, Query(ge=0, le=MAX_TIME, description="Unix seconds; a day ago by default.")] = (
        None
    )
    bucket_width: Width = "1h"
    group_by: Annotated[list[Group], Field(max_length=4)] = ["model"]
    models: Annotated[list[str] | None, Field(max_length=MAX_FILTER)] = None


def _list(name: str, most: int = MAX_FILTER) -> Any:
    """A list as ``name=a&name=b``, or as OpenAI's clients write it, ``name[]=a&name[]=b``."""
    return Field(default=None, max_length=most, validation_alias=AliasChoices(f"{name}[]", name))


class OrganizationQuery(Window):
    """OpenAI's query."""

    start_time: Annotated[int, Query(ge=0, le=MAX_TIME)]
    bucket_width: Literal["1m", "1h", "1d"] = "1d"
    batch: bool | None = None
    group_by: list[OpenAiGroup] | None = _list("group_by", 6)
    models: list[str] | None = _list("models")
    user_ids: list[str] | None = _list("user_ids")
    api_key_ids: list[str] | None = _list("api_key_ids")
    project_ids: list[str] | None = _list("project_ids")


class UsageResult(Response):
    """What one group used in a bucket; the fields that are not grouped by are null."""

    object: Literal["usage.result"] = "usage.result"
    model: str | None = None
    user_id: str | None = None
    api_key_id: str | None = None
    operation: str | None = None
    num_model_requests: int
    input_tokens: int
    input_cached_tokens: int
    output_tokens: int


class Bucket(Response):
    object: Literal["bucket"] = "bucket"
    start_time: int
    end_time: int
    results: list[UsageResult]


class UsagePage(Response):
    object: Literal["page"] = "page"
    data: list[Bucket]
    has_more: bool
    next_page: str | None = None


class OpenAiBucket(Response):
    object: Literal["bucket"] = "bucket"
    start_time: int
    end_time: int
    results: list[dict[str, Any]]


class OpenAiPage(Response):
    object: Literal["page"] = "page"
    data: list[OpenAiBucket]
    has_more: bool
    next_page: str | None = None
