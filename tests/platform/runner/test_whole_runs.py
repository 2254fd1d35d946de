"""Whole jobs: the platform and the runner as processes, real object stores; the trainer is scripted."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import psutil
import pytest
from killable_platform import EventLog, alive, eventually
from perijove_platform.runner.contract import ExitCode
from pod_platform import OwnS3, Pod, PodPlatform
from random_model import write_random_model

FOLDER = pytest.mark.parametrize("served", ["folder"], indirect=True, scope="module")
S3 = pytest.mark.parametrize("served", ["s3"], indirect=True, scope="module")
SIGNATURE = re.compile(r"[?&](X-Amz-)?Signature=|signature=", re.IGNORECASE)


def until_step(platform: PodPlatform, job: str, step: int) -> None:
    eventually(lambda: step in platform.steps(job), what=f"step {step}")


def finish(platform: PodPlatform, job: str, pod: Pod) -> dict[str, Any]:
    code = pod.wait()
    platform.tell_exit(job, code)
    done = platform.ended(job)
    assert (code, done["state"]) == (0, "succeeded"), f"{done['error']}\n{pod.log()}\n{platform.log()}"
    return done


def test_a_job_runs_to_its_end(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job({**script, "hold_at": [4]})
    pod = platform.pod(job)
    until_step(platform, job, 4)
    for process in (psutil.Process(pod.process.pid), psutil.Process(int((pod.work / "program.pid").read_text()))):
        seen = " ".join([*process.cmdline(), *process.environ().values()])
        assert platform.token(job) not in seen and not SIGNATURE.search(seen)
    pod.go(4)
    done = finish(platform, job, pod)
    assert platform.steps(job) == [1, 2, 3, 4, 5, 6]
    said = platform.said(job)
    assert "starting after step 0 with inputs/base.gguf of " in said and "Checkpoint created at step 6" in said
    assert done["fine_tuned_model"] in [model["id"] for model in platform.get("/v1/models")["data"]]
    assert len(done["result_files"]) == 1 and done["trained_tokens"] == 1234
    log = pod.log()
    assert "log of a run from step 0" in log and "no JSON" in log
    for text in (log, platform.log(), json.dumps(platform.events(job))):
        assert platform.token(job) not in text and not SIGNATURE.search(text)
    results = {"results/adapter.gguf", "results/step_metrics.csv"}
    eventually(lambda: platform.of_job(job) == results, what="the end of the checkpoints")


@FOLDER
def test_as_first_process_it_collects_the_orphans(platform: PodPlatform, script: dict[str, Any]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a namespace of processes")
    job = platform.create_job({**script, "orphans": True, "hold_at": [4]})
    pod = platform.pod(job, before=["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"])
    until_step(platform, job, 4)
    (first,) = psutil.Process(pod.process.pid).children()

    def only_the_program() -> bool:
        try:
            return not any(child.status() == psutil.STATUS_ZOMBIE for child in first.children())
        except psutil.NoSuchProcess:  # it has just been collected
            return False

    assert "orphans were left to process 1" in platform.said(job)
    eventually(only_the_program, what="the end of the orphans")
    pod.go(4)
    finish(platform, job, pod)


@FOLDER
def test_a_base_model_is_stored_once(platform: PodPlatform, script: dict[str, Any], tmp_path: Path) -> None:
    model = write_random_model(tmp_path / "other.gguf")
    with model.open("ab") as file:
        file.write(b"another")
    platform.add_model(model, "other")
    for _ in range(2):
        job = platform.create_job({**script, "steps": 1}, model="other")
        finish(platform, job, platform.pod(job))
    assert f"{hashlib.sha256(model.read_bytes()).hexdigest()}.gguf" in platform.stored("models/")
    assert platform.log().count("Storing the base model other.gguf") == 1


def test_a_pod_that_was_lost_is_replaced_by_one_that_resumes(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job({**script, "hold_at": [3]})
    pod = platform.pod(job)
    eventually(lambda: platform.checkpoint_of(job) == 3, what="the checkpoint")
    assert "checkpoints/00003.tar" in platform.of_job(job)
    until_step(platform, job, 3)
    pod.kill()
    finish(platform, job, platform.pod(job))
    assert platform.steps(job) == [1, 2, 3, 4, 5, 6]
    assert "starting after step 3 " in platform.said(job)


@FOLDER
def test_a_runner_that_is_started_again_in_its_folder_goes_on(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job({**script, "hold_at": [3]})
    pod = platform.pod(job)
    until_step(platform, job, 3)
    pod.kill()
    pod.go(3)
    finish(platform, job, platform.pod(job, work=pod.work))
    assert platform.steps(job) == [1, 2, 3, 4, 5, 6]
    assert pod.log().count("fetching inputs/base.gguf") == 1


def test_the_platform_is_killed_meanwhile(platform: PodPlatform, script: dict[str, Any]) -> None:
    events = EventLog(platform)
    job = platform.create_job({**script, "steps": 60, "hold_at": [20]})
    pod = platform.pod(job)
    until_step(platform, job, 5)
    platform.kill()
    pod.go(20)
    eventually((pod.work / "result.json").exists, what="the end of the training without a platform")
    eventually(lambda: "reports are kept" in pod.log(), what="the runner's notice")
    platform.start()
    events.resume()
    finish(platform, job, pod)
    assert platform.steps(job) == list(range(1, 61))
    assert platform.said(job).count("starting after step 0 ") == 1
    events.check_nothing_lost()


@FOLDER
def test_the_platform_is_killed_again_and_again(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job({**script, "steps": 150, "step_seconds": 0.03, "checkpoint_steps": 10})
    pod = platform.pod(job)
    for step in (5, 40, 80):
        until_step(platform, job, step)
        platform.restart()
    finish(platform, job, pod)
    assert platform.steps(job) == list(range(1, 151))


@S3
def test_the_object_store_is_away_during_a_checkpoint(
    platform: PodPlatform, s3_server: OwnS3, script: dict[str, Any]
) -> None:
    job = platform.create_job({**script, "steps": 8, "hold_at": [3, 6]})
    pod = platform.pod(job)
    eventually(lambda: platform.checkpoint_of(job) == 3, what="a checkpoint")
    s3_server.stop()
    pod.go(3)
    until_step(platform, job, 6)
    eventually(lambda: "storing the checkpoint of step 6: The object store" in pod.log(), what="a failed attempt")
    s3_server.start()
    eventually(lambda: platform.checkpoint_of(job) == 6, what="the newest checkpoint")
    s3_server.stop()
    pod.go(6)
    eventually(lambda: "storing results/adapter.gguf: The object store" in pod.log(), what="a failed attempt")
    s3_server.start()
    finish(platform, job, pod)
    assert platform.steps(job) == list(range(1, 9))


def test_sigterm_leaves_a_checkpoint_of_the_last_step(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job({**script, "steps": 300, "step_seconds": 0.05, "checkpoint_steps": 1000})
    pod = platform.pod(job, grace_seconds=30)
    until_step(platform, job, 2)
    pod.terminate()
    assert pod.wait() == ExitCode.STOPPED, pod.log()
    reached = platform.checkpoint_of(job)
    assert reached is not None
    until_step(platform, job, reached)  # the last reports have arrived, and may not have been recorded yet
    assert max(platform.steps(job)) == reached
    script_file = platform.data_dir / "pods" / job / "run.json"
    run = json.loads(script_file.read_bytes())
    run["config"]["script"]["steps"] = reached + 3
    finish(platform, job, platform.pod(job, config=run["config"]))
    assert platform.steps(job) == list(range(1, reached + 4))


@FOLDER
def test_sigterm_before_the_program_has_started(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job(script)
    platform.kill()
    pod = platform.pod(job)
    eventually(lambda: "cannot be reached" in pod.log(), what="the search for the platform")
    pod.terminate()
    assert pod.wait() == ExitCode.STOPPED
    assert not (pod.work / "program.pid").exists()


@FOLDER
def test_a_job_that_is_cancelled_ends_its_pod_at_once(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job({**script, "steps": 1000, "step_seconds": 0.05})
    pod = platform.pod(job)
    until_step(platform, job, 1)
    program = psutil.Process(int((pod.work / "program.pid").read_text()))
    platform.post(f"/v1/fine_tuning/jobs/{job}/cancel")
    assert pod.wait(40) == ExitCode.ENDED
    assert not alive(program)


@FOLDER
def test_a_newer_pod_supersedes_an_older_one(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job({**script, "steps": 1000, "step_seconds": 0.05})
    older = platform.pod(job)
    until_step(platform, job, 1)
    platform.pod(job)
    assert older.wait(40) == ExitCode.SUPERSEDED


@FOLDER
@pytest.mark.parametrize(
    ("changed", "code", "error", "says"),
    [
        ({"error_at": 2}, ExitCode.FAILED, "diverged", "The loss became nan."),
        ({"die_at": 2, "checkpoint_steps": 9}, ExitCode.CRASHED, "crashed", "was killed (SIGKILL)"),
        ({"adapter": "/nowhere"}, ExitCode.CRASHED, "crashed", "ended with exit code 1"),
    ],
)
def test_failures_are_told_apart(
    platform: PodPlatform, script: dict[str, Any], changed: dict[str, Any], code: ExitCode, error: str, says: str
) -> None:
    job = platform.create_job({**script, **changed})
    pod = platform.pod(job)
    assert pod.wait() == code, pod.log()
    platform.tell_exit(job, code)
    done = platform.ended(job)
    assert done["state"] == "failed" and done["error"]["code"] == error
    assert says in done["error"]["message"]


@FOLDER
def test_a_crash_is_started_again_from_its_checkpoint(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job({**script, "die_at": 3, "invalid_at": 2})
    finish(platform, job, platform.pod(job))
    said = platform.said(job)
    assert "starting after step 3 " in said and "starting it again from its last checkpoint" in said
    assert "A report of the program (metrics) was refused" in said
    assert platform.steps(job) == [1, 2, 3, 4, 5, 6]


@FOLDER
def test_an_input_that_has_gone_fails_the_job(platform: PodPlatform, script: dict[str, Any], tmp_path: Path) -> None:
    model = write_random_model(tmp_path / "gone.gguf")
    with model.open("ab") as file:
        file.write(b"one more")
    platform.add_model(model, "gone")
    job = platform.create_job(script, model="gone")
    stored = platform.data_dir / "objects" / "models" / f"{hashlib.sha256(model.read_bytes()).hexdigest()}.gguf"
    eventually(stored.exists, what="the model in the store")
    platform.checkpoint_of(job)  # asks for the inputs, and so waits until they are known
    stored.unlink()
    model.unlink()
    pod = platform.pod(job)
    assert pod.wait() == ExitCode.INPUT, pod.log()
    platform.tell_exit(job, ExitCode.INPUT)
    done = platform.ended(job)
    assert done["error"]["code"] == "input" and "base model's file cannot be read" in done["error"]["message"]


@FOLDER
@pytest.mark.parametrize("broken", ["token", "run.json"])
def test_a_secret_that_cannot_be_used(platform: PodPlatform, script: dict[str, Any], broken: str) -> None:
    job = platform.create_job(script)
    (platform.secret(job) / broken).unlink()
    pod = platform.pod(job)
    assert pod.wait() == ExitCode.BAD_CONFIG
    assert "bad_config: The job's Secret cannot be used" in pod.log()


@FOLDER
def test_a_result_that_has_gone_fails_the_job(platform: PodPlatform, script: dict[str, Any]) -> None:
    job = platform.create_job({**script, "steps": 2})
    pod = platform.pod(job)
    assert pod.wait() == ExitCode.SUCCEEDED, pod.log()
    (platform.data_dir / "objects" / "jobs" / "proj-local" / job / "results" / "adapter.gguf").unlink()
    platform.tell_exit(job, 0)
    done = platform.ended(job)
    assert done["state"] == "failed" and "'adapter.gguf' is not in the object store" in done["error"]["message"]
