"""Rules of models: registering, pulling, names, deleting; and what the inference plane is told of them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database
from perijove_platform.errors import ApiError, Conflict, NotFound, OutOfStorage
from perijove_platform.events import EventBus
from perijove_platform.ids import new_id
from perijove_platform.inference.catalog import ModelEntry, ModelKind, ModelState
from perijove_platform.models import store
from perijove_platform.models.built_in import BuiltInModels
from perijove_platform.models.engine_states import EngineStates
from perijove_platform.models.hub import PullPlan, hub_client, plan_pull
from perijove_platform.models.inspect_path import inspect
from perijove_platform.models.pulls import Pulls, apply_weights
from perijove_platform.models.rows import check_name, name_of, new_row, owned, taken
from perijove_platform.models.schemas import (
    AliasCreate,
    HubSource,
    Model,
    ModelCreate,
    ModelListParams,
    PathSource,
    Source,
)
from perijove_platform.models.store import ModelAliasRow, ModelRow, ModelStore
from perijove_platform.pagination import ListParams, Page, page
from perijove_platform.rbac import Caller
from perijove_platform.runtimes.base import AdapterSpec, ModelSpec, Serving
from perijove_platform.runtimes.local.memory import format_bytes
from perijove_platform.schemas import Deleted
from perijove_platform.settings import Settings

MAX_MODELS = 5000
MAX_ALIASES = 50
_DISK_MARGIN_BYTES = 64 << 20


class ModelsService:
    """Knows every model. Implements `inference.catalog.CatalogSource`.

    Args:
        owner: says whose the built-in models are, once the users are known.
    """

    def __init__(
        self, database: Database, events: EventBus, serving: Serving, settings: Settings, *, owner: Callable[[], Caller]
    ) -> None:
        self._database = database
        self._serving = serving
        self._settings = settings
        self._states = EngineStates(database, events, serving)
        self._pulls = Pulls(database, self._states, settings)
        self._built_in = BuiltInModels(database, self._states, settings.cache_dir, owner=owner)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Follow the engines, go on with pulls, register the built-in models (unless the settings say not to)."""
        await self._states.start()
        if self._settings.install_default_models:
            await self._built_in.ensure()
        await self._pulls.start()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pulls.stop()
        await self._states.stop()

    async def snapshot(self) -> Sequence[ModelEntry]:
        """See `CatalogSource`. An engine that failed does not make its model unavailable: the next use tries again."""
        async with self._database.read() as session:
            return [_entry(row) for row in await store.every_model(session)]

    async def list_models(self, caller: Caller, params: ModelListParams) -> Page[Model]:
        async with self._database.read() as session:
            models = ModelStore(session, caller.project_id)
            by_row = ListParams.model_construct(**params.model_dump())
            if params.after is not None:
                by_row.after = (await self._require(models, params.after, param="after")).id
            if params.before is not None:
                by_row.before = (await self._require(models, params.before, param="before")).id
            rows, more = await models.page(by_row)
        return page([self._states.public(row) for row in rows], more)

    async def get(self, caller: Caller, name: str) -> Model:
        async with self._database.read() as session:
            return self._states.public(await self._require(ModelStore(session, caller.project_id), name))

    async def spec(self, caller: Caller, name: str) -> ModelSpec:
        """The base model of `name` with its adapters, as an engine serves it; a fine-tune starts from its `path`.

        Raises:
            NotFound: no such model.
            Conflict: it is not there yet, or is served without an engine.
        """
        async with self._database.read() as session:
            models = ModelStore(session, caller.project_id)
            row = await self._require(models, name)
            base = row.base or row
            if base.path is None or base.state != "available":
                raise Conflict(f"The model '{name}' has no weights that could be loaded. Its state is '{base.state}'.")
            adapters = await models.adapters(base.id)
        return ModelSpec(
            model_id=base.id,
            path=Path(base.path),
            adapters=[AdapterSpec(model_id=a.id, path=Path(a.path)) for a in adapters if a.path is not None],
            embedding=base.kind == "embedding",
        )

    async def create(self, caller: Caller, request: ModelCreate) -> Model:
        """Register what lies at a path, or begin to pull from the hub. The same pull that failed goes on."""
        if isinstance(request.source, PathSource):
            return await self._register_path(caller, request.source, request.id)
        return await self._begin_pull(caller, request.source, request.id or request.source.repo)

    async def _register_path(self, caller: Caller, source: PathSource, name: str | None) -> Model:
        weights = await asyncio.to_thread(inspect, source.path)
        row = new_row(
            caller, name or name_of(weights.path), Source(type="path", path=str(weights.path)), state="available"
        )
        apply_weights(row, weights)
        return await self._add(row)

    async def _begin_pull(self, caller: Caller, source: HubSource, name: str) -> Model:
        check_name(name)
        async with self._database.read() as session:
            earlier = await ModelStore(session, caller.project_id).find(name)
        if earlier is not None and not (earlier.state == "failed" and earlier.source.get("repo") == source.repo):
            raise taken(name)
        async with hub_client(self._settings) as client:
            plan = await plan_pull(client, source)
        await asyncio.to_thread(_check_disk, self._settings.models_dir, plan)
        public = Source(type="hub", repo=plan.repo, file=plan.files[0].name, revision=plan.commit)
        row = earlier or new_row(caller, name, public, state="pulling")
        if earlier is None:
            row.size_bytes, row.plan = plan.size, plan.model_dump()
            model = await self._add(row)
        else:
            row, model = await self._restart_pull(earlier, plan, public)
        self._pulls.begin(row)
        return model

    async def _restart_pull(self, earlier: ModelRow, plan: PullPlan, source: Source) -> tuple[ModelRow, Model]:
        if earlier.plan != plan.model_dump():
            await self._pulls.remove_files(earlier.id)
        async with self._database.write() as session:
            row = await ModelStore(session, earlier.project_id).get(earlier.id)
            if row is None or row.state != "failed":
                raise taken(earlier.name)
            row.state, row.state_reason = "pulling", None
            row.plan, row.size_bytes, row.source = plan.model_dump(), plan.size, source.model_dump()
            return row, await self._states.publish(session, "updated", row)

    async def register_adapter(
        self,
        caller: Caller,
        *,
        name: str,
        base_model: str,
        adapter_path: Path,
        job_id: str,
        session: AsyncSession | None = None,
    ) -> Model:
        """Registers the result of a fine-tune: a LoRA adapter in GGUF form. Calling it again changes nothing.

        The file is copied, so that it outlives the job's folder.

        Args:
            name: ``ft:<base>:<suffix>:<id>``.
            session: a `Database.write` transaction to take part in, so that job and model change together.

        Raises:
            NotFound: the base model is gone.
            Conflict: the name is taken by another model.
            OSError: the file cannot be copied.
        """
        row = new_row(caller, name, Source(type="fine_tune", job=job_id), state="available")
        target = self._pulls.folder(row.id) / "adapter.gguf"
        size = await asyncio.to_thread(_copy, adapter_path, target)
        row.path, row.size_bytes = str(target), size
        try:
            if session is not None:
                model, used = await self._add_adapter(session, row, base_model, job_id)
            else:
                async with self._database.write() as own:
                    model, used = await self._add_adapter(own, row, base_model, job_id)
        except BaseException:
            await self._pulls.remove_files(row.id)
            raise
        if not used:
            await self._pulls.remove_files(row.id)
        return model

    async def _add_adapter(
        self, session: AsyncSession, row: ModelRow, base_model: str, job_id: str
    ) -> tuple[Model, bool]:
        models = ModelStore(session, row.project_id)
        existing = await models.find(row.name)
        if existing is not None and existing.source.get("job") == job_id:
            return self._states.public(existing), False
        if existing is not None:
            raise taken(row.name)
        base = await self._require(models, base_model)
        base = base.base or base
        row.base_id, row.context_length, row.parameters = base.id, base.context_length, base.parameters
        row = await models.add(row)
        return await self._states.publish(session, "created", row), True

    async def delete(self, caller: Caller, name: str) -> Deleted:
        """Forget a model; files that the platform fetched or made are deleted, others are left alone."""
        async with self._database.read() as session:
            row = await self._require(ModelStore(session, caller.project_id), name)
        await self._pulls.cancel(row.id)
        async with self._database.write() as session:
            models = ModelStore(session, caller.project_id)
            row = await self._require(models, name)
            if row.built_in:
                raise Conflict(f"'{row.name}' is built in and cannot be deleted. Unload it to free its memory.")
            if adapters := await models.adapters(row.id):
                names = ", ".join(adapter.name for adapter in adapters[:5])
                raise Conflict(
                    f"'{row.name}' is the base of {len(adapters)} fine-tuned models ({names}). Delete them first."
                )
            await self._states.publish(session, "deleted", row)
            await models.delete(row)
        self._spawn(self._clean_up(row))
        return Deleted(id=row.name, object="model")

    async def cancel_pull(self, caller: Caller, name: str) -> Model:
        """Stop a pull and forget the model; what it fetched is deleted."""
        async with self._database.read() as session:
            row = await self._require(ModelStore(session, caller.project_id), name)
        if row.state != "pulling" or row.built_in:
            raise Conflict(f"'{row.name}' is not being pulled from a hub, so there is nothing to cancel.")
        await self._pulls.cancel(row.id)
        async with self._database.write() as session:
            models = ModelStore(session, caller.project_id)
            row = await self._require(models, name)
            if row.state == "available":  # it was quicker
                return self._states.public(row)
            row.state, row.state_reason = "failed", "The pull was cancelled."
            model = await self._states.publish(session, "deleted", row)
            await models.delete(row)
        await self._pulls.remove_files(row.id)
        return model

    async def load(self, caller: Caller, name: str) -> Model:
        """Begin to load the model's engine; its state tells how that goes."""
        if not (row := await self._row(caller, name)).in_process:
            spec = await self.spec(caller, name)
            self._spawn(self._load(spec))
            await asyncio.sleep(0)  # lets the engine enter its state
        return self._states.public(row)

    async def unload(self, caller: Caller, name: str) -> Model:
        """Stop the model's engine when the requests on it are done."""
        row = await self._row(caller, name)
        self._spawn(self._serving.unload(row.base_id or row.id))
        return self._states.public(row)

    async def add_alias(self, caller: Caller, name: str, request: AliasCreate) -> Model:
        """A further name. Adding one that the model has already changes nothing."""
        check_name(request.alias)
        try:
            async with self._database.write() as session:
                return await self._add_alias(session, caller, name, request.alias)
        except IntegrityError:
            raise taken(request.alias) from None

    async def _add_alias(self, session: AsyncSession, caller: Caller, name: str, alias: str) -> Model:
        models = ModelStore(session, caller.project_id)
        row = await self._require(models, name)
        existing = await models.find(alias)
        if existing is not None and (existing.id != row.id or row.name == alias):
            raise taken(alias)
        if existing is not None:
            return self._states.public(row)
        if len(row.aliases) >= MAX_ALIASES:
            raise Conflict(f"'{row.name}' has {MAX_ALIASES} aliases, the most it can have. Delete one first.")
        await models.add_alias(ModelAliasRow(id=new_id("alias-"), alias=alias, model_id=row.id, **owned(caller)))
        return await self._states.publish(session, "updated", await models.reload(row))

    async def delete_alias(self, caller: Caller, name: str, alias: str) -> Model:
        async with self._database.write() as session:
            models = ModelStore(session, caller.project_id)
            row = await self._require(models, name)
            if not await models.delete_alias(row, alias):
                raise NotFound(f"'{row.name}' has no alias '{alias}'.")
            return await self._states.publish(session, "updated", await models.reload(row))

    async def _row(self, caller: Caller, name: str) -> ModelRow:
        async with self._database.read() as session:
            return await self._require(ModelStore(session, caller.project_id), name)

    async def _require(self, models: ModelStore, name: str, *, param: str = "model") -> ModelRow:
        row = await models.find(name)
        if row is None:
            raise NotFound(
                f"There is no model '{name}'. GET /v1/models lists the ones there are.",
                param=param,
                code="model_not_found",
            )
        return row

    async def _add(self, row: ModelRow) -> Model:
        try:
            async with self._database.write() as session:
                models = ModelStore(session, row.project_id)
                if await models.find(row.name) is not None:
                    raise taken(row.name)
                if await models.count() >= MAX_MODELS:
                    raise Conflict(f"The project has {MAX_MODELS} models, the most it can have. Delete one first.")
                row = await models.add(row)
                return await self._states.publish(session, "created", row)
        except IntegrityError:  # on PostgreSQL another transaction may have been quicker
            raise taken(row.name) from None

    async def _load(self, spec: ModelSpec) -> None:
        try:
            async with self._serving.use(spec):
                pass
        except ApiError:
            pass  # the engine's state says so, with the reason

    async def _clean_up(self, row: ModelRow) -> None:
        await self._serving.unload(row.id)
        await self._pulls.remove_files(row.id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _entry(row: ModelRow) -> ModelEntry:
    return ModelEntry(
        key=row.id,
        project_id=row.project_id,
        model_id=row.name,
        kind=ModelKind(row.kind),
        state=ModelState(row.state),
        aliases=tuple(alias.alias for alias in row.aliases),
        state_reason=row.state_reason,
        path=Path(row.path) if row.path is not None else None,
        base_key=row.base_id,
        in_process=row.in_process,
        created=row.created_at,
    )


def _check_disk(folder: Path, plan: PullPlan) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < plan.size + _DISK_MARGIN_BYTES:
        raise OutOfStorage(
            f"The model needs {format_bytes(plan.size)} and the platform's disk has {format_bytes(free)} free. "
            "Free space, or choose a smaller file with 'source.file'."
        )


def _copy(source: Path, target: Path) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target.stat().st_size
