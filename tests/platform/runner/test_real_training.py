"""A real fine-tune by the runner, torch and all: stopped by SIGTERM, and finished by another pod."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from killable_platform import eventually
from perijove_platform.runner.contract import ExitCode
from perijove_platform.runtimes.local import trainer_environment
from perijove_platform.settings import Settings
from pod_platform import OwnS3, PodPlatform
from random_model import write_random_model


@pytest.fixture(scope="module")
def training_python() -> str:
    """Of the training stack in the user's cache, installed by the first run on a machine."""
    return str(trainer_environment.install(Settings().cache_dir, print))


@pytest.fixture
def real(s3_server: OwnS3, tmp_path: Path) -> Iterator[PodPlatform]:
    """With the real trainer; the model is tiny, so that torch's loading is what takes time."""
    platform = PodPlatform(tmp_path, s3_server)
    platform.install(None)
    platform.start()
    try:
        platform.add_model(write_random_model(tmp_path / "base.gguf"))
        yield platform
    finally:
        platform.stop()


@pytest.mark.timeout(420)
def test_a_fine_tune_moves_from_pod_to_pod(training_python: str, real: PodPlatform) -> None:
    job = real.create_job(batch_size=2, n_epochs=50)
    first = real.pod(job, python=training_python)
    eventually(lambda: 2 in real.steps(job), seconds=180, what="two steps")
    first.terminate()
    assert first.wait(60) == ExitCode.STOPPED, first.log()
    reached = real.checkpoint_of(job)
    assert reached is not None
    eventually(lambda: reached in real.steps(job), what="the last step")
    config = json.loads((real.secret(job) / "run.json").read_bytes())["config"]
    second = real.pod(job, python=training_python, config={**config, "max_steps": reached + 3})
    code = second.wait(240)
    assert code == ExitCode.SUCCEEDED, second.log()
    real.tell_exit(job, code)
    done = real.ended(job)
    assert done["state"] == "succeeded", f"{done['error']}\n{real.log()}"
    assert f"Going on from the checkpoint of step {reached} of {reached + 3}" in real.said(job)
    assert real.steps(job) == list(range(1, reached + 4))
    tuned = [model for model in real.get("/v1/models")["data"] if model["base_model"] == "base"]
    assert [model["id"] for model in tuned] == [done["fine_tuned_model"]]
    body = {"model": done["fine_tuned_model"], "messages": [{"role": "user", "content": "What?"}], "max_tokens": 8}
    assert real.post("/v1/chat/completions", body)["usage"]["completion_tokens"] > 0
