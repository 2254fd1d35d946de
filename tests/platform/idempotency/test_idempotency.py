"""A POST that is sent again does nothing again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from perijove_platform import errors
from perijove_platform.database import Base, Database
from perijove_platform.events import EventBus
from perijove_platform.idempotency import KEEP_SECONDS, IdempotencyMiddleware, IdempotencyRow
from perijove_platform.settings import Settings
from perijove_platform.users.service import UsersService
from sqlalchemy import func, select, update


class Thing:
    """What the application's routes do: `made` counts it, `gate` holds it up, and `come` tells that it waits there."""

    def __init__(self) -> None:
        self.made = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.come = asyncio.Event()
        self.fail: errors.ApiError | None = None


@pytest.fixture
def thing() -> Thing:
    return Thing()


@pytest.fixture
async def app(settings: Settings, thing: Thing) -> AsyncIterator[FastAPI]:
    settings.data_dir.mkdir(parents=True)
    database = Database(settings.sql_url)
    await database.migrate()
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    users = UsersService(database, EventBus(database, keep=100), key_file=settings.api_key_file)
    await users.start()
    yield make_app(database, users, thing)
    await database.close()


def make_app(database: Database, users: UsersService, thing: Thing) -> FastAPI:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(IdempotencyMiddleware)
    app.state.database, app.state.authenticator, app.state.users = database, users, users

    @app.post("/v1/things")
    async def make(request: Request) -> dict[str, Any]:
        thing.come.set()
        await thing.gate.wait()
        if thing.fail is not None:
            raise thing.fail
        thing.made += 1
        return {"number": thing.made, "sent": len(await request.body())}

    @app.post("/v1/other")
    async def other() -> Response:
        thing.made += 1
        return Response("plain", media_type="text/plain")

    @app.post("/v1/chat/completions")
    async def chat() -> StreamingResponse:
        thing.made += 1

        async def events() -> AsyncIterator[str]:
            yield "data: 1\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.post("/v1/big")
    async def big() -> dict[str, str]:
        thing.made += 1
        return {"text": "x" * (1024 * 1024)}

    return app


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def test_the_same_request_runs_once(client: httpx.AsyncClient, thing: Thing) -> None:
    first = await client.post("/v1/things", json={"a": 1}, headers=key("k1"))
    again = await client.post("/v1/things", json={"a": 1}, headers=key("k1"))
    assert first.json() == again.json() == {"number": 1, "sent": 7}
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (await client.post("/v1/things", json={"a": 1}, headers=key("k2"))).json()["number"] == 2
    assert (await client.post("/v1/things", json={"a": 1})).json()["number"] == 3
    assert thing.made == 3


async def test_a_key_is_for_one_request(client: httpx.AsyncClient, thing: Thing) -> None:
    await client.post("/v1/things", json={"a": 1}, headers=key("k"))
    other = await client.post("/v1/things", json={"a": 2}, headers=key("k"))
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    assert thing.made == 1
    elsewhere = await client.post("/v1/other", headers=key("k"))
    assert elsewhere.status_code == 200


@pytest.mark.parametrize("bad", ["", "x" * 256, "a\tb"])
async def test_bad_keys(client: httpx.AsyncClient, thing: Thing, bad: str) -> None:
    answer = await client.post("/v1/things", json={}, headers=key(bad))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "Idempotency-Key"
    assert thing.made == 0


async def test_a_duplicate_waits_for_the_first(client: httpx.AsyncClient, thing: Thing) -> None:
    thing.gate.clear()
    requests = [asyncio.create_task(client.post("/v1/things", json={}, headers=key("k"))) for _ in range(5)]
    await asyncio.sleep(0.2)
    thing.gate.set()
    answers = await asyncio.gather(*requests)
    assert {answer.text for answer in answers} == {answers[0].text}
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 4
    assert thing.made == 1


async def test_a_duplicate_does_not_wait_for_ever(
    client: httpx.AsyncClient, thing: Thing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perijove_platform.idempotency.WAIT_SECONDS", 0.05)
    thing.gate.clear()
    first = asyncio.create_task(client.post("/v1/things", json={}, headers=key("k")))
    await thing.come.wait()
    second = await client.post("/v1/things", json={}, headers=key("k"))
    assert second.status_code == 409
    assert second.headers["retry-after"] == "10"
    thing.gate.set()
    assert (await first).status_code == 200


async def test_a_failure_frees_the_key(client: httpx.AsyncClient, thing: Thing, app: FastAPI) -> None:
    for failure in (errors.Unavailable("busy"), errors.BadRequest("no")):
        thing.fail = failure
        assert (await client.post("/v1/things", json={}, headers=key("k"))).status_code == failure.status
    thing.fail = None
    assert (await client.post("/v1/things", json={}, headers=key("k"))).json()["number"] == 1


async def test_a_form_is_known_by_its_length(client: httpx.AsyncClient, thing: Thing) -> None:
    for _ in range(2):
        answer = await client.post("/v1/things", files={"file": b"abc"}, headers=key("k"))
        assert answer.json()["number"] == 1
    assert (await client.post("/v1/things", files={"file": b"abcd"}, headers=key("k"))).status_code == 422
    assert thing.made == 1


@pytest.mark.parametrize("path", ["/v1/other", "/v1/chat/completions", "/v1/big"])
async def test_what_is_not_kept_runs_again(client: httpx.AsyncClient, thing: Thing, app: FastAPI, path: str) -> None:
    for _ in range(2):
        answer = await client.post(path, headers=key("k"))
        assert answer.status_code == 200
        assert "idempotent-replayed" not in answer.headers
    assert thing.made == 2
    async with app.state.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(IdempotencyRow)) == 0


async def test_a_crash_frees_the_key(app: FastAPI, client: httpx.AsyncClient, thing: Thing) -> None:
    await client.post("/v1/things", json={}, headers=key("k"))
    async with app.state.database.write() as session:
        await session.execute(update(IdempotencyRow).values(status=None, owner="run_before", lease_until=0))
    assert (await client.post("/v1/things", json={}, headers=key("k"))).json()["number"] == 2


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_two_replicas(app: FastAPI, client: httpx.AsyncClient, thing: Thing) -> None:
    replica = make_app(app.state.database, app.state.users, thing)
    transport = httpx.ASGITransport(replica)
    thing.gate.clear()
    async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=client.headers) as second:
        requests = [asyncio.create_task(c.post("/v1/things", json={}, headers=key("k"))) for c in (client, second)]
        await asyncio.sleep(0.2)
        thing.gate.set()
        answers = await asyncio.gather(*requests)
    assert answers[0].text == answers[1].text
    assert thing.made == 1


async def test_keys_are_kept_for_a_day(app: FastAPI, client: httpx.AsyncClient, thing: Thing) -> None:
    await client.post("/v1/things", json={"a": 1}, headers=key("k"))
    async with app.state.database.write() as session:
        await session.execute(update(IdempotencyRow).values(created_at=IdempotencyRow.created_at - KEEP_SECONDS - 1))
    assert (await client.post("/v1/things", json={"a": 2}, headers=key("k"))).json()["number"] == 2


async def test_without_a_key_of_ours_nothing_is_kept(app: FastAPI, client: httpx.AsyncClient, thing: Thing) -> None:
    await client.post("/v1/things", json={}, headers={**key("k"), "Authorization": "Bearer nonsense"})
    async with app.state.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(IdempotencyRow)) == 0
