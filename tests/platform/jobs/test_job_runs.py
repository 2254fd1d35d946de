"""`/v1/job_runs`: who may use it, what it keeps, and that each report is recorded once."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from perijove_platform.database import Database
from perijove_platform.errors import Conflict, Unavailable
from perijove_platform.jobs.run_service import JobRunsService
from perijove_platform.jobs.run_store import JobRunReportRow, JobRunRow, take_reports
from perijove_platform.objects import ObjectStore
from perijove_platform.runner.contract import BASE_MODEL, RUN_FILE, TOKEN_FILE
from perijove_platform.runtimes.base import JobSpec, JobUpdate
from perijove_platform.settings import Settings

EXAMPLES = b'{"messages": []}\n'
MESSAGE = {"type": "message", "level": "info", "message": "hello"}


@pytest.fixture
def settings(tmp_path: Path, database_url: str | None) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        install_default_models=False,
        public_url="http://platform",
    )


@dataclass
class Run:
    """A begun run and a client with its token."""

    service: JobRunsService
    objects: ObjectStore
    database: Database
    http: httpx.AsyncClient
    token: str
    job: str = "ftjob-one"

    async def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return await self.http.request(method, f"/v1/job_runs/{self.job}/{path}", json=body, headers=headers)

    async def send(self, attempt: int, first: int, *reports: Any) -> httpx.Response:
        return await self.ask("POST", "reports", {"attempt": attempt, "from": first, "reports": reports})


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    base = tmp_path / "model.gguf"
    base.write_bytes(b"GGUF and weights")
    config = {"base_model": str(base), "training_file": "inputs/training.jsonl"}
    inputs = {"inputs/training.jsonl": "files/p/training"}
    return JobSpec(job_id="ftjob-one", project_id="p", program="trainer", config=config, inputs=inputs)


async def one(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture
async def run(app: FastAPI, client: httpx.AsyncClient, spec: JobSpec) -> Run:
    service, objects = app.state.job_runs, app.state.objects
    await objects.put("files/p/training", one(EXAMPLES))
    files = await service.begin("pods", spec)
    return Run(service, objects, app.state.database, client, files[TOKEN_FILE])


async def take(run: Run, count: int, cluster: str = "pods") -> list[JobUpdate]:
    """The next `count` reports, which are not recorded."""
    found = []
    async with asyncio.timeout(60), aclosing(run.service.watch(cluster)) as updates:  # type: ignore[type-var]
        async for update in updates:
            found.append(update)
            if len(found) == count:
                break
    return found


async def test_the_secret_names_no_path_of_this_machine_and_only_a_hash_is_kept(run: Run, spec: JobSpec) -> None:
    files = await run.service.begin("pods", spec)
    told = json.loads(files[RUN_FILE])
    assert told["config"] == {"base_model": BASE_MODEL, "training_file": "inputs/training.jsonl"}
    assert (told["job_id"], told["program"], told["platform_url"]) == ("ftjob-one", "trainer", "http://platform")
    async with run.database.read() as session:
        row = (await session.scalars(sa.select(JobRunRow))).one()
    assert row.token_hashes == [hashlib.sha256(token.encode()).hexdigest() for token in (run.token, files[TOKEN_FILE])]
    # Two replicas may have begun it: whichever Secret stays works, until the job ends.
    for token in (run.token, files[TOKEN_FILE]):
        assert (await run.ask("GET", "inputs", token=token)).status_code == 200


async def test_a_token_is_for_one_job_and_ends_with_it(run: Run, spec: JobSpec, client: httpx.AsyncClient) -> None:
    other = JobSpec(job_id="ftjob-two", project_id="p", program="trainer", config={}, inputs={})
    files = await run.service.begin("pods", other)
    api_key = client.headers["Authorization"].removeprefix("Bearer ")
    for token in (files[TOKEN_FILE], api_key, "pjrun-"):
        for method, path in (("GET", "inputs"), ("POST", "attempts"), ("POST", "urls"), ("POST", "reports")):
            answer = await run.ask(method, path, valid_body(path), token=token)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_job_token")
    absent = Run(run.service, run.objects, run.database, client, run.token, job="ftjob-absent")
    assert (await absent.ask("GET", "inputs")).status_code == 401
    # Nor is a job's token an API key.
    assert (await client.get("/v1/files", headers={"Authorization": f"Bearer {run.token}"})).status_code == 401
    await run.service.end("ftjob-one")
    answer = await run.ask("GET", "inputs")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "job_ended")
    again = await run.service.begin("pods", spec)
    assert (await run.ask("GET", "inputs")).json()["error"]["code"] == "invalid_job_token"
    assert (await run.ask("GET", "inputs", token=again[TOKEN_FILE])).status_code == 200


def valid_body(path: str) -> Any:
    return {
        "urls": {"put": ["checkpoints/00001.tar"]},
        "reports": {"attempt": 1, "from": 1, "reports": [MESSAGE]},
    }.get(path)


async def test_inputs_are_named_with_what_they_have_to_be(run: Run) -> None:
    answer = (await run.ask("GET", "inputs")).raise_for_status().json()
    found = {file["path"]: (file["size"], file["sha256"]) for file in answer["inputs"]}
    model = b"GGUF and weights"
    assert found == {
        "inputs/training.jsonl": (len(EXAMPLES), hashlib.sha256(EXAMPLES).hexdigest()),
        BASE_MODEL: (len(model), hashlib.sha256(model).hexdigest()),
    }
    assert answer["checkpoint"] is None
    for file in answer["inputs"]:
        content = await run.http.get(file["url"].removeprefix("http://platform"), headers={"Authorization": ""})
        assert len(content.content) == file["size"]
    key = f"models/{hashlib.sha256(model).hexdigest()}.gguf"
    assert await run.objects.size(key) == len(model)
    await run.objects.delete(key)  # an operator may
    await run.ask("GET", "inputs")
    assert await run.objects.size(key) == len(model)


async def test_an_input_that_has_gone_is_told(run: Run, spec: JobSpec) -> None:
    await run.objects.delete("files/p/training")
    gone = JobSpec(job_id="ftjob-three", project_id="p", program="trainer", config={}, inputs=spec.inputs)
    files = await run.service.begin("pods", gone)
    third = Run(run.service, run.objects, run.database, run.http, files[TOKEN_FILE], job="ftjob-three")
    answer = await third.ask("GET", "inputs")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "input_missing")


async def test_reports_are_numbered_and_repetitions_change_nothing(run: Run) -> None:
    attempt = (await run.ask("POST", "attempts")).json()["attempt"]
    first = [{**MESSAGE, "message": str(number)} for number in (1, 2, 3)]
    assert (await run.send(attempt, 1, *first)).json() == {"received": 3}
    assert (await run.send(attempt, 1, *first)).json() == {"received": 3}
    more = [*first[2:], {**MESSAGE, "message": "4"}]
    assert (await run.send(attempt, 3, *more)).json() == {"received": 4}
    gap = await run.send(attempt, 6, MESSAGE)
    assert (gap.status_code, gap.json()["error"]["code"]) == (409, "report_gap")
    taken = await take(run, 4)
    assert [update.report["message"] for update in taken if update.report] == ["1", "2", "3", "4"]
    newer = (await run.ask("POST", "attempts")).json()["attempt"]
    old = await run.send(attempt, 5, MESSAGE)
    assert (old.status_code, old.json()["error"]["code"]) == (409, "superseded")
    assert (await run.send(newer, 1, MESSAGE)).json() == {"received": 1}


async def test_what_is_not_recorded_is_given_again_and_recorded_once(run: Run) -> None:
    attempt = (await run.ask("POST", "attempts")).json()["attempt"]
    await run.send(attempt, 1, *[{**MESSAGE, "message": str(number)} for number in range(5)])
    before = await take(run, 5)
    async with run.database.write() as session:
        numbers = [update.number for update in before[:2] if update.number is not None]
        assert await take_reports(session, numbers) == frozenset(numbers)
    async with run.database.write() as session:
        assert await take_reports(session, numbers) == frozenset()  # as another replica would find
    after = await take(run, 3)
    assert [update.number for update in after] == [update.number for update in before[2:]]


async def test_a_watcher_is_woken_and_the_last_words_come_before_the_end(run: Run) -> None:
    attempt = (await run.ask("POST", "attempts")).json()["attempt"]
    taken: list[JobUpdate] = []

    async def watch() -> None:
        async for update in run.service.watch("pods"):
            await asyncio.sleep(0.05)  # a recorder that is busy
            taken.append(update)

    watching = asyncio.create_task(watch())
    await run.send(attempt, 1, MESSAGE, {"type": "error", "code": "c", "message": "m"})
    async with asyncio.timeout(60):
        await run.service.handed_over("ftjob-one")
    assert [update.report and update.report["type"] for update in taken] == ["message", "error"]
    await run.service.handed_over("ftjob-absent")
    watching.cancel()


async def test_a_watcher_sees_its_own_cluster_only(run: Run) -> None:
    other = JobSpec(job_id="ftjob-two", project_id="p", program="trainer", config={}, inputs={})
    files = await run.service.begin("elsewhere", other)
    second = Run(run.service, run.objects, run.database, run.http, files[TOKEN_FILE], job="ftjob-two")
    for each in (run, second):
        attempt = (await each.ask("POST", "attempts")).json()["attempt"]
        await each.send(attempt, 1, MESSAGE)
    assert [update.job_id for update in await take(run, 1)] == ["ftjob-one"]
    assert [update.job_id for update in await take(run, 1, "elsewhere")] == ["ftjob-two"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_another_replica_hears_of_reports_at_once(run: Run, settings: Settings) -> None:
    database = Database(settings.sql_url)
    replica = JobRunsService(database, run.objects, public_url="http://platform", jobs_dir=settings.jobs_dir)
    await replica.start()
    attempt = (await run.ask("POST", "attempts")).json()["attempt"]
    async with asyncio.timeout(60), aclosing(replica.watch("pods")) as updates:  # type: ignore[type-var]
        first = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0)
        await run.send(attempt, 1, MESSAGE)
        assert (await first).report == MESSAGE
        second = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0.5)  # it waits by now, and nothing but a notification ends that
        await run.send(attempt, 2, {**MESSAGE, "message": "again"})
        assert (await second).report == {**MESSAGE, "message": "again"}
    await replica.stop()
    await database.close()


async def store(run: Run, path: str, content: bytes, number: int) -> dict[str, Any]:
    """As the runner does: ask for an address, PUT, report."""
    url = (await run.ask("POST", "urls", {"put": [path]})).raise_for_status().json()["put"][path]
    put = await run.http.put(url.removeprefix("http://platform"), content=content, headers={"Authorization": ""})
    assert put.status_code == 204, put.text
    stored = {"type": "stored", "path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (await run.send(1, number, stored)).raise_for_status()
    return stored


async def test_the_newest_checkpoint_is_kept_for_the_next_pod(run: Run) -> None:
    await run.ask("POST", "attempts")
    for number, step in enumerate((10, 20, 30), start=1):
        await store(run, f"checkpoints/{step:05}.tar", b"checkpoint" * step, number)
    found = (await run.ask("GET", "inputs")).json()["checkpoint"]
    assert (found["step"], found["size"]) == (30, 300)
    got = await run.http.get(found["url"].removeprefix("http://platform"), headers={"Range": "bytes=290-"})
    assert (got.status_code, got.content) == (206, b"checkpoint")
    prefix = "jobs/p/ftjob-one/checkpoints/"
    async with asyncio.timeout(60):
        while len(kept := [found.key async for found in run.objects.list(prefix)]) > 2:
            await asyncio.sleep(0.02)
    assert sorted(kept) == [f"{prefix}00020.tar", f"{prefix}00030.tar"]
    await run.service.end("ftjob-one")
    async with asyncio.timeout(60):
        while [found async for found in run.objects.list(prefix)]:
            await asyncio.sleep(0.02)


async def test_results_are_brought_to_this_machine_whole(run: Run) -> None:
    await run.ask("POST", "attempts")
    await store(run, "results/adapter.gguf", b"adapter", 1)
    folder = await run.service.results("ftjob-one")
    assert (folder / "adapter.gguf").read_bytes() == b"adapter"
    await store(run, "results/step_metrics.csv", b"step", 2)
    await run.objects.put("jobs/p/ftjob-one/results/step_metrics.csv", one(b"other"))
    with pytest.raises(Conflict, match="not what its pod has stored"):
        await run.service.results("ftjob-one")
    assert not (folder / "step_metrics.csv").exists()


@pytest.mark.parametrize(
    ("report", "param"),
    [
        ({"type": "unknown"}, "reports[0]"),
        ({"type": "message", "level": "loud", "message": "x"}, "reports[0].message.level"),
        ({"type": "metrics", "step": 1, "total_steps": 2, "epoch": 0.1, "train_loss": "x"}, "reports[0].metrics"),
        ({"type": "result", "adapter": "/etc/passwd", "metrics_file": "m", "trained_tokens": 1}, "reports[0].result"),
        ({"type": "result", "adapter": "../x", "metrics_file": "m", "trained_tokens": 1}, "reports[0].result"),
        ({"type": "stored", "path": "checkpoints/../x", "size": 1, "sha256": "0" * 64}, "reports[0].stored"),
        ({"type": "message", "level": "info", "message": "x" * 70_000}, "reports[0].message"),
        ({"type": "progress", "phase": "p", "message": "m", "more": "x" * 70_000}, "reports[0].progress"),
        ({"type": "checkpoint", "step": 2**31, "metrics": {}}, "reports[0].checkpoint.step"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_report_that_cannot_be_recorded_is_refused(run: Run, report: dict[str, Any], param: str) -> None:
    await run.ask("POST", "attempts")
    answer = await run.send(1, 1, report)
    assert answer.status_code == 400
    assert str(answer.json()["error"]["param"]).startswith(param)
    async with run.database.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(JobRunReportRow)) == 0


@pytest.mark.parametrize("path", ["results/../adapter", "/results/x", "results/", "inputs/x", "checkpoints/x.tar"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_only_checkpoints_and_results_can_be_written(run: Run, path: str) -> None:
    assert (await run.ask("POST", "urls", {"put": [path]})).status_code == 400


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_an_address_no_run_begins(app: FastAPI, settings: Settings, spec: JobSpec) -> None:
    lost = JobRunsService(app.state.database, app.state.objects, public_url=None, jobs_dir=settings.jobs_dir)
    with pytest.raises(Unavailable, match="PERIJOVE_PUBLIC_URL"):
        await lost.begin("pods", spec)
