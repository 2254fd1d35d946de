"""Which failures of the database are the client's: a NUL character in a text, and nothing else."""

from collections.abc import AsyncIterator

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from perijove_platform import errors
from perijove_platform.database import Database
from perijove_platform.request_id import RequestIdMiddleware


@pytest.fixture
async def failing(postgres: str) -> AsyncIterator[httpx.AsyncClient]:
    """An API that runs the statement it is sent, with the text it is sent."""
    database = Database(postgres.replace("postgresql://", "postgresql+asyncpg://", 1))
    app = FastAPI()
    errors.install(app)
    app.add_middleware(RequestIdMiddleware)

    @app.post("/")
    async def run(body: dict[str, str]) -> None:
        async with database.read() as session:
            await session.execute(sa.text(body.pop("statement")), body)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://platform") as client:
        yield client
    await database.close()


@pytest.mark.parametrize(
    "body",
    [
        {"statement": "SELECT CAST(:given AS text)", "given": "a\0b"},
        {"statement": "SELECT CAST(:given AS json) ->> 'a'", "given": '{"a": "\\u0000"}'},
    ],
)
async def test_a_nul_character_is_the_clients(failing: httpx.AsyncClient, body: dict[str, str]) -> None:
    answer = await failing.post("/", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_value"
    assert "NUL character (\\u0000)" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"statement": "SELECT 1 / CAST(length(CAST(:given AS text)) AS integer)", "given": ""},
        {"statement": "SELECT CAST(CAST(:given AS text) AS integer)", "given": "seven"},
        {"statement": "SELECT CAST(CAST(:given AS text) AS integer)", "given": "99999999999"},
        {"statement": "SELECT * FROM nowhere"},
    ],
)
async def test_any_other_failure_is_ours(failing: httpx.AsyncClient, body: dict[str, str]) -> None:
    answer = await failing.post("/", json=body)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
