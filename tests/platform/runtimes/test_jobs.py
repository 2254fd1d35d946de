"""Jobs as child processes: queue, cancel, suspend, crash, memory, logs. A scripted program, real processes."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from perijove_platform.runtimes.base import JobSpec, JobState, JobUpdate, Resources
from perijove_platform.runtimes.local import trainer_environment, trainer_run
from perijove_platform.runtimes.local.jobs import LocalJobs
from perijove_platform.runtimes.local.processes import ProcessSupervisor
from perijove_platform.settings import Settings

SCRIPTED = Path(__file__).with_name("scripted_trainer.py")
MIB = 1 << 20


class FolderInputs:
    """Inputs by the path of a file."""

    @asynccontextmanager
    async def local_path(self, key: str) -> AsyncIterator[Path]:
        yield Path(key)


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_environment, "environment_python", lambda _: Path(sys.executable))
    monkeypatch.setattr(trainer_run, "archive_program", lambda *_: SCRIPTED)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@asynccontextmanager
async def local_jobs(settings: Settings) -> AsyncIterator[LocalJobs]:
    processes = ProcessSupervisor(settings.data_dir / "processes")
    await processes.start()
    jobs = LocalJobs(settings, FolderInputs(), processes)
    await jobs.start()
    yield jobs
    await jobs.stop()
    await processes.stop()


@pytest.fixture
async def jobs(settings: Settings) -> AsyncIterator[LocalJobs]:
    async with local_jobs(settings) as jobs:
        yield jobs


def spec(job_id: str, *, steps: int = 2, priority: int = 0, memory: int | None = None, **script: Any) -> JobSpec:
    return JobSpec(
        job_id=job_id,
        project_id="p",
        program="trainer",
        config={"script": {"steps": steps, **script}},
        resources=Resources(memory_bytes=memory),
        priority=priority,
    )


async def until(
    updates: AsyncIterator[JobUpdate], wanted: Callable[[JobUpdate], bool], seen: list[JobUpdate] | None = None
) -> JobUpdate:
    async with asyncio.timeout(60):
        async for update in updates:
            if seen is not None:
                seen.append(update)
            if wanted(update):
                return update
    raise AssertionError("the updates ended")


def is_in(job_id: str, state: JobState) -> Callable[[JobUpdate], bool]:
    return lambda update: update.job_id == job_id and update.state is state


def at_step(step: int) -> Callable[[JobUpdate], bool]:
    """Its checkpoint has been written."""
    wanted = {"type": "checkpoint", "step": step}
    return lambda update: update.report is not None and wanted.items() <= update.report.items()


def go(settings: Settings, job_id: str) -> None:
    (settings.jobs_dir / job_id / "go").touch()


def process_of(settings: Settings, job_id: str) -> psutil.Process:
    return psutil.Process(int((settings.jobs_dir / job_id / "pid").read_text()))


async def test_a_job_reports_and_succeeds(jobs: LocalJobs, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("content")
    job = JobSpec(
        job_id="a",
        project_id="p",
        program="trainer",
        config={"script": {"steps": 2}},
        inputs={"inputs/training.jsonl": str(tmp_path / "input")},
    )
    await jobs.submit(job)
    seen: list[JobUpdate] = []
    await until(jobs.watch(), is_in("a", JobState.SUCCEEDED), seen)
    states = [update.state for update in seen if update.state is not None]
    assert states == [JobState.ADMITTED, JobState.RUNNING, JobState.SUCCEEDED]
    reports = [update.report["type"] for update in seen if update.report is not None]
    assert reports == ["plan", "metrics", "checkpoint", "metrics", "checkpoint", "result"]
    folder = await jobs.work_folder("a")
    assert (folder / "adapter.gguf").exists()
    assert not (folder / "checkpoints").exists() and not (folder / "inputs").exists()


async def test_waiting_jobs_know_their_place(jobs: LocalJobs, settings: Settings) -> None:
    updates = jobs.watch()
    await jobs.submit(spec("a", wait_at=1))
    await until(updates, at_step(1))
    for name, priority in (("b", 0), ("c", 0), ("d", 5)):
        await jobs.submit(spec(name, priority=priority))
    seen: list[JobUpdate] = []
    await until(updates, lambda update: update.job_id == "c" and update.queue_position == 3, seen)
    positions = {update.job_id: update.queue_position for update in seen if update.queue_position}
    assert positions == {"d": 1, "b": 2, "c": 3}
    assert seen[-1].reason == "waiting for 1 running job and 2 before it"
    go(settings, "a")
    order = [(await until(updates, lambda u: u.state is JobState.SUCCEEDED)).job_id for _ in range(4)]
    assert order == ["a", "d", "b", "c"]


async def test_a_cancelled_job_leaves_no_process(jobs: LocalJobs, settings: Settings) -> None:
    updates = jobs.watch()
    await jobs.submit(spec("a", wait_at=1))
    await until(updates, at_step(1))
    process = process_of(settings, "a")
    await jobs.cancel("a")
    update = await until(updates, is_in("a", JobState.CANCELLED))
    assert update.reason == "cancelled"
    assert not process.is_running()
    await jobs.cancel("a")
    await jobs.cancel("never-heard-of")


async def test_a_queued_job_is_cancelled_at_once(jobs: LocalJobs, settings: Settings) -> None:
    updates = jobs.watch()
    await jobs.submit(spec("a", wait_at=1))
    await jobs.submit(spec("b"))
    await until(updates, at_step(1))
    await jobs.cancel("b")
    await until(updates, is_in("b", JobState.CANCELLED))
    go(settings, "a")
    await until(updates, is_in("a", JobState.SUCCEEDED))


@pytest.mark.parametrize("turns", range(6))
async def test_a_job_that_is_just_being_started_can_be_cancelled(jobs: LocalJobs, turns: int) -> None:
    updates = jobs.watch()
    await jobs.submit(spec("a", wait_at=1))
    for _ in range(turns):
        await asyncio.sleep(0)
    await jobs.cancel("a")
    await jobs.cancel("a")
    await until(updates, is_in("a", JobState.CANCELLED))
    await jobs.submit(spec("a"))
    await until(updates, is_in("a", JobState.SUCCEEDED))


async def test_a_suspended_job_goes_on_from_its_checkpoint(jobs: LocalJobs, settings: Settings) -> None:
    updates = jobs.watch()
    await jobs.submit(spec("a", steps=4, wait_at=2))
    await until(updates, at_step(2))
    await jobs.suspend("a")
    await jobs.submit(spec("a", steps=4))
    await until(updates, is_in("a", JobState.PAUSED))
    seen: list[JobUpdate] = []
    await until(updates, is_in("a", JobState.SUCCEEDED), seen)
    steps = [update.report["step"] for update in seen if update.report and update.report["type"] == "metrics"]
    assert steps == [3, 4]


async def test_a_program_that_crashes_is_started_again(jobs: LocalJobs) -> None:
    updates = jobs.watch()
    await jobs.submit(spec("a", steps=3, die_at=2))
    seen: list[JobUpdate] = []
    await until(updates, is_in("a", JobState.SUCCEEDED), seen)
    said = [update.report["message"] for update in seen if update.report and update.report["type"] == "message"]
    assert len(said) == 1 and "last checkpoint" in said[0]


async def test_a_reported_error_is_the_reason(jobs: LocalJobs) -> None:
    updates = jobs.watch()
    await jobs.submit(spec("a", error_at=1))
    update = await until(updates, is_in("a", JobState.FAILED))
    assert update.reason == "The loss became nan."


async def test_too_much_memory_fails_the_job_and_says_so(jobs: LocalJobs) -> None:
    updates = jobs.watch()
    await jobs.submit(spec("a", wait_at=1, hoard_bytes=200 * MIB, memory=100 * MIB))
    seen: list[JobUpdate] = []
    update = await until(updates, is_in("a", JobState.FAILED), seen)
    assert update.reason is not None and "100" in update.reason
    assert [u.report["code"] for u in seen if u.report and u.report["type"] == "error"] == ["out_of_memory"]


async def test_a_missing_input_fails_the_job(jobs: LocalJobs) -> None:
    job = JobSpec(job_id="a", project_id="p", program="trainer", config={}, inputs={"inputs/x": "/nowhere/x"})
    await jobs.submit(job)
    update = await until(jobs.watch(), is_in("a", JobState.FAILED))
    assert update.reason is not None and "could not be prepared" in update.reason


async def test_after_a_stop_the_job_goes_on_elsewhere(settings: Settings) -> None:
    async with local_jobs(settings) as jobs:
        await jobs.submit(spec("a", steps=3, wait_at=2))
        await until(jobs.watch(), at_step(2))
        process = process_of(settings, "a")
    assert not process.is_running()
    async with local_jobs(settings) as jobs:
        await jobs.submit(spec("a", steps=3))
        seen: list[JobUpdate] = []
        await until(jobs.watch(), is_in("a", JobState.SUCCEEDED), seen)
    assert [u.report["step"] for u in seen if u.report and u.report["type"] == "metrics"] == [3]


async def test_a_result_that_nobody_heard_of_is_not_made_twice(jobs: LocalJobs, settings: Settings) -> None:
    folder = settings.jobs_dir / "a"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"type": "result", "trained_tokens": 7}))
    await jobs.submit(spec("a"))
    seen: list[JobUpdate] = []
    await until(jobs.watch(), is_in("a", JobState.SUCCEEDED), seen)
    assert [update.report for update in seen if update.report] == [{"type": "result", "trained_tokens": 7}]
    assert not (folder / "pid").exists()


async def text_of(chunks: AsyncIterator[bytes]) -> str:
    return b"".join([chunk async for chunk in chunks]).decode()


async def test_a_log_is_followed_until_the_end(jobs: LocalJobs, settings: Settings) -> None:
    await jobs.submit(spec("a", steps=3, wait_at=2))
    following = asyncio.create_task(text_of(jobs.logs("a", follow=True)))
    updates = jobs.watch()
    await until(updates, at_step(2))
    assert not following.done()
    go(settings, "a")
    await until(updates, is_in("a", JobState.SUCCEEDED))
    async with asyncio.timeout(60):
        text = await following
    assert text == "starting after step 0\nlog of step 1\nlog of step 2\nlog of step 3\n"
    assert await text_of(jobs.logs("a", follow=True, tail_lines=1)) == "log of step 3\n"
    assert await text_of(jobs.logs("unknown", follow=True)) == ""


async def test_a_watcher_that_leaves_is_replaced(jobs: LocalJobs) -> None:
    watching = asyncio.create_task(anext(jobs.watch()))
    await asyncio.sleep(0)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    await jobs.submit(spec("a"))
    assert (await until(jobs.watch(), is_in("a", JobState.SUCCEEDED))).job_id == "a"
