"""Events of one replica reach the streams of another, on PostgreSQL: SQLite serves one process."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import sqlalchemy as sa
from perijove_platform.database import Database
from perijove_platform.events import EventBus
from perijove_platform.settings import Settings

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
LISTENING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"


@pytest.fixture
async def databases(settings: Settings) -> AsyncIterator[tuple[Database, Database]]:
    here, there = Database(settings.sql_url), Database(settings.sql_url)
    await here.migrate()
    yield here, there
    await here.close()
    await there.close()


async def publish(bus: EventBus, database: Database, name: str) -> None:
    async with database.write() as session:
        await bus.publish(session, "thing.created", "proj", name, {})


async def listeners(database: Database) -> set[int]:
    async with database.read() as session:
        return set((await session.scalars(sa.text(LISTENING))).all())


async def until_listeners(database: Database, wanted: Callable[[set[int]], bool]) -> None:
    """A server's process ends, and is gone from the list, a moment after its connection."""
    async with asyncio.timeout(30):
        while not wanted(await listeners(database)):
            await asyncio.sleep(0.02)


async def test_a_stream_wakes_when_another_replica_commits(databases: tuple[Database, Database]) -> None:
    here, there = databases
    writer, reader = EventBus(here, keep=100), EventBus(there, keep=100)
    await reader.start()
    stream = reader.subscribe(project_id="proj", last_id=0)
    async with asyncio.timeout(60):
        for name in ("first", "second"):
            waiting = asyncio.ensure_future(anext(stream))
            await until_listeners(here, bool)
            await publish(writer, here, name)
            assert (await waiting).object_id == name
        # Whoever listens is cut off: what is committed meanwhile is not lost, and the listening begins anew.
        cut = await listeners(here)
        waiting = asyncio.ensure_future(anext(stream))
        async with here.write() as session:
            for pid in cut:
                await session.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        await publish(writer, here, "third")
        assert (await waiting).object_id == "third"
        await until_listeners(here, lambda heard: bool(heard) and not cut & heard)
    await reader.stop()
    await until_listeners(here, lambda heard: not heard)


async def test_a_change_that_is_rolled_back_wakes_nobody(databases: tuple[Database, Database]) -> None:
    here, there = databases
    writer, reader = EventBus(here, keep=100), EventBus(there, keep=100)
    await reader.start()
    waiting = asyncio.ensure_future(anext(reader.subscribe(project_id="proj", last_id=0)))
    with pytest.raises(RuntimeError):
        async with here.write() as session:
            await writer.publish(session, "thing.created", "proj", "undone", {})
            raise RuntimeError
    await publish(writer, here, "done")
    async with asyncio.timeout(30):
        assert (await waiting).object_id == "done"
    await reader.stop()
