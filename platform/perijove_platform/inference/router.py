"""From the name that a client gives to the engine that answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from perijove_platform.errors import BadRequest, NotFound, Unavailable
from perijove_platform.events import EventBus
from perijove_platform.inference.catalog import CatalogSource, ModelEntry, ModelKind, ModelState
from perijove_platform.runtimes.base import AdapterSpec, Endpoint, ModelSpec, Serving

logger = logging.getLogger(__name__)

LISTED_MODELS = 10
RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Catalog:
    """A snapshot of the models, indexed."""

    names: dict[tuple[str | None, str], ModelEntry]
    by_key: dict[str, ModelEntry]
    adapters: dict[str, tuple[ModelEntry, ...]]

    @classmethod
    def of(cls, entries: Sequence[ModelEntry]) -> Catalog:
        names: dict[tuple[str | None, str], ModelEntry] = {}
        adapters: dict[str, tuple[ModelEntry, ...]] = {}
        for entry in entries:
            for alias in entry.aliases:
                names.setdefault((entry.project_id, alias), entry)
            if entry.base_key is not None and entry.path is not None and entry.state is not ModelState.FAILED:
                adapters[entry.base_key] = (*adapters.get(entry.base_key, ()), entry)
        names.update({(entry.project_id, entry.model_id): entry for entry in entries})
        return cls(names, {entry.key: entry for entry in entries}, adapters)

    def find(self, project_id: str, name: str) -> ModelEntry | None:
        """A project's own model shadows a shared one of the same name."""
        return self.names.get((project_id, name)) or self.names.get((None, name))

    def listed(self, project_id: str, kind: ModelKind) -> list[str]:
        return sorted(
            entry.model_id
            for entry in self.by_key.values()
            if entry.project_id in (None, project_id) and entry.kind is kind
        )

    def spec(self, base: ModelEntry) -> ModelSpec:
        if base.path is None:
            raise Unavailable(f"Model '{base.model_id}' has no weights file yet. Wait until its state is 'available'.")
        return ModelSpec(
            model_id=base.key,
            path=base.path,
            adapters=tuple(
                AdapterSpec(model_id=adapter.key, path=adapter.path)
                for adapter in self.adapters.get(base.key, ())
                if adapter.path is not None
            ),
            embedding=base.kind is ModelKind.EMBEDDING,
            context_length=base.context_length,
        )


@dataclass(frozen=True)
class Route:
    """A ready engine for one request; `adapter` is the number for its ``lora`` field."""

    entry: ModelEntry
    endpoint: Endpoint
    adapter: int | None


class Router:
    """Resolves names in the read model, which events keep fresh, and leases engines.

    Args:
        source: where the read model comes from.
        events: `model.*` events make it be read again.
    """

    def __init__(self, source: CatalogSource, events: EventBus, serving: Serving) -> None:
        self._source = source
        self._events = events
        self._serving = serving
        self._catalog = Catalog({}, {}, {})
        self._refreshing = asyncio.Lock()
        self._generation = 0
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._follower = asyncio.create_task(self._follow(await self._events.newest()), name="inference-catalog")
        await self.refresh()

    async def stop(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)

    async def refresh(self) -> None:
        """Read the models again; callers that come while one reading is under way share the next."""
        seen = self._generation
        async with self._refreshing:
            if self._generation > seen:
                return
            self._generation += 1
            self._catalog = Catalog.of(await self._source.snapshot())

    async def _follow(self, last_id: int) -> None:
        while True:
            try:
                async for event in self._events.subscribe(project_id=None, last_id=last_id):
                    if event.type == "reset" or event.type.startswith("model."):
                        await self.refresh()
                    last_id = event.id
            except Exception:
                logger.exception("following the models failed, trying again in %s s", RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)

    async def resolve(self, project_id: str, name: str, kind: ModelKind) -> ModelEntry:
        """The model of that name, ready to be served.

        Raises:
            NotFound: there is none; the message lists what there is.
            BadRequest: it does something else.
            Unavailable: it is still being pulled, or failed.
        """
        entry = self._catalog.find(project_id, name)
        if entry is None or entry.state in (ModelState.PULLING, ModelState.FAILED):
            # The event of a change that was just made may still be on its way.
            await self.refresh()
            entry = self._catalog.find(project_id, name)
        if entry is None:
            raise self._unknown(project_id, name, kind)
        if entry.kind is not kind:
            route = "/v1/embeddings" if entry.kind is ModelKind.EMBEDDING else "/v1/chat/completions"
            raise BadRequest(
                f"Model '{name}' is of kind '{entry.kind}': use it with {route}, or name another model here.",
                param="model",
                code="model_kind_mismatch",
            )
        if entry.state is ModelState.PULLING:
            raise Unavailable(
                f"Model '{name}' is still being pulled. Its progress is at /v1/models/{entry.model_id}.",
                param="model",
                code="model_not_ready",
                headers={"Retry-After": "10"},
            )
        if entry.state is ModelState.FAILED:
            reason = (entry.state_reason or "its file could not be read").rstrip(".")
            raise Unavailable(
                f"Model '{name}' failed: {reason}. Delete it and register it again.", param="model", code="model_failed"
            )
        return entry

    def _unknown(self, project_id: str, name: str, kind: ModelKind) -> NotFound:
        listed = self._catalog.listed(project_id, kind)
        shown = ", ".join(f"'{model}'" for model in listed[:LISTED_MODELS])
        if not listed:
            advice = f"There is no {kind} model yet: add one with POST /v1/models."
        elif len(listed) > LISTED_MODELS:
            advice = f"There are {len(listed)} {kind} models, the first are {shown}; GET /v1/models lists them."
        else:
            advice = f"The {kind} models are {shown}."
        return NotFound(f"The model '{name[:200]}' does not exist. {advice}", param="model", code="model_not_found")

    @asynccontextmanager
    async def lease(self, entry: ModelEntry) -> AsyncIterator[Route]:
        """A ready engine for the model, held until the block ends; waits while it loads.

        Raises:
            Unavailable: it cannot be loaded, or its base model is gone.
        """
        catalog = self._catalog
        base = entry if entry.base_key is None else catalog.by_key.get(entry.base_key)
        if base is None:
            raise Unavailable(
                f"The base model of '{entry.model_id}' is gone. Register it again, then use the adapter.", param="model"
            )
        async with self._serving.use(catalog.spec(base)) as endpoint:
            adapter = None
            if base is not entry:
                adapter = endpoint.adapter_index.get(entry.key)
                if adapter is None:
                    raise Unavailable(
                        f"The engine of '{base.model_id}' runs without the adapter '{entry.model_id}'. "
                        "Unload the base model and send the request again.",
                        param="model",
                        code="adapter_not_loaded",
                    )
            yield Route(entry, endpoint, adapter)
