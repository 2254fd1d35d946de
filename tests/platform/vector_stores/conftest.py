"""Vector stores over a real database, real Milvus Lite and the real wordllama; only the files manager is played."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from perijove_platform import errors
from perijove_platform.database import Base, Database
from perijove_platform.embeddings import EmbeddingService
from perijove_platform.events import EventBus
from perijove_platform.ids import new_id
from perijove_platform.rbac import SCOPES, Caller
from perijove_platform.vector_stores.routes import router
from perijove_platform.vector_stores.service import SourceFile, VectorStoresService

CALLER = Caller(
    user_id="user-1", user_name="u", organization_id="org-1", project_id="proj-1", scopes=SCOPES, key_id="key-1"
)
STRANGER = Caller(
    user_id="user-2", user_name="s", organization_id="org-2", project_id="proj-2", scopes=SCOPES, key_id="key-2"
)


class Folder:
    """The files manager's part, over a folder. `gate` holds readers back while it is not set."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: dict[tuple[str, str], str] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    def put(self, filename: str, content: bytes | str, project_id: str = CALLER.project_id) -> str:
        file_id = new_id("file-")
        (self.root / file_id).write_bytes(content.encode() if isinstance(content, str) else content)
        self.names[project_id, file_id] = filename
        return file_id

    async def find(self, project_id: str, file_id: str) -> SourceFile | None:
        name = self.names.get((project_id, file_id))
        return None if name is None else SourceFile(file_id, name, (self.root / file_id).stat().st_size)

    async def read(self, project_id: str, file_id: str) -> AsyncIterator[bytes]:
        await self.gate.wait()
        if (project_id, file_id) not in self.names:
            raise errors.NotFound(f"No file '{file_id}'.")
        with (self.root / file_id).open("rb") as file:
            while piece := file.read(65_536):
                yield piece


class Keys:
    """The users manager's part: two keys, of two projects."""

    async def authenticate(self, token: str) -> Caller | None:
        return {"mine": CALLER, "theirs": STRANGER}.get(token)


class Api(httpx.AsyncClient):
    """The API as one caller, with what tests do over and over."""

    async def settled(self, store_id: str) -> dict[str, Any]:
        """The store, once nothing in it is being indexed."""
        async with asyncio.timeout(60):
            while True:
                store: dict[str, Any] = (await self.get(f"/vector_stores/{store_id}")).json()
                if store["status"] != "in_progress":
                    return store
                await asyncio.sleep(0.02)

    async def store_with(self, *file_ids: str, **fields: Any) -> str:
        """A store in which these files have been indexed."""
        response = await self.post("/vector_stores", json={"file_ids": list(file_ids), **fields})
        assert response.status_code == 200, response.text
        store_id: str = response.json()["id"]
        await self.settled(store_id)
        return store_id

    async def found(self, store_id: str, query: str, **fields: Any) -> list[dict[str, Any]]:
        response = await self.post(f"/vector_stores/{store_id}/search", json={"query": query, **fields})
        assert response.status_code == 200, response.text
        results: list[dict[str, Any]] = response.json()["data"]
        return results


class Platform:
    """The manager, its API and what it stands on."""

    project_id = CALLER.project_id

    def __init__(self, data_dir: Path, database_url: str | None, folder: Folder) -> None:
        self.database = Database(_sql_url(data_dir, database_url))
        self.events = EventBus(self.database, keep=1000)
        self.files = folder
        self.service = VectorStoresService(
            self.database, self.events, folder, EmbeddingService(), folder=data_dir / "vectors"
        )
        self.app = FastAPI()
        errors.install(self.app)
        self.app.include_router(router)
        self.app.state.vector_stores = self.service
        self.app.state.authenticator = Keys()

    def client(self, key: str = "mine") -> Api:
        transport = httpx.ASGITransport(self.app)
        headers = {"Authorization": f"Bearer {key}"}
        return Api(transport=transport, base_url="http://platform/v1", headers=headers, timeout=60)

    async def start(self) -> None:
        async with self.database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await self.service.start()

    async def stop(self) -> None:
        await self.service.stop()
        await self.events.stop()
        await self.database.close()


def _sql_url(data_dir: Path, database_url: str | None) -> str:
    if database_url is None:
        return f"sqlite+aiosqlite:///{data_dir / 'platform.db'}"
    return "postgresql+asyncpg://" + database_url.partition("://")[2]


Make = Callable[[], Awaitable[Platform]]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "files").mkdir()
    return Folder(tmp_path / "files")


@pytest.fixture
async def make(tmp_path: Path, database_url: str | None, folder: Folder) -> AsyncIterator[Make]:
    """Starts a platform over the test's data directory; a test may stop it and make another, as a restart does."""
    (tmp_path / "data").mkdir()
    made: list[Platform] = []

    async def start() -> Platform:
        platform = Platform(tmp_path / "data", database_url, folder)
        made.append(platform)
        await platform.start()
        return platform

    yield start
    for platform in made:
        await platform.stop()


@pytest.fixture
async def platform(make: Make) -> Platform:
    return await make()


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[Api]:
    async with platform.client() as client:
        yield client
