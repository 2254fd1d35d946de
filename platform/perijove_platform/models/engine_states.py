"""Models as clients see them: the rows, and what the cluster's engines say of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database
from perijove_platform.events import EventBus
from perijove_platform.models import store
from perijove_platform.models.schemas import Model, Progress, Source, State
from perijove_platform.models.store import ModelRow
from perijove_platform.runtimes.base import EngineState, EngineUpdate, Serving

_STATES: dict[EngineState, State] = {
    EngineState.LOADING: "loading",
    EngineState.READY: "loaded",
    EngineState.FAILED: "failed",
}
_log = logging.getLogger(__name__)


class EngineStates:
    """Follows the engines, and publishes every model whose state they change."""

    def __init__(self, database: Database, events: EventBus, serving: Serving) -> None:
        self._database = database
        self._events = events
        self._serving = serving
        self._engines: dict[str, EngineUpdate] = {}
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        updates = self._serving.watch()
        self._engines = {update.model_id: update for update in self._serving.engines()}
        self._following = asyncio.create_task(self._follow(updates))

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    def public(self, row: ModelRow) -> Model:
        """The model as the API returns it."""
        engine = self._engines.get(row.base_id or row.id) if row.state == "available" else None
        pulling = row.state == "pulling"
        return Model(
            id=row.name,
            created=row.created_at,
            owned_by="perijove" if row.built_in else row.organization_id,
            kind="embedding" if row.kind == "embedding" else "chat",
            state=_STATES.get(engine.state, "available") if engine else _stored_state(row),
            state_reason=(engine.reason if engine else None) or row.state_reason,
            progress=Progress(bytes=row.bytes_done, total_bytes=row.size_bytes) if pulling else None,
            size_bytes=row.size_bytes,
            base_model=row.base.name if row.base is not None else None,
            aliases=[alias.alias for alias in row.aliases],
            source=Source.model_validate(row.source),
            context_length=row.context_length,
            parameters=row.parameters,
        )

    async def publish(self, session: AsyncSession, change: str, row: ModelRow) -> Model:
        """Publishes ``model.<change>`` with the row's transaction; the model as published."""
        model = self.public(row)
        await self._events.publish(session, f"model.{change}", row, row.name, model)
        return model

    async def _follow(self, updates: AsyncIterator[EngineUpdate]) -> None:
        async for update in updates:
            if update.state is EngineState.STOPPED:
                self._engines.pop(update.model_id, None)
            else:
                self._engines[update.model_id] = update
            try:
                async with self._database.write() as session:
                    for row in await store.served_by(session, update.model_id):
                        await self.publish(session, "updated", row)
            except Exception:
                _log.exception("the state of model %s could not be published", update.model_id)


def _stored_state(row: ModelRow) -> State:
    if row.state == "pulling":
        return "pulling"
    return "failed" if row.state == "failed" else "available"
