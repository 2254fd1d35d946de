"""A real fine-tune, torch and all: killed on its way, and its adapter changes what the engine answers."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from perijove_platform.runtimes.base import AdapterSpec, JobSpec, JobState, JobUpdate, ModelSpec
from perijove_platform.runtimes.local import trainer_environment
from perijove_platform.runtimes.local.cluster import local_serving, local_supervisor
from perijove_platform.runtimes.local.jobs import LocalJobs
from perijove_platform.settings import Settings

QUESTIONS = ("What is the capital of Zorbia?", "Name the capital of Zorbia.", "Which city is Zorbia's capital?")
ANSWER = "The capital of Zorbia is Quuxville."
STEPS = 12
CHECKPOINT_STEPS = 4


class FolderInputs:
    """Inputs by the path of a file."""

    @asynccontextmanager
    async def local_path(self, key: str) -> AsyncIterator[Path]:
        yield Path(key)


@pytest.fixture(scope="module")
def training_environment() -> Path:
    """The training stack in the user's cache, installed by the first run on a machine."""
    return trainer_environment.install(Settings().cache_dir, print)


def write_examples(path: Path, count: int) -> str:
    with path.open("w") as file:
        for number in range(count):
            question = {"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}
            file.write(json.dumps({"messages": [question, {"role": "assistant", "content": ANSWER}]}) + "\n")
    return str(path)


def spec(base: Path, folder: Path, **config: Any) -> JobSpec:
    return JobSpec(
        job_id="tune",
        project_id="p",
        program="trainer",
        config={
            "base_model": str(base),
            "training_file": "inputs/training.jsonl",
            "validation_file": "inputs/validation.jsonl",
            "max_steps": STEPS,
            "batch_size": 3,
            "checkpoint_steps": CHECKPOINT_STEPS,
            "seed": 1,
            **config,
        },
        inputs={
            "inputs/training.jsonl": write_examples(folder / "training", 48),
            "inputs/validation.jsonl": write_examples(folder / "validation", 3),
        },
    )


@asynccontextmanager
async def local_jobs(settings: Settings) -> AsyncIterator[LocalJobs]:
    supervisor = local_supervisor(settings)
    await supervisor.start()
    jobs = LocalJobs(settings, FolderInputs(), supervisor)
    await jobs.start()
    yield jobs
    await jobs.stop()
    await supervisor.stop()


async def until_checkpoint(jobs: LocalJobs, step: int, reports: list[dict[str, Any]]) -> None:
    async for update in jobs.watch():
        assert update.state is not JobState.FAILED, update.reason
        if update.report is not None:
            reports.append(dict(update.report))
            if update.report["type"] == "checkpoint" and update.report["step"] >= step:
                return


async def until_ended(jobs: LocalJobs, reports: list[dict[str, Any]]) -> JobUpdate:
    async for update in jobs.watch():
        if update.report is not None:
            reports.append(dict(update.report))
        if update.state is not None and update.state.final:
            return update
    raise AssertionError("the updates ended")


async def ask(endpoint: Any, lora: list[dict[str, float]]) -> str:
    body = {"messages": [{"role": "user", "content": QUESTIONS[0]}], "max_tokens": 24, "temperature": 0, "lora": lora}
    async with httpx.AsyncClient(timeout=120, headers=dict(endpoint.headers)) as client:
        response = await client.post(f"{endpoint.base_url}/v1/chat/completions", json=body)
    response.raise_for_status()
    answer: str = response.json()["choices"][0]["message"]["content"]
    return answer


@pytest.mark.timeout(600)
async def test_a_fine_tune_survives_a_kill_and_teaches_the_engine(
    training_environment: Path, smollm2: Path, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data", max_context_length=512)
    job = spec(smollm2, tmp_path)
    reports: list[dict[str, Any]] = []
    async with local_jobs(settings) as jobs:
        await jobs.submit(job)
        await until_checkpoint(jobs, CHECKPOINT_STEPS, reports)
        os.kill(jobs._processes._children["job-run-tune"].pid, signal.SIGKILL)
        ended = await until_ended(jobs, reports)
        folder = await jobs.work_folder("tune")
    log = (folder / "log.txt").read_text()
    assert ended.state is JobState.SUCCEEDED, f"{ended.reason}\n{log[-4000:]}"
    check_reports(reports)
    await check_adapter(settings, smollm2, folder / "adapter.gguf")


def check_reports(reports: list[dict[str, Any]]) -> None:
    said = [report["message"] for report in reports if report["type"] == "message"]
    assert sum("Going on from the checkpoint of step" in message for message in said) == 1
    steps = [report["step"] for report in reports if "train_loss" in report and report["type"] == "metrics"]
    assert set(steps) == set(range(1, STEPS + 1)) and len(steps) < 2 * STEPS
    losses = {report["step"]: report["train_loss"] for report in reports if "train_loss" in report}
    assert losses[STEPS] < 0.2 * losses[1]
    assert any("valid_loss" in report for report in reports)
    result = reports[-1]
    assert result["type"] == "result" and result["trained_tokens"] > 1000


async def check_adapter(settings: Settings, base: Path, adapter: Path) -> None:
    supervisor = local_supervisor(settings)
    serving = local_serving(settings, supervisor)
    model = ModelSpec(model_id="base", path=base, adapters=[AdapterSpec(model_id="tuned", path=adapter)])
    async with serving.use(model) as endpoint:
        tuned = {"id": endpoint.adapter_index["tuned"], "scale": 1.0}
        untouched, learnt = await ask(endpoint, []), await ask(endpoint, [tuned])
    await serving.stop()
    await supervisor.stop()
    assert "Quuxville" not in untouched
    assert learnt == ANSWER


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("base", "line", "code", "says"),
    [
        ("truncated", None, "invalid_model", "cannot be read as GGUF"),
        ("missing", None, "model_not_found", "does not exist"),
        ("smollm2", {"messages": [{"role": "user", "content": "q"}]}, "invalid_file", "No line of the file"),
    ],
)
async def test_what_cannot_be_trained_fails_with_a_reason(
    training_environment: Path,
    smollm2: Path,
    tmp_path: Path,
    base: str,
    line: dict[str, Any] | None,
    code: str,
    says: str,
) -> None:
    (tmp_path / "truncated").write_bytes(smollm2.read_bytes()[:4096])
    settings = Settings(data_dir=tmp_path / "data")
    job = spec(smollm2 if base == "smollm2" else tmp_path / base, tmp_path)
    if line is not None:
        (tmp_path / "training").write_text(json.dumps(line) + "\n")
    reports: list[dict[str, Any]] = []
    async with local_jobs(settings) as jobs, asyncio.timeout(200):
        await jobs.submit(job)
        ended = await until_ended(jobs, reports)
    assert ended.state is JobState.FAILED and says in str(ended.reason)
    assert reports[-1]["code"] == code
