"""SQL: SQLite (WAL) on a laptop, PostgreSQL in a company, the same code on both."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 30
# Any constant that names no other lock: this one lets one replica migrate at a time.
_MIGRATION_LOCK = 7_264_108


def now() -> int:
    """Seconds since the epoch, the unit of every time on the wire and in the tables."""
    return int(time.time())


class Base(DeclarativeBase):
    """Base of every table."""

    type_annotation_map: ClassVar = {
        dict[str, Any]: sa.JSON,
        dict[str, str]: sa.JSON,
        list[Any]: sa.JSON,
        list[str]: sa.JSON,
    }
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Owned:
    """Columns that every row of a project carries."""

    organization_id: Mapped[str] = mapped_column(sa.String(64))
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    created_by: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[int] = mapped_column(sa.BigInteger, default=now)


class Database:
    """Sessions in two kinds: `read`, and `write`, which commits at the end of its block.

    On SQLite a write begins as BEGIN IMMEDIATE, so that two writers queue instead of failing when a read
    transaction would have to be upgraded (https://www.sqlite.org/lang_transaction.html, section 2.2).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _create_engine(url)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._sqlite = self.engine.dialect.name == "sqlite"
        self._writer = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        async with self._sessions() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction: committed when the block ends, rolled back when it raises."""
        if not self._sqlite:
            async with self._sessions() as session, session.begin():
                yield session
            return
        # One process, one writer at a time: waiting here costs nothing, waiting inside SQLite blocks a thread.
        async with self._writer, self._sessions() as session:
            session.sync_session.info["immediate"] = True
            await session.connection(execution_options={"immediate": True})
            async with _ending(session):
                yield session

    async def migrate(self) -> None:
        """Bring the schema to the newest version. Those who do so at the same time do it one after the other."""
        if self._sqlite and self.engine.url.database:
            Path(self.engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        async with self.engine.execution_options(immediate=True).begin() as connection:
            if not self._sqlite:
                # Held until the commit: whoever waited here finds the schema that the other one has made.
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            await connection.run_sync(_upgrade)

    async def close(self) -> None:
        await self.engine.dispose()


@asynccontextmanager
async def _ending(session: AsyncSession) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await session.rollback()
        raise
    await session.commit()


def after_commit(session: AsyncSession, callback: Callable[[], None]) -> None:
    """Call `callback` once, when the session's transaction has been committed; never after a rollback."""

    def call(_: Session) -> None:
        callback()

    event.listen(session.sync_session, "after_commit", call, once=True)


def _create_engine(url: str) -> AsyncEngine:
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_size=10, max_overflow=10, pool_pre_ping=True)
    engine = create_async_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # SQLAlchemy emits BEGIN itself (see `begin`): the driver must not.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sa.Connection) -> None:
        immediate = connection.get_execution_options().get("immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
