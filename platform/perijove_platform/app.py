"""The composition root: builds every service from the settings, mounts every router, runs the lifespan."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from fastapi import FastAPI

from perijove_platform import __version__, errors
from perijove_platform.database import Database
from perijove_platform.events import EventBus
from perijove_platform.events import routes as events_routes
from perijove_platform.request_id import RequestIdMiddleware
from perijove_platform.settings import Settings
from perijove_platform.users import routes as users_routes
from perijove_platform.users.service import UsersService

DESCRIPTION = "OpenAI's API, and a few routes more, for models, files, fine-tuning and vector stores."


class Background(Protocol):
    """A service with work of its own; started in the order of dependence, stopped in the reverse."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def create_app(settings: Settings | None = None) -> FastAPI:
    """The platform as one ASGI application; nothing is opened or started before its lifespan begins."""
    settings = settings or Settings()
    app = FastAPI(
        title="Perijove",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    errors.install(app)
    app.add_middleware(RequestIdMiddleware)
    app.include_router(users_routes.router)
    app.include_router(events_routes.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.sql_url)
    await database.migrate()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        app.state.database = database
        app.state.events = events = EventBus(database, keep=settings.outbox_rows)
        stack.push_async_callback(events.stop)
        users = UsersService(database, events, key_file=settings.api_key_file)
        app.state.users = app.state.authenticator = users
        await users.start()
        yield
