"""The migrations make, on both kinds of database, exactly the tables that the stores declare."""

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from perijove_platform.database import MIGRATIONS, Database
from perijove_platform.settings import Settings
from perijove_platform.tables import ALL_TABLES

REPLICAS = 3
REPLICA = """
import asyncio, sys
from perijove_platform.database import Database
from perijove_platform.tables import ALL_TABLES

async def start(url):
    database = Database(url)
    print("ready", flush=True)
    sys.stdin.readline()
    await database.migrate()
    await database.close()

asyncio.run(start(sys.argv[1]))
"""


def differences(connection: sa.Connection) -> list[Any]:
    found: list[Any] = compare_metadata(MigrationContext.configure(connection), ALL_TABLES[0].metadata)
    return found


def tables(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names()) - {"alembic_version"}


def columns(connection: sa.Connection) -> set[tuple[str, str]]:
    inspected = sa.inspect(connection)
    return {(table, column["name"]) for table in tables(connection) for column in inspected.get_columns(table)}


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.sql_url)
    await database.migrate()
    yield database
    await database.close()


async def test_autogenerate_finds_no_difference(database: Database) -> None:
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(tables) == {table.name for table in ALL_TABLES}
        await connection.execute(sa.text("DROP INDEX ix_models_state"))
        assert len(await connection.run_sync(differences)) == 1


async def test_every_revision_can_be_undone_and_done_again(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    revisions = list(ScriptDirectory.from_config(config).walk_revisions())

    def undo(connection: sa.Connection) -> None:
        config.attributes["connection"] = connection
        for revision in revisions:
            before = columns(connection)
            command.downgrade(config, "-1")
            assert columns(connection) != before, revision.revision
        assert tables(connection) == set()

    async with database.engine.begin() as connection:
        await connection.run_sync(undo)
    await database.migrate()
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_replicas_that_start_at_the_same_time(settings: Settings) -> None:
    command = [sys.executable, "-c", REPLICA, settings.sql_url]
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    replicas = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(REPLICAS)
    ]
    for replica in replicas:
        assert replica.stdout is not None and replica.stdout.readline() == "ready\n"
    for replica in replicas:
        assert replica.stdin is not None
        replica.stdin.write("go\n")
        replica.stdin.flush()

    ended = [(replica.communicate(timeout=120)[1], replica.returncode) for replica in replicas]

    assert [code for _, code in ended] == [0] * REPLICAS, "\n".join(said for said, _ in ended)
    database = Database(settings.sql_url)
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()
