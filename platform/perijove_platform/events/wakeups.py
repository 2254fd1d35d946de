"""Tells the replicas of a platform that one of them has committed events, by PostgreSQL's LISTEN and NOTIFY.

A notification carries nothing: what happened is read from the outbox, so one that gets lost delays and loses no event.
SQLite serves one process, which wakes itself.
"""

import asyncio
import logging
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.database import Database

logger = logging.getLogger(__name__)

OUTBOX = "perijove_outbox"
_RETRY_SECONDS = 1.0


async def notify(session: AsyncSession, channel: str = OUTBOX) -> None:
    """Wake the listeners of every replica when the session's transaction commits; repeated, it is sent once."""
    if session.bind is not None and session.bind.dialect.name == "postgresql":
        await session.execute(sa.select(sa.func.pg_notify(channel, "")))


async def listen(database: Database, wake: Callable[[], None], channel: str = OUTBOX) -> None:
    """Call `wake` whenever a replica has notified on `channel`, and after each gap in the listening. Does not end."""
    if database.engine.dialect.name != "postgresql":
        return
    while True:
        try:
            await _listen_until_lost(database, wake, channel)
            logger.warning("The connection that hears of other replicas' events was lost; listening again")
        except Exception as error:
            logger.warning("Other replicas' events cannot be heard of now: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)


async def _listen_until_lost(database: Database, wake: Callable[[], None], channel: str) -> None:
    lost = asyncio.Event()

    def heard(*_: object) -> None:
        wake()

    def terminated(*_: object) -> None:
        lost.set()

    async with database.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        driver.add_termination_listener(terminated)
        await driver.add_listener(channel, heard)
        try:
            wake()
            await lost.wait()
        finally:
            # Not for the pool: it still listens.
            await connection.invalidate()
