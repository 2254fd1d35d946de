"""A models manager with a real database, real engines, and a hub that is a real HTTP server of this test."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from perijove_platform import errors
from perijove_platform.database import Base, Database
from perijove_platform.events import EventBus
from perijove_platform.models import routes
from perijove_platform.models.service import ModelsService
from perijove_platform.runtimes.local.cluster import local_serving, local_supervisor
from perijove_platform.settings import Settings
from perijove_platform.users.service import UsersService


@dataclass
class FakeHub:
    """Not Hugging Face: a stand-in that lists and sends files as its API does, with ranges and faults on demand.

    Attributes:
        files: by name, in the one repository ``org/repo``.
        sha256: by name, where the hub is to promise another checksum than the true one.
        cut_after: the connection of each transfer breaks after so many bytes.
        hold_after: a transfer waits for `release` after so many bytes.
        ranges: the ``Range`` header of every transfer.
        tokens: the ``Authorization`` header of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    hold_after: int | None = None
    release: asyncio.Event = field(default_factory=asyncio.Event)
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    ranges: list[str | None] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    url: str = ""

    def listing(self) -> dict[str, Any]:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "lfs": {"sha256": self.sha256.get(name, hashlib.sha256(content).hexdigest()), "size": len(content)},
            }
            for name, content in self.files.items()
        ]
        return {"id": "org/repo", "sha": "c0ffee", "siblings": [{"rfilename": "README.md", "size": 3}, *siblings]}

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/api/models/org/repo/revision/main")
        async def listing(request: Request) -> dict[str, Any]:
            self.tokens.append(request.headers.get("authorization"))
            return self.listing()

        @app.get("/org/repo/resolve/c0ffee/{name:path}")
        async def resolve(request: Request, name: str) -> Response:
            self.tokens.append(request.headers.get("authorization"))
            self.ranges.append(request.headers.get("range"))
            start = int((request.headers.get("range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            content = self.files[name][start:]
            headers = {"Content-Length": str(len(content))}
            return StreamingResponse(self._send(content), status_code=206 if start else 200, headers=headers)

        return app

    async def _send(self, content: bytes) -> AsyncIterator[bytes]:
        step = 4096
        for sent in range(0, len(content), step):
            if self.cut_after is not None and sent >= self.cut_after:
                raise ConnectionError("cut by the test")
            if self.hold_after is not None and sent >= self.hold_after:
                self.holding.set()
                await self.release.wait()
            yield content[sent : sent + step]


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    hub = FakeHub()
    server = uvicorn.Server(uvicorn.Config(hub.app(), port=0, log_level="critical"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    hub.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield hub
    hub.release.set()
    server.should_exit = True
    await running


@dataclass
class Platform:
    """A started models manager and its API."""

    service: ModelsService
    events: EventBus
    database: Database
    client: httpx.AsyncClient
    users: UsersService
    stop: Callable[[], Any]

    async def settled(self, name: str, *states: str) -> dict[str, Any]:
        """The model once it is in one of the states."""
        async with asyncio.timeout(60):
            while True:
                model: dict[str, Any] = (await self.client.get(f"/v1/models/{name}")).json()
                if model.get("state") in (states or ("available", "failed")):
                    return model
                await asyncio.sleep(0.01)

    async def event_types(self, name: str) -> list[str]:
        """What has been published of a model so far."""
        newest = await self.events.newest()
        types = []
        if newest:
            async for event in self.events.subscribe(project_id=None, last_id=0):
                if event.object_id == name:
                    types.append(event.type)
                if event.id >= newest:
                    break
        return types


@pytest.fixture
async def platform_at(
    tmp_path: Path, database_url: str | None, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Any]]:
    """Starts a manager on the test's data directory; call it again after `stop` for a restart."""
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    stops = []

    async def start(**changes: Any) -> Platform:
        defaults = {"data_dir": tmp_path / "data", "database_url": database_url, "install_default_models": False}
        settings = Settings(**(defaults | {"max_context_length": 512} | changes))
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        database = Database(settings.sql_url)
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        events = EventBus(database, keep=1000)
        users = UsersService(database, events, key_file=settings.api_key_file)
        await users.start()
        supervisor = local_supervisor(settings)
        serving = local_serving(settings, supervisor)
        service = ModelsService(database, events, serving, settings, owner=users.local_caller)
        await service.start()
        app = FastAPI()
        errors.install(app)
        app.include_router(routes.router)
        app.state.models, app.state.authenticator = service, users
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://platform",
            headers={"Authorization": f"Bearer {settings.api_key_file.read_text().strip()}"},
        )

        async def stop() -> None:
            await client.aclose()
            await service.stop()
            await serving.stop()
            await supervisor.stop()
            await events.stop()
            await database.close()

        stops.append(stop)
        return Platform(service, events, database, client, users, lambda: stops.remove(stop) or stop())

    yield start
    for stop in list(stops):
        await stop()


@pytest.fixture
async def platform(platform_at: Callable[..., Any]) -> Platform:
    started: Platform = await platform_at()
    return started
