"""Fine-tunes of a platform from before there were several kinds of job are kept, and so they are on the way back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from perijove_platform.database import MIGRATIONS, Database
from perijove_platform.fine_tuning.public import public_event, public_job
from perijove_platform.fine_tuning.store import CheckpointRow, FineTuningJobRow
from perijove_platform.jobs.store import JobEventRow, find_job
from perijove_platform.settings import Settings

OWNER = {"organization_id": "org", "project_id": "proj", "created_by": "user", "created_at": 1_700_000_000}
JOB = {
    "id": "ftjob-1",
    "model": "base",
    "training_file": "file-1",
    "validation_file": None,
    "suffix": "bot",
    "seed": 7,
    "cluster": "gpu",
    "requested": '{"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": "auto"}',
    "decided": '{"batch_size": 4}',
    "job_metadata": '{"team": "io"}',
    "inputs": '{"inputs/training.jsonl": "key"}',
    "desired": "run",
    "state": "failed",
    "state_reason": "out of memory",
    "error": '{"code": "out_of_memory", "message": "out of memory", "param": null}',
    "progress": '{"step": 3, "total_steps": 9}',
    "result_files": "[]",
    "finished_at": 1_700_000_009,
    **OWNER,
}
EVENT = {
    "id": "ftevent-1",
    "job_id": "ftjob-1",
    "level": "info",
    "message": "Step 3/9",
    "type": "metrics",
    "data": '{"step": 3}',
    **OWNER,
}
CHECKPOINT = {"id": "ftckpt_1", "job_id": "ftjob-1", "step_number": 3, "metrics": '{"step": 3}', **OWNER}


def migrate(connection: sa.Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    (command.upgrade if revision == "head" else command.downgrade)(config, revision)


def insert(connection: sa.Connection, table: str, row: dict[str, Any]) -> None:
    columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(sa.text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)  # noqa: S608


def rows(connection: sa.Connection, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]  # noqa: S608


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.sql_url)
    await database.migrate()
    yield database
    await database.close()


async def test_jobs_events_and_checkpoints_are_kept(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(migrate, "0012")
        for table, row in (
            ("fine_tuning_jobs", JOB),
            ("fine_tuning_job_events", EVENT),
            ("fine_tuning_checkpoints", CHECKPOINT),
        ):
            await connection.run_sync(insert, table, row)
        before = await connection.run_sync(rows, "fine_tuning_jobs")
    async with database.engine.begin() as connection:
        await connection.run_sync(migrate, "head")
    async with database.read() as session:
        job = await find_job(session, "ftjob-1")
        assert isinstance(job, FineTuningJobRow)
        shown = public_job(job)
        event = (await session.scalars(sa.select(JobEventRow))).one()
        checkpoint = (await session.scalars(sa.select(CheckpointRow))).one()
    assert (shown.state, shown.cluster, shown.metadata, shown.priority) == ("failed", "gpu", {"team": "io"}, 0)
    assert shown.error is not None and shown.error.code == "out_of_memory"
    assert shown.hyperparameters.batch_size == 4 and shown.progress is not None and shown.progress.step == 3
    assert (shown.created_at, shown.finished_at) == (1_700_000_000, 1_700_000_009)
    assert public_event(event).data == {"step": 3}
    assert checkpoint.step_number == 3
    async with database.engine.begin() as connection:
        await connection.run_sync(migrate, "0012")
        after = await connection.run_sync(rows, "fine_tuning_jobs")
        assert len(await connection.run_sync(rows, "fine_tuning_job_events")) == 1
        assert len(await connection.run_sync(rows, "fine_tuning_checkpoints")) == 1
    assert [sorted(row.items(), key=str) for row in after] == [sorted(row.items(), key=str) for row in before]
