"""`/v1/usage`, and OpenAI's `/v1/organization/usage/{completions,embeddings}`."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from perijove_platform.database import now
from perijove_platform.errors import BadRequest
from perijove_platform.rbac import Caller, requires
from perijove_platform.usage.schemas import (
    Bucket,
    OpenAiBucket,
    OpenAiGroup,
    OpenAiPage,
    OrganizationQuery,
    UsagePage,
    UsageQuery,
    UsageResult,
)
from perijove_platform.usage.service import UsageService
from perijove_platform.usage.store import UsageFilter, UsageSum

DAY = 86_400
HOUR = 3600
router = APIRouter(tags=["usage"])


def _service(request: Request) -> UsageService:
    service: UsageService = request.app.state.usage
    return service


Service = Annotated[UsageService, Depends(_service)]
Reader = Annotated[Caller, requires("usage.read")]


@router.get("/v1/usage")
async def get_usage(service: Service, caller: Reader, query: Annotated[UsageQuery, Query()]) -> UsagePage:
    """Requests and tokens of this project, in buckets of an hour or a day."""
    end = query.end_time if query.end_time is not None else now() + 1
    # The last day, ending with the bucket that is being filled, so that it fits a page.
    start = query.start_time if query.start_time is not None else max(0, end + -end % HOUR - DAY)
    wanted = UsageFilter(start=start, end=end, models=query.models)
    groups = list(dict.fromkeys(query.group_by))
    found = await service.buckets(
        caller, wanted, width=query.bucket_width, group_by=groups, limit=query.limit, page=query.page
    )
    buckets = [
        Bucket(start_time=at, end_time=at + found.width, results=[_result(item) for item in sums])
        for at, sums in sorted(found.sums.items())
    ]
    following = None if found.next_start is None else str(found.next_start)
    return UsagePage(data=buckets, has_more=following is not None, next_page=following)


def _result(item: UsageSum) -> UsageResult:
    return UsageResult(
        num_model_requests=item.requests,
        input_tokens=item.prompt_tokens,
        input_cached_tokens=item.cached_tokens,
        output_tokens=item.completion_tokens,
        model=item.group.get("model"),
        user_id=item.group.get("user_id"),
        api_key_id=item.group.get("api_key_id"),
        operation=item.group.get("operation"),
    )


@router.get("/v1/organization/usage/{operation}")
async def get_organization_usage(
    operation: Literal["completions", "embeddings"],
    service: Service,
    caller: Reader,
    query: Annotated[OrganizationQuery, Query()],
) -> OpenAiPage:
    """As in OpenAI's API, for the project of the key."""
    if query.bucket_width == "1m":
        raise BadRequest("Usage is kept by the hour: use '1h' or '1d'.", param="bucket_width")
    wanted = UsageFilter(
        start=query.start_time,
        end=query.end_time if query.end_time is not None else max(now(), query.start_time) + 1,
        models=query.models,
        user_ids=query.user_ids,
        api_key_ids=query.api_key_ids,
        operation=operation,
    )
    groups = list(dict.fromkeys(query.group_by or ()))
    columns = [name for name in groups if name in ("model", "user_id", "api_key_id")]
    found = await service.buckets(
        caller, wanted, width=query.bucket_width, group_by=columns, limit=query.limit, page=query.page
    )
    # There are no batches here, and a key sees its own project only.
    nothing = query.batch is True or (query.project_ids is not None and caller.project_id not in query.project_ids)
    buckets = [
        OpenAiBucket(
            start_time=at,
            end_time=at + found.width,
            results=[] if nothing else [_openai_result(item, operation, groups, caller.project_id) for item in sums],
        )
        for at, sums in sorted(found.sums.items())
    ]
    following = None if found.next_start is None else str(found.next_start)
    return OpenAiPage(data=buckets, has_more=following is not None, next_page=following)


def _openai_result(item: UsageSum, operation: str, groups: list[OpenAiGroup], project_id: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "object": f"organization.usage.{operation}.result",
        "input_tokens": item.prompt_tokens,
        "num_model_requests": item.requests,
        "project_id": project_id if "project_id" in groups else None,
        "user_id": item.group.get("user_id"),
        "api_key_id": item.group.get("api_key_id"),
        "model": item.group.get("model"),
    }
    if operation == "completions":
        result |= {
            "output_tokens": item.completion_tokens,
            "input_cached_tokens": item.cached_tokens,
            "input_uncached_tokens": item.prompt_tokens - item.cached_tokens,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "batch": False if "batch" in groups else None,
            "service_tier": "default" if "service_tier" in groups else None,
        }
    return result
