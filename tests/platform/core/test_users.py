"""Keys and callers, over HTTP on both databases."""

import asyncio
import stat
from pathlib import Path

import httpx
from fastapi import FastAPI
from perijove_platform.app import create_app
from perijove_platform.database import Database
from perijove_platform.events import EventBus
from perijove_platform.settings import Settings
from perijove_platform.users.service import UsersService


async def test_the_local_key_is_private_and_kept(app: FastAPI, settings: Settings) -> None:
    key = settings.api_key_file.read_text()
    assert stat.S_IMODE(settings.api_key_file.stat().st_mode) == 0o600
    again = create_app(settings)
    async with again.router.lifespan_context(again):
        assert settings.api_key_file.read_text() == key
        users: UsersService = again.state.users
        assert await users.authenticate(key.strip()) is not None


async def test_platforms_have_ids_of_their_own_and_replicas_the_same(settings: Settings, tmp_path: Path) -> None:
    databases = [Database(settings.sql_url) for _ in range(3)] + [Database(f"sqlite+aiosqlite:///{tmp_path}/b.db")]
    for database in databases[2:]:
        await database.migrate()
    replicas = [
        UsersService(database, EventBus(database, keep=100), key_file=tmp_path / f"key-{number}")
        for number, database in enumerate(databases)
    ]
    await asyncio.gather(*(replica.start() for replica in replicas))
    first, second, third, other = (replica.local_caller().project_id for replica in replicas)
    assert first == second == third != other
    assert len(other.removeprefix("proj-")) == 8
    for database in databases:
        await database.close()


async def test_a_new_key_works_until_it_is_revoked(client: httpx.AsyncClient) -> None:
    created = (await client.post("/v1/api_keys", json={"name": "app", "scopes": ["platform.read"]})).json()
    as_app = {"Authorization": f"Bearer {created['secret']}"}
    assert (await client.get("/v1/me", headers=as_app)).json()["scopes"] == ["platform.read"]
    refused = await client.get("/v1/api_keys", headers=as_app)
    assert refused.status_code == 403
    assert refused.json()["error"]["param"] == "api_keys.read"
    listed = (await client.get("/v1/api_keys")).json()
    assert [key["name"] for key in listed["data"]] == ["app", "This machine"]
    assert created["secret"] not in str(listed)
    assert (await client.delete(f"/v1/api_keys/{created['id']}")).json()["deleted"] is True
    assert (await client.get("/v1/me", headers=as_app)).status_code == 401


async def test_a_key_gives_no_more_than_its_maker_has(client: httpx.AsyncClient) -> None:
    body = {"name": "keymaker", "scopes": ["api_keys.write"]}
    secret = (await client.post("/v1/api_keys", json=body)).json()["secret"]
    greedy = await client.post(
        "/v1/api_keys", json={"name": "x", "scopes": ["files.read"]}, headers={"Authorization": f"Bearer {secret}"}
    )
    assert greedy.status_code == 400
    assert "files.read" in greedy.json()["error"]["message"]


async def test_the_key_of_the_request_cannot_be_revoked(client: httpx.AsyncClient) -> None:
    own = (await client.get("/v1/api_keys")).json()["data"][0]["id"]
    assert (await client.delete(f"/v1/api_keys/{own}")).status_code == 409


async def test_requests_without_a_key_are_told_how_to_get_one(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/me", headers={"Authorization": "Basic eDp5"})
    assert answer.status_code == 401
    assert "perijove status" in answer.json()["error"]["message"]


async def test_the_secret_of_a_key_is_kept_nowhere(client: httpx.AsyncClient, app: FastAPI) -> None:
    headers = {"Idempotency-Key": "again"}
    made = [await client.post("/v1/api_keys", json={"name": "app"}, headers=headers) for _ in range(2)]
    assert [answer.headers["cache-control"] for answer in made] == ["no-store", "no-store"]
    secrets = {answer.json()["secret"] for answer in made}
    assert len(secrets) == 2  # an answer that is not kept cannot be given again
    async with app.state.database.read() as session:
        connection = await session.connection()
        for table in ("idempotency_keys", "api_keys", "outbox"):
            found = str((await connection.exec_driver_sql(f"SELECT * FROM {table}")).fetchall())
            assert not any(secret in found for secret in secrets), table
