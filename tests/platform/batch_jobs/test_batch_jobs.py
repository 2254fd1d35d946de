"""Batch jobs on the platform's own machine: real children of a whole platform, on each kind of database."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI
from killable_platform import alive
from perijove_platform.app import create_app
from perijove_platform.settings import Settings

JOBS = "/v1/batch_jobs"
SECRET = "swordfish-of-the-owner"
LIMIT_SECONDS = 40


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cancels or pauses a job is told of its new state, however slow the machine is."""
    monkeypatch.setattr("perijove_platform.jobs.lifecycle._WAIT_SECONDS", 60.0)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def create(client: httpx.AsyncClient, command: list[str], **fields: Any) -> dict[str, Any]:
    answer = await client.post(JOBS, json={"command": command, **fields})
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


async def until(client: httpx.AsyncClient, job_id: str, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            job: dict[str, Any] = (await client.get(f"{JOBS}/{job_id}")).json()
            if wanted(job):
                return job
            await asyncio.sleep(0.02)


def ended(job: dict[str, Any]) -> bool:
    return job["state"] in ("succeeded", "failed", "cancelled")


def in_state(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda job: job["state"] == state


async def messages(client: httpx.AsyncClient, job_id: str) -> list[str]:
    answer = await client.get(f"{JOBS}/{job_id}/events", params={"order": "asc", "limit": 100})
    return [event["message"] for event in answer.json()["data"]]


async def log(client: httpx.AsyncClient, job_id: str) -> str:
    return (await client.get(f"{JOBS}/{job_id}/logs")).text


async def upload(client: httpx.AsyncClient, name: str, content: str) -> str:
    answer = await client.post("/v1/files", data={"purpose": "user_data"}, files={"file": (name, content.encode())})
    found: str = answer.json()["id"]
    return found


async def test_a_command_runs_in_a_fresh_folder_with_its_files(client: httpx.AsyncClient, settings: Settings) -> None:
    file_id = await upload(client, "words.txt", "juno\n")
    code = "import os; print(sorted(os.listdir()), open('data/words.txt').read(), os.environ['COLOUR'])"
    job = await create(
        client,
        python(code),
        name="first",
        files=[{"file_id": file_id, "path": "data/words.txt"}],
        environment={"COLOUR": SECRET},
        metadata={"team": "io"},
        priority=1,
    )
    assert (job["status"], job["name"], job["environment_names"]) == ("queued", "first", ["COLOUR"])
    done = await until(client, job["id"], ended)
    assert (done["state"], done["completed"], done["error"]) == ("succeeded", 1, None)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    assert await log(client, job["id"]) == f"['data'] juno\n {SECRET}\n"
    said = await messages(client, job["id"])
    created = f"Created batch job: {job['id']}"
    assert said == [created, "The job is admitted", "Batch job started", "The job has successfully completed"]
    assert not (settings.jobs_dir / job["id"] / "work").exists()
    listed = await client.get(JOBS, params={"metadata[team]": "io"})
    assert [found["id"] for found in listed.json()["data"]] == [job["id"]]
    assert (await client.get(JOBS, params={"metadata[team]": "juno"})).json()["data"] == []


async def test_values_of_variables_are_told_nowhere_and_forgotten(client: httpx.AsyncClient, app: FastAPI) -> None:
    job = await create(client, ["true"], environment={"TOKEN": SECRET})
    answers = [
        json.dumps(await until(client, job["id"], ended)),
        (await client.get(JOBS)).text,
        (await client.get(f"{JOBS}/{job['id']}/events")).text,
    ]
    assert all(SECRET not in answer for answer in answers)
    async with app.state.database.read() as session:
        row = await session.connection()
        for table in ("batch_jobs", "jobs", "job_events", "outbox"):
            found = await row.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608
            assert SECRET not in str(found.fetchall()), table


async def test_a_command_that_fails_says_how_it_ended(client: httpx.AsyncClient) -> None:
    job = await create(client, python("import sys; print('no such star', file=sys.stderr); sys.exit(3)"))
    failed = await until(client, job["id"], ended)
    reason = "the program ended with exit code 3: no such star"
    assert failed["state"] == "failed"
    assert failed["error"] == {"code": "crashed", "message": reason, "param": None}
    assert (await messages(client, job["id"]))[-1] == f"The job failed: {reason}"
    missing = await until(client, (await create(client, ["no-such-program"]))["id"], ended)
    assert missing["error"]["message"].endswith("exit code 127: no-such-program: No such file or directory")


NUMBERED = """
import os, time
number = os.environ['JOB_COMPLETION_INDEX']
print('run', number)
while number > '1' and not os.path.exists('{folder}/go'):
    time.sleep(0.02)
"""


async def test_several_runs_have_a_number_each(client: httpx.AsyncClient, tmp_path: Path) -> None:
    job = await create(client, python(NUMBERED.format(folder=tmp_path)), completions=5, parallelism=2)
    seen: list[dict[str, Any]] = []
    await until(client, job["id"], lambda job: seen.append(job) or job["state_reason"] == "2 of 5 done, 2 running")
    (tmp_path / "go").touch()
    done = await until(client, job["id"], lambda job: seen.append(job) or ended(job))
    assert (done["state"], done["completed"]) == ("succeeded", 5)
    assert sorted((await log(client, job["id"])).splitlines()) == [f"[{n}] run {n}" for n in range(5)]
    reasons = {job["state_reason"] for job in seen}
    assert not any("3 running" in (reason or "") for reason in reasons)


async def test_one_run_that_fails_does_not_end_the_others(client: httpx.AsyncClient) -> None:
    code = "import os, sys; sys.exit('bad luck' if os.environ['JOB_COMPLETION_INDEX'] == '1' else 0)"
    job = await create(client, python(code), completions=3)
    failed = await until(client, job["id"], ended)
    assert (failed["state"], failed["completed"]) == ("failed", 2)
    assert failed["state_reason"] == "1 of 3 failed; number 1: the program ended with exit code 1: bad luck"


async def test_it_is_stopped_after_its_maximum_run_time(client: httpx.AsyncClient) -> None:
    job = await create(client, python("import time; time.sleep(600)"), max_run_seconds=1)
    failed = await until(client, job["id"], ended)
    assert failed["error"] == {
        "code": "time_limit",
        "message": "stopped: maximum run time of 1 s",
        "param": None,
    }


async def test_a_command_that_takes_too_much_memory_is_stopped(client: httpx.AsyncClient) -> None:
    code = "import time; kept = bytearray(200 << 20); time.sleep(600)"
    job = await create(client, python(code), resources={"memory_bytes": 64 << 20})
    failed = await until(client, job["id"], ended)
    assert failed["error"]["code"] == "out_of_memory"
    assert failed["error"]["message"] == "out of memory (limit 64 MiB)"


WAITS = """
import os, time, pathlib
print('begin', flush=True)
pathlib.Path('{folder}', str(os.getpid())).touch()
while not os.path.exists('{folder}/go'):
    time.sleep(0.02)
"""


def waiting(folder: Path) -> list[str]:
    """Leaves its process id in the folder, and ends once there is a file ``go``."""
    folder.mkdir(exist_ok=True)
    return python(WAITS.format(folder=folder))


async def process_of(folder: Path) -> psutil.Process:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (found := [path.name for path in folder.iterdir() if path.name.isdecimal()]):
            await asyncio.sleep(0.02)
    return psutil.Process(int(found[0]))


async def test_pause_stops_and_resume_begins_anew(client: httpx.AsyncClient, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    job = await create(client, waiting(folder))
    process = await process_of(folder)
    paused = (await client.post(f"{JOBS}/{job['id']}/pause")).json()
    assert (paused["state"], paused["status"]) == ("paused", "paused")
    assert not process.is_running()
    (folder / "go").touch()
    resumed = await client.post(f"{JOBS}/{job['id']}/resume")
    assert resumed.json()["state"] in ("queued", "admitted", "running", "succeeded")
    await until(client, job["id"], in_state("succeeded"))
    assert await log(client, job["id"]) == "begin\nbegin\n"
    said = await messages(client, job["id"])
    assert "The job is resumed; commands that were stopped begin anew" in said
    assert said.count("Batch job started") == 1 and said.count("The job is running again") == 1


async def test_cancel_ends_what_the_command_has_started(client: httpx.AsyncClient, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    child = waiting(folder)
    job = await create(client, python(f"import subprocess; subprocess.run({child!r})"))
    process = await process_of(folder)
    cancelled = await client.post(f"{JOBS}/{job['id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    async with asyncio.timeout(LIMIT_SECONDS):
        while alive(process):
            await asyncio.sleep(0.02)
    again = await client.post(f"{JOBS}/{job['id']}/pause")
    assert (again.status_code, again.json()["error"]["code"]) == (400, "job_ended")


async def test_the_higher_priority_runs_first(client: httpx.AsyncClient, tmp_path: Path) -> None:
    holder = await create(client, waiting(tmp_path / "seen"))
    await process_of(tmp_path / "seen")
    low = await create(client, ["true"], priority=-1)
    high = await create(client, ["true"], priority=2)
    await until(client, high["id"], lambda job: job["queue_position"] == 1)
    await until(client, low["id"], lambda job: job["queue_position"] == 2)
    (tmp_path / "seen" / "go").touch()
    for job in (holder, high, low):
        await until(client, job["id"], in_state("succeeded"))
    began = {}
    for name, job in (("high", high), ("low", low)):
        events = (await client.get(f"{JOBS}/{job['id']}/events", params={"order": "asc"})).json()["data"]
        began[name] = next(event["id"] for event in events if event["message"] == "Batch job started")
    assert began["high"] < began["low"]


async def test_each_change_is_pushed(client: httpx.AsyncClient, app: FastAPI) -> None:
    before = await app.state.events.newest()
    job = await create(client, ["true"])
    found = []
    async with asyncio.timeout(LIMIT_SECONDS):
        async for event in app.state.events.subscribe(project_id=None, last_id=before):
            assert event.object_id == job["id"]
            found.append(event)
            if event.type == "batch_job.updated" and event.data["state"] == "succeeded":
                break
    assert found[0].type == "batch_job.created" and found[0].data == job
    assert {event.type for event in found} == {"batch_job.created", "batch_job.updated", "batch_job.event"}


GOOD: dict[str, Any] = {"command": ["true"]}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"command": []}, "command"),
    ({"command": ["a\0b"]}, "command[0]"),
    ({"image": "busybox"}, "image"),
    ({"environment": {"A B": "c"}}, "environment"),
    ({"environment": {"JOB_COMPLETION_INDEX": "1"}}, "environment"),
    ({"environment": {"A": "\0"}}, "environment"),
    ({"files": [{"file_id": "file-missing", "path": "a"}]}, "files[0].file_id"),
    ({"files": [{"file_id": "file-x", "path": "../a"}]}, "files[0].path"),
    ({"files": [{"file_id": "file-x", "path": "/a"}]}, "files[0].path"),
    ({"files": [{"file_id": "file-x", "path": "a"}, {"file_id": "file-y", "path": "a"}]}, "files"),
    ({"files": [{"file_id": "file-x", "path": "a"}, {"file_id": "file-y", "path": "a/b"}]}, "files"),
    ({"resources": {"gpus": 1}}, "resources.gpus"),
    ({"resources": {"cpus": 0}}, "resources.cpus"),
    ({"completions": 1001}, "completions"),
    ({"parallelism": 0}, "parallelism"),
    ({"priority": 3}, "priority"),
    ({"max_run_seconds": 0}, "max_run_seconds"),
    ({"cluster": "nowhere"}, "cluster"),
    ({"name": ""}, "name"),
    ({"speed": 3}, "speed"),
]


@pytest.mark.parametrize(("fields", "param"), BAD, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_bad_request_names_its_field(client: httpx.AsyncClient, fields: dict[str, Any], param: str) -> None:
    answer = await client.post(JOBS, json={**GOOD, **fields})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param and len(error["message"]) > 20
    assert (await client.get(JOBS)).json()["data"] == []


LARGE = 256 * 1024


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ["true", *["x" * 100_000] * 20]},
        {"command": ["true", *["é" * 65_536] * 2]},
        {"command": ["true", "x" * 100_000], "environment": {"A": "x" * 65_536, "B": "x" * 65_536, "C": "x" * 32_768}},
        {"environment": {f"A{number}": "x" * 65_536 for number in range(4)}},
    ],
    ids=["arguments", "bytes", "together", "variables"],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_no_cluster_could_keep_is_refused(client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    answer = await client.post(JOBS, json={**GOOD, **fields})
    assert answer.status_code == 400, answer.text
    message = answer.json()["error"]["message"]
    assert message.startswith("'command' and 'environment' have ") and f"at most {LARGE}; give" in message
    assert (await client.get(JOBS)).json()["data"] == []


async def test_the_largest_command_runs(client: httpx.AsyncClient) -> None:
    values = {f"A{number}": "x" * 65_000 for number in range(3)}
    rest = LARGE - len("true") - sum(len(name) + len(value) for name, value in values.items())
    job = await create(client, ["true", "x" * rest], environment=values)
    assert (await until(client, job["id"], ended))["state"] == "succeeded"


async def test_what_is_not_there(client: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/pause"), ("POST", "/resume"), ("GET", "/logs")):
        answer = await client.request(method, f"{JOBS}/batchjob-none{path}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (404, "batch_job_id")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_repeated_request_makes_one_job(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one"}
    first, again = [await client.post(JOBS, json=GOOD, headers=headers) for _ in range(2)]
    assert first.json()["id"] == again.json()["id"]


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        headers = {"Authorization": f"Bearer {settings.api_key_file.read_text().strip()}"}
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as client:
            yield app, client


async def test_a_restart_of_the_platform_begins_the_command_anew(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    async with started(settings) as (_, client):
        job = await create(client, waiting(folder))
        process = await process_of(folder)
        await until(client, job["id"], in_state("running"))
    assert not process.is_running()
    (folder / "go").touch()
    async with started(settings) as (_, client):
        await until(client, job["id"], in_state("succeeded"))
        said = await messages(client, job["id"])
        restarted = "The platform was restarted; the command begins anew, since it has no checkpoints"
        assert said.count(restarted) == 1
        assert not any("interrupted" in message for message in said)
        assert await log(client, job["id"]) == "begin\nbegin\n"


async def test_both_kinds_count_against_one_limit(settings: Settings, tmp_path: Path) -> None:
    limited = settings.model_copy(update={"max_queued_jobs": 1})
    async with started(limited) as (_, client):
        job = await create(client, waiting(tmp_path / "seen"))
        refused = await client.post(JOBS, json=GOOD)
        assert refused.status_code == 429 and "cancel them" in refused.json()["error"]["message"]
        await client.post(f"{JOBS}/{job['id']}/cancel")
        assert (await client.post(JOBS, json=GOOD)).status_code == 200
