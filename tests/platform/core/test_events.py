"""The outbox: nothing lost, nothing doubled, other projects' events unseen."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from perijove_platform.database import Database
from perijove_platform.events import EventBus, Recorded

PROJECT = "proj-local"


async def publish(database: Database, bus: EventBus, number: int, project: str = PROJECT) -> None:
    async with database.write() as session:
        await bus.publish(session, "model.updated", project, f"m{number}", {"n": number})


async def take(events: AsyncIterator[Recorded], count: int) -> list[Recorded]:
    async with asyncio.timeout(60):
        return [await anext(events) for _ in range(count)]


async def test_concurrent_writers_are_all_seen_in_order(app: FastAPI) -> None:
    database, bus = app.state.database, app.state.events
    events = bus.subscribe(project_id=PROJECT, last_id=await bus.newest())
    reading = asyncio.create_task(take(events, 40))
    await asyncio.gather(*(publish(database, bus, number) for number in range(40)))
    seen = await reading
    assert sorted(event.data["n"] for event in seen) == list(range(40))
    assert [event.id for event in seen] == sorted({event.id for event in seen})


async def test_a_rolled_back_change_is_never_told(app: FastAPI) -> None:
    database, bus = app.state.database, app.state.events
    events = bus.subscribe(project_id=PROJECT, last_id=await bus.newest())
    try:
        async with database.write() as session:
            await bus.publish(session, "model.updated", PROJECT, "lost", {})
            raise LookupError
    except LookupError:
        pass
    await publish(database, bus, 1)
    assert [event.object_id for event in await take(events, 1)] == ["m1"]


async def test_other_projects_are_not_seen(app: FastAPI) -> None:
    database, bus = app.state.database, app.state.events
    last_id = await bus.newest()
    await publish(database, bus, 1, "proj-other")
    await publish(database, bus, 2)
    assert [event.object_id for event in await take(bus.subscribe(project_id=PROJECT, last_id=last_id), 1)] == ["m2"]
    assert len(await take(bus.subscribe(project_id=None, last_id=last_id), 2)) == 2


async def test_a_stream_that_missed_pruned_events_is_told_to_list_again(app: FastAPI) -> None:
    database = app.state.database
    bus = EventBus(database, keep=3)
    await publish(database, bus, 0)
    last_id = await bus.newest()
    for number in range(1, 8):
        await publish(database, bus, number)
    await bus._prune()
    events = bus.subscribe(project_id=PROJECT, last_id=last_id)
    assert (await take(events, 1))[0].type == "reset"
    resumed = bus.subscribe(project_id=PROJECT, last_id=await bus.newest() - 2)
    assert [event.data["n"] for event in await take(resumed, 2)] == [6, 7]
