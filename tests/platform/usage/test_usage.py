"""Usage, on SQLite and PostgreSQL: nothing recorded is lost, sums and pages are right, projects are apart."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI
from perijove_platform import errors
from perijove_platform.database import Base, Database
from perijove_platform.inference.catalog import UsageRecord
from perijove_platform.rbac import SCOPES, Caller
from perijove_platform.settings import Settings
from perijove_platform.usage import routes
from perijove_platform.usage.service import UsageService

DAY = 86_400
NOON = 1_800_014_400 - 1_800_014_400 % DAY + DAY // 2


class Keys:
    """`Authenticator` whose tokens are project ids."""

    async def authenticate(self, token: str) -> Caller:
        return Caller("user-1", "Ada", "org-1", token, frozenset(SCOPES), "key-1")


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    settings.data_dir.mkdir(parents=True)
    database = Database(settings.sql_url)
    await database.migrate()
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
async def usage(database: Database) -> AsyncIterator[UsageService]:
    usage = UsageService(database)
    await usage.start()
    yield usage
    await usage.stop()


@pytest.fixture
def app(usage: UsageService) -> FastAPI:
    app = FastAPI()
    errors.install(app)
    app.include_router(routes.router)
    app.state.usage, app.state.authenticator = usage, Keys()
    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": "Bearer proj-1"}
    async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as client:
        yield client


def used(**changes: Any) -> UsageRecord:
    values: dict[str, Any] = {
        "organization_id": "org-1",
        "project_id": "proj-1",
        "user_id": "user-1",
        "api_key_id": "key-1",
        "model": "small",
        "operation": "completions",
        "at": NOON,
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "cached_tokens": 4,
    }
    return UsageRecord(**{**values, **changes})


async def _day(http: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    start = NOON - DAY // 2
    page = await http.get(
        "/v1/usage", params={"start_time": start, "end_time": start + DAY, "bucket_width": "1d", **params}
    )
    assert page.status_code == 200, page.text
    results: list[dict[str, Any]] = page.json()["data"][0]["results"]
    return results


async def test_requests_of_an_hour_are_summed_by_group(usage: UsageService, http: httpx.AsyncClient) -> None:
    for _ in range(3):
        usage.record(used())
    usage.record(used(model="large", at=NOON + 3600))
    usage.record(used(api_key_id="key-2", prompt_tokens=1))
    usage.record(used(project_id="proj-2", prompt_tokens=1_000_000))
    by_model = {result["model"]: result for result in await _day(http)}
    assert by_model["small"]["num_model_requests"] == 4 and by_model["small"]["input_tokens"] == 31
    assert by_model["small"]["output_tokens"] == 12 and by_model["small"]["input_cached_tokens"] == 16
    assert by_model["large"]["num_model_requests"] == 1
    by_key = {result["api_key_id"]: result for result in await _day(http, group_by=["api_key_id"])}
    assert by_key["key-1"]["num_model_requests"] == 4 and by_key["key-2"]["input_tokens"] == 1
    assert [result["model"] for result in await _day(http, models=["large"])] == ["large"]


async def test_what_was_recorded_survives_the_service(database: Database, http: httpx.AsyncClient) -> None:
    first = UsageService(database)
    await first.start()
    first.record(used())
    await first.stop()
    second = UsageService(database)
    await second.start()
    second.record(used())
    # Seen by another service, so it was written without being asked for.
    async with asyncio.timeout(60):
        while (await _day(http))[0]["num_model_requests"] != 2:
            await asyncio.sleep(0.05)
    await second.stop()


async def test_a_database_that_takes_no_writes_loses_nothing(
    usage: UsageService, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise OSError("disk full")

    usage.record(used())
    with monkeypatch.context() as patched:
        patched.setattr("perijove_platform.usage.service.add_all", refuse)
        with pytest.raises(OSError, match="disk full"):
            await usage.flush()
    usage.record(used())
    assert (await _day(http))[0]["num_model_requests"] == 2


async def test_buckets_are_paged(usage: UsageService, http: httpx.AsyncClient) -> None:
    for hour in (0, 1, 5):
        usage.record(used(at=NOON + hour * 3600))
    params: dict[str, Any] = {"start_time": NOON, "end_time": NOON + 6 * 3600, "limit": 4}
    first = (await http.get("/v1/usage", params=params)).json()
    assert [len(bucket["results"]) for bucket in first["data"]] == [1, 1, 0, 0] and first["has_more"]
    second = (await http.get("/v1/usage", params={**params, "page": first["next_page"]})).json()
    assert [len(bucket["results"]) for bucket in second["data"]] == [0, 1] and not second["has_more"]
    assert second["data"][0]["start_time"] == first["data"][-1]["end_time"]


async def test_openais_own_route_by_its_own_client(app: FastAPI, usage: UsageService, http: httpx.AsyncClient) -> None:
    usage.record(used())
    usage.record(used(operation="embeddings", model="words", completion_tokens=0, cached_tokens=0))
    transport = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    client = AsyncOpenAI(base_url="http://platform/v1", api_key="proj-1", admin_api_key="proj-1", http_client=transport)
    page = await client.admin.organization.usage.completions(
        start_time=NOON - 10, end_time=NOON + 10, group_by=["model"]
    )
    result: Any = page.data[0].results[0]
    assert result.object == "organization.usage.completions.result"
    assert (result.model, result.input_tokens, result.output_tokens, result.num_model_requests) == ("small", 10, 3, 1)
    embeddings: Any = (await http.get("/v1/organization/usage/embeddings", params={"start_time": NOON})).json()
    assert embeddings["data"][0]["results"][0]["num_model_requests"] == 1


@pytest.mark.parametrize(
    "params",
    [{"start_time": -1}, {"end_time": 5, "start_time": 9}, {"bucket_width": "1m"}, {"group_by": "x"}, {"limit": 999}],
)
async def test_bad_queries_are_refused(http: httpx.AsyncClient, params: dict[str, Any]) -> None:
    response = await http.get("/v1/usage", params=params)
    assert response.status_code == 400 and response.json()["error"]["param"]
