"""A jobs manager over real children, a real database and real models; the trainer is scripted, files are a folder."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI
from perijove_platform import errors
from perijove_platform.clusters import routes as clusters_routes
from perijove_platform.clusters.registry import ClusterRegistry, RegisteredCluster, RegisteredRuntime
from perijove_platform.clusters.service import ClustersService
from perijove_platform.database import Base, Database
from perijove_platform.errors import NotFound
from perijove_platform.events import EventBus
from perijove_platform.fine_tuning import routes
from perijove_platform.fine_tuning.service import FineTuningService
from perijove_platform.fine_tuning.sources import LineError, TrainingFile
from perijove_platform.jobs.lifecycle import JobLifecycle
from perijove_platform.models.schemas import ModelCreate, PathSource
from perijove_platform.models.service import ModelsService
from perijove_platform.rbac import SCOPES, Caller
from perijove_platform.runtimes.base import JobSpec
from perijove_platform.runtimes.local import trainer_environment, trainer_run
from perijove_platform.runtimes.local.cluster import LocalCluster, local_supervisor
from perijove_platform.runtimes.local.jobs import LocalJobs
from perijove_platform.settings import Settings

SCRIPTED = Path(__file__).parents[1] / "runtimes" / "scripted_trainer.py"
MODEL = "smollm2"


def caller(project: str = "proj-local") -> Caller:
    return Caller(user_id="user", user_name="U", organization_id="org", project_id=project, scopes=SCOPES, key_id="key")


class Callers:
    """The token is the project."""

    async def authenticate(self, token: str) -> Caller | None:
        return caller(token)


@dataclass
class FolderFiles:
    """The files manager as far as jobs need it, and the object store under it.

    Attributes:
        checking: a check of a file ends when this is set.
    """

    folder: Path
    checking: asyncio.Event = field(default_factory=asyncio.Event)
    files: dict[str, TrainingFile] = field(default_factory=dict)
    results: dict[str, bytes] = field(default_factory=dict)

    def add(self, file_id: str, *, purpose: str = "fine-tune", problems: tuple[LineError, ...] = ()) -> str:
        key = str(self.folder / file_id)
        messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
        Path(key).write_text(json.dumps({"messages": messages}) + "\n")
        self.files[file_id] = TrainingFile(file_id, purpose, key, problems, examples=1)
        return file_id

    async def training_file(self, caller: Caller, file_id: str) -> TrainingFile:
        if caller.project_id != "proj-local" or file_id not in self.files:
            raise NotFound(f"No file '{file_id}'.")
        await self.checking.wait()
        return self.files[file_id]

    async def add_result(self, caller: Caller, *, file_id: str, filename: str, path: Path) -> None:
        self.results.setdefault(file_id, await asyncio.to_thread(path.read_bytes))

    @asynccontextmanager
    async def local_path(self, key: str) -> AsyncIterator[Path]:
        yield Path(key)


class ScriptedJobs(LocalJobs):
    """Adds the script of the scripted trainer to each job's configuration."""

    script: dict[str, Any]

    async def submit(self, spec: JobSpec) -> None:
        config = {**spec.config, "script": self.script}
        await super().submit(replace(spec, config=config))


class RegisteredLocal(LocalCluster):
    """A registered cluster whose machine is this one, and which knows no quotas."""

    def quotas_changed(self) -> None:
        pass


class Elsewhere:
    """Makes the runtime of a registered cluster: another folder of this machine, for want of another machine."""

    def __init__(self, settings: Settings, files: FolderFiles, script: dict[str, Any]) -> None:
        self._settings = settings
        self._files = files
        self._script = script

    def __call__(self, registered: RegisteredCluster) -> RegisteredRuntime:
        folder = self._settings.data_dir / "elsewhere" / registered.name
        settings = self._settings.model_copy(update={"data_dir": folder})
        supervisor = local_supervisor(settings)
        jobs = ScriptedJobs(settings, self._files, supervisor)
        jobs.script = self._script
        cluster = RegisteredLocal(settings, supervisor, jobs)
        cluster.name = registered.name
        return cluster


@dataclass
class World:
    """Everything that a test may look at. `platform()` starts it, and again after a stop."""

    settings: Settings
    files: FolderFiles
    script: dict[str, Any]
    database: Database
    events: EventBus
    base: Path
    service: FineTuningService
    lifecycle: JobLifecycle
    models: ModelsService
    app: FastAPI

    def client(self, project: str = "proj-local") -> openai.AsyncOpenAI:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://platform")
        return openai.AsyncOpenAI(base_url="http://platform/v1", api_key=project, http_client=http, max_retries=0)

    def http(self, project: str = "proj-local") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {project}"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://platform", headers=headers)

    def folder(self, job_id: str) -> Path:
        return self.settings.jobs_dir / job_id

    def go(self, job_id: str) -> None:
        (self.folder(job_id) / "go").touch()

    async def until(self, job_id: str, wanted: Callable[[Any], bool]) -> Any:
        """The public job, as soon as it is as wanted."""
        async with asyncio.timeout(60):
            while True:
                job = await self.service.get(caller(), job_id)
                if wanted(job):
                    return job
                await asyncio.sleep(0.01)


@asynccontextmanager
async def platform(settings: Settings, files: FolderFiles, base: Path, script: dict[str, Any]) -> AsyncIterator[World]:
    """A started jobs manager on the settings' database and data directory, which may have been used before."""
    async with AsyncExitStack() as stack:
        database = Database(settings.sql_url)
        stack.push_async_callback(database.close)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        events = EventBus(database, keep=10_000)
        stack.push_async_callback(events.stop)
        supervisor = local_supervisor(settings)
        jobs = ScriptedJobs(settings, files, supervisor)
        jobs.script = script
        cluster = LocalCluster(settings, supervisor, jobs)
        await cluster.start()
        stack.push_async_callback(cluster.stop)
        models = ModelsService(database, events, cluster.serving, settings, owner=caller())
        await models.start()
        stack.push_async_callback(models.stop)
        try:
            await models.get(caller(), MODEL)
        except NotFound:
            await models.create(caller(), ModelCreate(source=PathSource(type="path", path=str(base)), id=MODEL))
        registry = ClusterRegistry(database, events, [cluster], Elsewhere(settings, files, script))
        await registry.start()
        stack.push_async_callback(registry.stop)
        lifecycle = JobLifecycle(database, events, registry, max_queued=settings.max_queued_jobs)
        service = FineTuningService(database, lifecycle, models, files)
        await lifecycle.start()
        stack.push_async_callback(lifecycle.stop)
        app = FastAPI()
        errors.install(app)
        app.include_router(routes.router)
        app.include_router(clusters_routes.router)
        app.state.fine_tuning, app.state.authenticator = service, Callers()
        projects: Any = None  # nobody sets quotas here
        app.state.clusters = ClustersService(database, events, [cluster], projects, lifecycle)
        yield World(settings, files, script, database, events, base, service, lifecycle, models, app)


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_environment, "environment_python", lambda _: Path(sys.executable))
    monkeypatch.setattr(trainer_run, "archive_program", lambda *_: SCRIPTED)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cancels or pauses a job is told of its new state, however slow the machine is."""
    monkeypatch.setattr("perijove_platform.jobs.lifecycle._WAIT_SECONDS", 60.0)


@pytest.fixture
def files(tmp_path: Path) -> FolderFiles:
    folder = tmp_path / "uploaded"
    folder.mkdir()
    files = FolderFiles(folder)
    files.add("file-train")
    files.add("file-valid")
    files.checking.set()
    return files


@pytest.fixture
def script(lora_adapter: Path) -> dict[str, Any]:
    """What the scripted trainer does; tests change it before they create a job."""
    return {"steps": 3, "adapter": str(lora_adapter)}


@pytest.fixture
def base(smollm2: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(smollm2, tmp_path / "base.gguf"))


@pytest.fixture
async def world(settings: Settings, files: FolderFiles, base: Path, script: dict[str, Any]) -> AsyncIterator[World]:
    async with platform(settings, files, base, script) as world:
        yield world


@pytest.fixture
def start(
    settings: Settings, files: FolderFiles, base: Path, script: dict[str, Any]
) -> Callable[[], AbstractAsyncContextManager[World]]:
    """Starts the platform; called again after the end of the block, it starts on what the first one left."""
    return lambda: platform(settings, files, base, script)
