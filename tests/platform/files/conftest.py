"""The files manager behind real HTTP routes, on SQLite with a folder and on PostgreSQL with S3."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from perijove_platform import errors
from perijove_platform.database import Base, Database
from perijove_platform.events import EventBus
from perijove_platform.files import routes, upload_routes
from perijove_platform.files.housekeeping import FilesHousekeeper
from perijove_platform.files.service import FilesService
from perijove_platform.files.uploads import UploadsService
from perijove_platform.objects import ObjectStore
from perijove_platform.objects.folder import FolderStore
from perijove_platform.request_id import RequestIdMiddleware
from perijove_platform.settings import Settings
from perijove_platform.users.service import UsersService
from s3_server import S3Server, s3

__all__ = ["s3"]


@pytest.fixture
async def objects(database_url: str | None, tmp_path: Path, request: pytest.FixtureRequest) -> ObjectStore:
    """Where the files of this kind of platform lie; not started."""
    if database_url is None:
        return FolderStore(tmp_path / "data" / "objects")
    server: S3Server = request.getfixturevalue("s3")
    return server.store(server.bucket(), tmp_path / "scratch")


@asynccontextmanager
async def files_platform(settings: Settings, objects: ObjectStore) -> AsyncIterator[FastAPI]:
    """A platform of the core and the files manager only."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        database = Database(settings.sql_url)
        stack.push_async_callback(database.close)
        await database.migrate()
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        events = EventBus(database, keep=settings.outbox_rows)
        stack.push_async_callback(events.stop)
        await objects.start()
        stack.push_async_callback(objects.stop)
        files = FilesService(
            database, events, objects, max_file_bytes=settings.max_file_bytes, max_tokens=settings.max_context_length
        )
        uploads = UploadsService(
            database,
            objects,
            files,
            max_file_bytes=settings.max_file_bytes,
            max_part_bytes=settings.max_upload_part_bytes,
        )
        housekeeper = FilesHousekeeper(database, objects, files, uploads)
        await housekeeper.start()
        stack.push_async_callback(housekeeper.stop)
        users = UsersService(database, events, key_file=settings.api_key_file)
        await users.start()
        app = FastAPI()
        errors.install(app)
        app.add_middleware(RequestIdMiddleware)
        app.include_router(routes.router)
        app.include_router(upload_routes.router)
        app.state.settings = settings
        app.state.database, app.state.events, app.state.objects = database, events, objects
        app.state.authenticator, app.state.users = users, users
        app.state.files, app.state.uploads, app.state.housekeeper = files, uploads, housekeeper
        yield app


@pytest.fixture
async def app(settings: Settings, objects: ObjectStore) -> AsyncIterator[FastAPI]:
    settings.max_file_bytes = 3 * 1024 * 1024
    settings.max_upload_part_bytes = 1024 * 1024
    async with files_platform(settings, objects) as app:
        yield app


Upload = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def upload(client: httpx.AsyncClient) -> Upload:
    """Uploads a file: ``await upload("a.jsonl", b"…", purpose="fine-tune")``."""

    async def send(filename: str, content: bytes, purpose: str = "fine-tune") -> dict[str, Any]:
        answer = await client.post("/v1/files", files={"file": (filename, content)}, data={"purpose": purpose})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    return send


@pytest.fixture
def stored_keys(app: FastAPI) -> Callable[[], Awaitable[list[str]]]:
    """The keys of every object of files and uploads."""

    async def list_keys() -> list[str]:
        store: ObjectStore = app.state.objects
        return [found.key for prefix in ("files/", "uploads/") async for found in store.list(prefix)]

    return list_keys


def jsonl(*examples: object) -> bytes:
    return b"".join(json.dumps(example).encode() + b"\n" for example in examples)
