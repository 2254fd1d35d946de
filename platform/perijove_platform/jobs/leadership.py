"""One replica of a platform leads: it records what clusters tell of jobs, and makes them do what is wanted.

PostgreSQL decides by a lock that the leading replica's connection holds; it is free the moment that replica is gone.
SQLite serves one process, which leads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import asyncpg

from perijove_platform.database import Database

logger = logging.getLogger(__name__)

# Any constant that names no other lock.
_LOCK = 7_264_107
_PING_SECONDS = 5.0
_WAIT_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_RETRY_SECONDS = 1.0


class Leadership:
    """Whether this process leads: true, false, or ``None`` while it cannot be known.

    Attributes:
        alone: there are no replicas.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.alone = database.engine.dialect.name == "sqlite"
        self._leads: bool | None = True if self.alone else None
        self._changed = asyncio.Event()
        self._contending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if not self.alone:
            self._contending = asyncio.create_task(self._contend())

    async def stop(self) -> None:
        """Another replica leads then."""
        if self._contending is not None:
            self._contending.cancel()
            await asyncio.gather(self._contending, return_exceptions=True)

    @property
    def leads(self) -> bool | None:
        return self._leads

    async def decided(self) -> bool:
        """Whether this process leads, as soon as that is known."""
        while self._leads is None:
            await self._changed.wait()
        return self._leads

    async def changed(self, known: bool | None) -> bool:
        """What has been decided, as soon as it is not `known`."""
        while self._leads is None or self._leads == known:
            await self._changed.wait()
        return self._leads

    def _set(self, leads: bool | None) -> None:
        if leads != self._leads:
            self._leads = leads
            self._changed.set()
            self._changed = asyncio.Event()

    async def _contend(self) -> None:
        while True:
            try:
                await self._hold()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                logger.warning("Which replica leads is not known now: %s", error)
            except Exception:
                logger.exception("Which replica leads is not known now")
            # Whoever led goes on waiting for what it knows; nobody else records meanwhile without the lock.
            self._set(None)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _hold(self) -> None:
        """Wait for the lock, then hold it until the connection is lost, which raises."""
        async with self._database.engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                taken = await driver.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK, timeout=_ANSWER_SECONDS)
                if not taken:
                    self._set(False)
                    await self._wait(driver)
                self._set(True)
                while True:
                    await asyncio.sleep(_PING_SECONDS)
                    await driver.execute("SELECT 1", timeout=_ANSWER_SECONDS)
            finally:
                # Not for the pool: it may hold the lock, or wait for it.
                with contextlib.suppress(Exception):
                    driver.terminate()
                await connection.invalidate()

    async def _wait(self, driver: Any) -> None:
        """In turns, so that a server that is gone without a word is noticed."""
        await driver.execute(f"SET lock_timeout = '{_WAIT_SECONDS:g}s'", timeout=_ANSWER_SECONDS)
        while True:
            try:
                patience = _WAIT_SECONDS + _ANSWER_SECONDS
                await driver.execute(f"SELECT pg_advisory_lock({_LOCK})", timeout=patience)
                return
            except asyncpg.LockNotAvailableError:
                continue
