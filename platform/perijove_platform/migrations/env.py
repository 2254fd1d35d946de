"""Alembic's environment: `Database.migrate` hands the connection over; the command line makes one of its own."""

import asyncio

import sqlalchemy as sa
from alembic import context
from perijove_platform.database import Base
from perijove_platform.settings import Settings
from perijove_platform.tables import ALL_TABLES
from sqlalchemy.ext.asyncio import create_async_engine

assert ALL_TABLES
target_metadata = Base.metadata


def migrate(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=target_metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_by_command() -> None:
    engine = create_async_engine(Settings().sql_url)
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    asyncio.run(migrate_by_command())
