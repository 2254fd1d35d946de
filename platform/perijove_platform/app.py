"""The composition root: builds every service from the settings, mounts every router, runs the lifespan."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Protocol

from fastapi import FastAPI

from perijove_platform import __version__, errors
from perijove_platform.batch_jobs import routes as batch_jobs_routes
from perijove_platform.batch_jobs.service import BatchJobsService
from perijove_platform.bridges import FilesForJobs, FilesForVectorStores, ModelsForEmbeddings, SearchForInference
from perijove_platform.clusters import routes as clusters_routes
from perijove_platform.clusters.registry import ClusterRegistry, RegisteredCluster
from perijove_platform.clusters.service import ClustersService
from perijove_platform.database import Database
from perijove_platform.embeddings import EmbeddingService
from perijove_platform.embeddings.wordllama import WordLlamaEmbedder
from perijove_platform.events import EventBus
from perijove_platform.events import routes as events_routes
from perijove_platform.files import routes as files_routes
from perijove_platform.files import upload_routes
from perijove_platform.files.housekeeping import FilesHousekeeper
from perijove_platform.files.service import FilesService
from perijove_platform.files.uploads import UploadsService
from perijove_platform.fine_tuning import routes as fine_tuning_routes
from perijove_platform.fine_tuning.service import FineTuningService
from perijove_platform.idempotency import IdempotencyMiddleware
from perijove_platform.inference import response_routes
from perijove_platform.inference import routes as inference_routes
from perijove_platform.inference.admission import Admission
from perijove_platform.inference.responses import ResponsesService
from perijove_platform.inference.router import Router
from perijove_platform.inference.service import InferenceService
from perijove_platform.jobs import run_routes
from perijove_platform.jobs.lifecycle import JobLifecycle
from perijove_platform.jobs.run_service import JobRunsService
from perijove_platform.models import routes as models_routes
from perijove_platform.models.service import ModelsService
from perijove_platform.objects import routes as objects_routes
from perijove_platform.objects.opened import open_store
from perijove_platform.request_id import RequestIdMiddleware
from perijove_platform.runtimes.kubernetes.cluster import ClusterServices, KubernetesCluster, tunnelled
from perijove_platform.runtimes.kubernetes.job_manifests import PodSettings
from perijove_platform.runtimes.local.cluster import LocalCluster, local_supervisor
from perijove_platform.runtimes.local.jobs import LocalJobs
from perijove_platform.sessions import refusals
from perijove_platform.sessions import routes as sessions_routes
from perijove_platform.sessions.audit import Bounds
from perijove_platform.sessions.service import SessionsService
from perijove_platform.settings import Settings
from perijove_platform.status import routes as status_routes
from perijove_platform.usage import routes as usage_routes
from perijove_platform.usage.service import UsageService
from perijove_platform.users import routes as users_routes
from perijove_platform.users.service import UsersService
from perijove_platform.vector_stores import routes as vector_stores_routes
from perijove_platform.vector_stores.service import VectorStoresService

DESCRIPTION = "OpenAI's API, and a few routes more, for models, files, fine-tuning and vector stores."
ROUTES = (
    status_routes,
    users_routes,
    events_routes,
    models_routes,
    files_routes,
    upload_routes,
    fine_tuning_routes,
    batch_jobs_routes,
    run_routes,
    objects_routes,
    vector_stores_routes,
    inference_routes,
    response_routes,
    usage_routes,
    clusters_routes,
    sessions_routes,
)


class Background(Protocol):
    """A service with work of its own."""

    async def start(self) -> object: ...

    async def stop(self) -> object: ...


def create_app(settings: Settings | None = None) -> FastAPI:
    """The platform as one ASGI application; nothing is opened or started before its lifespan begins."""
    app = FastAPI(
        title="Perijove",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings or Settings()
    errors.install(app)
    refusals.install(app)
    app.add_middleware(IdempotencyMiddleware)
    app.add_middleware(RequestIdMiddleware)
    for routes in ROUTES:
        app.include_router(routes.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.sql_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        await database.migrate()
        for service in _services(app, settings, database):
            stack.push_async_callback(service.stop)
            await service.start()
        yield


def _connected(app: FastAPI, registered: RegisteredCluster) -> KubernetesCluster:
    """The runtime of a cluster whose agent dials this platform; asked for when all services have been made."""
    state, settings = app.state, app.state.settings
    services = ClusterServices(
        runs=state.job_runs,
        wish_of=state.job_lifecycle.wish_of,
        quota_of=partial(state.clusters.quota_of, registered.id),
        record=partial(state.clusters.record_status, registered.id),
    )
    pods = PodSettings(
        images={"trainer": settings.trainer_image},
        runner_image=settings.runner_image or settings.trainer_image,
        cpus=settings.trainer_cpus,
        memory_bytes=settings.trainer_memory_bytes,
        volumes=settings.trainer_volumes,
        environment=settings.trainer_environment,
    )
    return tunnelled(
        registered,
        state.sessions.tunnels,
        services,
        pods,
        settings.jobs_dir,
        start_seconds=settings.job_start_seconds,
    )


def _services(app: FastAPI, settings: Settings, database: Database) -> list[Background]:
    """Every service, in the order of starting: each after what it builds on. Routes find theirs in `app.state`."""
    state = app.state
    events = EventBus(database, keep=settings.outbox_rows)
    users = UsersService(database, events, key_file=settings.api_key_file, local_id=settings.local_id)
    objects = open_store(settings)
    job_runs = JobRunsService(
        database, objects, public_url=settings.public_url, jobs_dir=settings.jobs_dir, ca=settings.tls_ca
    )
    supervisor = local_supervisor(settings)
    cluster = LocalCluster(settings, supervisor, LocalJobs(settings, objects, supervisor))
    models = ModelsService(database, events, cluster.serving, settings, owner=users.local_caller)
    files = FilesService(
        database,
        events,
        objects,
        max_file_bytes=settings.max_file_bytes,
        max_tokens=settings.max_context_length,
    )
    uploads = UploadsService(
        database,
        objects,
        files,
        max_file_bytes=settings.max_file_bytes,
        max_part_bytes=settings.max_upload_part_bytes,
    )
    registry = ClusterRegistry(database, events, [cluster], lambda registered: _connected(app, registered))
    lifecycle = JobLifecycle(database, events, registry, max_queued=settings.max_queued_jobs)
    files_for_jobs = FilesForJobs(files)
    wordllama = WordLlamaEmbedder()
    vector_stores = VectorStoresService(
        database,
        events,
        FilesForVectorStores(files),
        EmbeddingService(ModelsForEmbeddings(models), cluster.serving, wordllama),
        folder=settings.vectors_dir,
        milvus_url=settings.milvus_url,
        milvus_token=settings.milvus_token.get_secret_value() if settings.milvus_token else None,
        workers=settings.indexing_workers,
    )
    usage = UsageService(database)
    inference = InferenceService(
        Router(models, events, cluster.serving),
        Admission(concurrent=settings.max_concurrent_requests, queued=settings.max_queued_requests),
        usage,
        wordllama,
    )
    state.database, state.events, state.cluster = database, events, cluster
    state.users = state.authenticator = users
    state.objects, state.job_runs = objects, job_runs
    state.models, state.files, state.uploads, state.job_lifecycle = models, files, uploads, lifecycle
    state.fine_tuning = FineTuningService(database, lifecycle, models, files_for_jobs)
    state.batch_jobs = BatchJobsService(lifecycle, files_for_jobs)
    state.vector_stores, state.usage, state.inference = vector_stores, usage, inference
    state.responses = ResponsesService(database, inference, SearchForInference(vector_stores))
    clusters = state.clusters = ClustersService(database, events, [cluster], users, lifecycle)
    sessions = state.sessions = SessionsService(
        database,
        events,
        clusters,
        users,
        replica_url=settings.replica_url,
        ca=settings.tls_ca,
        audit_bounds=Bounds(records=settings.audit_records, days=settings.audit_days),
    )
    housekeeper = FilesHousekeeper(database, objects, files, uploads)
    return [
        events,
        users,
        objects,
        job_runs,
        cluster,
        clusters,
        sessions,
        registry,
        usage,
        models,
        housekeeper,
        lifecycle,
        vector_stores,
        inference,
    ]
