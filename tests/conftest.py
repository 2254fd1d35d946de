"""What every test may ask for: a database of each kind, a platform in this process, a platform of its own process."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from perijove_platform.app import create_app
from perijove_platform.discovery import Connection, NotRunning, read_record
from perijove_platform.ids import new_id
from perijove_platform.settings import Settings

pytest_plugins = ["cluster_plugin", "pytester"]
START_SECONDS = 60
# Tests know the ids of their platforms.
os.environ.setdefault("PERIJOVE_LOCAL_ID", "local")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a real PostgreSQL server, kept for the session.

    Its folder lies outside pytest's own, which only root may enter when root runs the tests: the server runs as
    another user then.
    """
    import pgserver

    with tempfile.TemporaryDirectory(prefix="perijove-postgres-", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    """An empty database: ``None`` for SQLite in the data directory, else a PostgreSQL address. Tests run on both."""
    if request.param == "sqlite":
        yield None
        return
    server: str = request.getfixturevalue("postgres")
    name = new_id("t_")
    yield from _postgres_database(server, name)


def _postgres_database(server: str, name: str) -> Iterator[str]:
    async def run(statement: str) -> None:
        connection = await asyncpg.connect(server)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run(f'CREATE DATABASE "{name}"'))
    yield server.replace("/postgres?", f"/{name}?")
    asyncio.run(run(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def settings(tmp_path: Path, database_url: str | None) -> Settings:
    """Settings of a platform in a fresh data directory, on each kind of database."""
    return Settings(data_dir=tmp_path / "data", database_url=database_url, install_default_models=False)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """A started platform in this process."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The platform's API as its local user, without a socket."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    key = settings.api_key_file.read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as client:
        yield client


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A platform in a process of its own, as users run it, with the default models; shared by the session."""
    data_dir = tmp_path_factory.mktemp("platform")
    log = (data_dir / "serve.log").open("wb")
    command = [sys.executable, "-m", "perijove_platform", "serve", "--data-dir", str(data_dir), "--port", "0"]
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield _wait_for(data_dir, process)
    finally:
        process.terminate()
        process.wait(timeout=60)
        log.close()


def _wait_for(data_dir: Path, process: subprocess.Popen[bytes]) -> Connection:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return read_record(data_dir)
        except NotRunning:
            time.sleep(0.05)
    raise AssertionError(f"The platform did not start:\n{(data_dir / 'serve.log').read_text()}")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """One line for each test that could not run here; in CI that is a failure, since CI has every part."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"could not run here: {report.nodeid}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
