"""The models that the platform registers by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import IntegrityError

from perijove_platform.database import Database
from perijove_platform.models import default_model
from perijove_platform.models.engine_states import EngineStates
from perijove_platform.models.inspect_path import weights_of
from perijove_platform.models.pulls import apply_weights
from perijove_platform.models.rows import new_row
from perijove_platform.models.schemas import Source
from perijove_platform.models.store import ModelStore
from perijove_platform.rbac import Caller

EMBEDDING_NAME = "wordllama"


class BuiltInModels:
    """A small chat model and an embedding model, so that a fresh installation answers.

    Args:
        owner: says whose they are, once the users are known.
    """

    def __init__(
        self, database: Database, states: EngineStates, cache_dir: Path, *, owner: Callable[[], Caller]
    ) -> None:
        self._database = database
        self._states = states
        self._cache_dir = cache_dir
        self._owner = owner

    async def ensure(self) -> None:
        """Registers what is missing. Weights that this machine lacks are left to be pulled."""
        for ensure in (self._ensure_embedding_model, self._ensure_chat_model):
            try:
                await ensure()
            except IntegrityError:  # another replica that starts at the same time was quicker
                await ensure()

    async def _ensure_embedding_model(self) -> None:
        async with self._database.read() as session:
            if await ModelStore(session, self._owner().project_id).find(EMBEDDING_NAME) is not None:
                return
        row = new_row(self._owner(), EMBEDDING_NAME, Source(type="package", package="wordllama"), state="available")
        row.kind, row.in_process, row.built_in = "embedding", True, True
        async with self._database.write() as session:
            row = await ModelStore(session, self._owner().project_id).add(row)
            await self._states.publish(session, "created", row)

    async def _ensure_chat_model(self) -> None:
        """Its file may have moved with the environment since the last start, so it is looked for each time."""
        path = await asyncio.to_thread(default_model.find, self._cache_dir)
        weights = await asyncio.to_thread(weights_of, path) if path is not None else None
        async with self._database.write() as session:
            models = ModelStore(session, self._owner().project_id)
            row = await models.find(default_model.NAME)
            if row is not None and not row.built_in:
                return
            change = "created" if row is None else "updated"
            if row is None:
                source = Source(type="package", package=default_model.PACKAGE)
                row = new_row(self._owner(), default_model.NAME, source, state="pulling")
                row.built_in = True
                row = await models.add(row)
            elif weights is not None and (row.path, row.state) == (str(weights.path), "available"):
                return
            if weights is not None:
                apply_weights(row, weights)
            else:
                row.bytes_done, row.size_bytes = 0, default_model.DOWNLOAD_BYTES
            row.state, row.state_reason = ("available", None) if weights is not None else ("pulling", None)
            await self._states.publish(session, change, row)
