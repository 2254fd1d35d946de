"""Clients of several organizations, and what happened as their streams tell it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from perijove_platform.clusters.service import ClustersService
from perijove_platform.database import Database
from perijove_platform.events.store import OutboxRow, after
from perijove_platform.rbac import SCOPES, Caller

AsCaller = Callable[..., httpx.AsyncClient]
Events = Callable[[], Any]
Create = Callable[..., Awaitable[dict[str, Any]]]
Register = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


class Callers:
    """The token is ``organization/project/scopes``; keys have tests of their own."""

    async def authenticate(self, token: str) -> Caller | None:
        organization, project, scopes = token.split("/")
        return Caller(
            user_id="user-ada",
            user_name="Ada",
            organization_id=organization,
            project_id=project,
            scopes=frozenset(scope for scope in SCOPES if scopes in ("", scope)),
            key_id="key",
        )


@pytest.fixture
async def caller(app: FastAPI) -> AsyncIterator[AsCaller]:
    """A client of anybody: ``caller("org-b", "proj-b", "clusters.read")``."""
    app.state.authenticator = Callers()
    async with AsyncExitStack() as stack:

        def client(organization: str = "org-local", project: str = "proj-local", scope: str = "") -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            headers = {"Authorization": f"Bearer {organization}/{project}/{scope}"}
            made = httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers)
            stack.push_async_callback(made.aclose)
            return made

        yield client


@pytest.fixture
def service(app: FastAPI) -> ClustersService:
    service: ClustersService = app.state.clusters
    return service


@pytest.fixture
def events(app: FastAPI) -> Events:
    """The outbox, oldest first."""
    database: Database = app.state.database

    async def read() -> Sequence[OutboxRow]:
        async with database.read() as session:
            return await after(session, 0, owners=None, limit=1000)

    return read


@pytest.fixture
def create() -> Create:
    """``await create(client, "name", description="…")``: a new cluster, as `POST /v1/clusters` answers."""

    async def post(client: httpx.AsyncClient, name: str = "gpu", **fields: Any) -> dict[str, Any]:
        answer = await client.post("/v1/clusters", json={"name": name, **fields})
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    return post


@pytest.fixture
def register() -> Register:
    """``await register(client, token)``, as an agent does."""

    async def post(client: httpx.AsyncClient, token: str) -> httpx.Response:
        return await client.post("/v1/agent/registration", headers={"Authorization": f"Bearer {token}"})

    return post


@pytest.fixture
async def joined(client: httpx.AsyncClient, create: Create, register: Register) -> tuple[str, str]:
    """The id of a cluster `gpu`, and the credential of its agent."""
    token = (await create(client))["registration_token"]["token"]
    answer = (await register(client, token)).json()
    return answer["cluster_id"], answer["credential"]
