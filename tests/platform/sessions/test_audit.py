"""The audit log's writer, on both kinds of database."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from perijove_platform.database import Database, now
from perijove_platform.events import EventBus
from perijove_platform.events.store import after
from perijove_platform.rbac import Caller
from perijove_platform.sessions import audit
from perijove_platform.sessions.audit import AuditLog, Bounds
from perijove_platform.sessions.schemas import AuditListParams
from perijove_platform.sessions.store import AuditRecordRow
from perijove_platform.settings import Settings


def caller(project: str = "proj-a") -> Caller:
    return Caller("user-a", "Ada", "org-a", project, frozenset(), "key_a")


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop waits for the slowest database."""
    monkeypatch.setattr(audit, "STOP_SECONDS", 60.0)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.sql_url)
    await database.migrate()
    yield database
    await database.close()


async def write(log: AuditLog, count: int, project: str = "proj-a") -> None:
    for number in range(count):
        await log.record(caller(project), cluster="c", verb="get", path=f"/api/{number}", status=200)


async def test_nothing_is_lost_by_an_orderly_stop_and_order_is_kept(database: Database) -> None:
    log = AuditLog(database, EventBus(database, keep=1000))
    await log.start()
    await write(log, 250)
    await log.stop()
    paths: list[str] = []
    params = AuditListParams(limit=100, order="asc")
    while True:
        page = await log.list(caller(), params)
        paths += [record.path for record in page.data]
        if not page.has_more:
            break
        params = AuditListParams(limit=100, order="asc", after=page.last_id)
    assert paths == [f"/api/{number}" for number in range(250)]
    assert (await log.list(caller("proj-b"), AuditListParams())).data == []


async def test_the_log_is_bounded_for_each_project_by_number_and_age(database: Database) -> None:
    log = AuditLog(database, EventBus(database, keep=1000), Bounds(records=10, days=30))
    await log.start()
    await write(log, 3, "proj-b")
    await write(log, 25)
    await log.stop()
    async with database.write() as session:
        oldest = sa.select(sa.func.min(AuditRecordRow.id)).where(AuditRecordRow.project_id == "proj-b")
        await session.execute(
            sa.update(AuditRecordRow)
            .where(AuditRecordRow.id == oldest.scalar_subquery())
            .values(created_at=now() - 31 * 86_400)
        )
    await log.prune()
    kept = (await log.list(caller(), AuditListParams(limit=100))).data
    assert [record.path for record in kept] == [f"/api/{number}" for number in range(24, 14, -1)]
    assert len((await log.list(caller("proj-b"), AuditListParams())).data) == 2


async def test_filters(database: Database) -> None:
    log = AuditLog(database, EventBus(database, keep=1000))
    await log.start()
    await log.record(caller(), cluster="one", verb="get", path="/a", status=200)
    await log.record(caller(), cluster="two", verb="list", path="/b?", status=403)
    await log.stop()

    async def paths(**given: object) -> list[str]:
        return [record.path for record in (await log.list(caller(), AuditListParams.model_validate(given))).data]

    assert await paths(cluster="one") == ["/a"]
    assert await paths(verb="list", status=403) == ["/b?"]
    assert await paths(user_id="user-b") == []
    assert len(await paths(created_after=now() - 60, created_before=now() + 60)) == 2
    assert await paths(created_before=now() - 60) == []


async def test_records_wait_for_a_database_that_is_away(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "RETRY_SECONDS", 0.05)
    events = EventBus(database, keep=1000)
    publish, failures = events.publish, 3

    async def failing(*arguments: object) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError("the database is away")
        await publish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(events, "publish", failing)
    log = AuditLog(database, events)
    await log.start()
    await write(log, 5)
    await asyncio.wait_for(log.stop(), 60)
    assert failures == 0
    assert len((await log.list(caller(), AuditListParams())).data) == 5


async def test_the_event_tells_that_there_is_a_record_and_not_what_it_says(database: Database) -> None:
    log = AuditLog(database, EventBus(database, keep=1000))
    await log.start()
    await write(log, 1)
    await log.stop()
    (record,) = (await log.list(caller(), AuditListParams())).data
    async with database.read() as session:
        (event,) = await after(session, 0, owners=None, limit=10)
    assert (event.type, event.project_id, event.object_id) == ("audit.recorded", "proj-a", record.id)
    assert event.data == {"id": record.id, "object": "audit_record", "created_at": record.created_at}
