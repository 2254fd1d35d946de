"""Configuration, checkpoints, reports, rotary order: the parts of the trainer that need no torch."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from perijove_platform.runtimes.local.program_archive import archive_program
from perijove_platform.trainer.__main__ import describe
from perijove_platform.trainer.adapter import permute_rotary
from perijove_platform.trainer.checkpoints import Checkpoints
from perijove_platform.trainer.config import TrainerConfig, make_plan
from perijove_platform.trainer.errors import TrainingError


def test_auto_is_decided_by_the_size_of_file_and_model() -> None:
    config = TrainerConfig(base_model="m", training_file="t")
    small = make_plan(config, examples=60, parameters=135_000_000)
    assert (small.n_epochs, small.batch_size, small.learning_rate) == (3, 4, 1e-3)
    large = make_plan(config, examples=10_000, parameters=7_000_000_000)
    assert (large.n_epochs, large.batch_size, large.learning_rate) == (1, 8, 2e-4)
    one = make_plan(config, examples=1, parameters=1)
    assert (one.n_epochs, one.batch_size) == (10, 1)


def test_given_hyperparameters_are_kept() -> None:
    config = TrainerConfig(base_model="m", training_file="t", n_epochs=2, batch_size=3, learning_rate_multiplier=0.5)
    plan = make_plan(config, examples=60, parameters=1)
    assert (plan.n_epochs, plan.batch_size, plan.learning_rate) == (2, 3, 5e-4)


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"base_model": "m", "training_file": "t", "epochs": 3}))
    with pytest.raises(TrainingError, match="epochs"):
        TrainerConfig.read(path)


def write_checkpoint(checkpoints: Checkpoints, step: int) -> None:
    folder = checkpoints.building / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_text(str(step))


def test_only_whole_checkpoints_count_and_old_ones_go(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest() is None
    for step in (9, 10, 11):
        write_checkpoint(checkpoints, step)
        checkpoints.publish(step)
    write_checkpoint(checkpoints, 12)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-10", "checkpoint-11"]
    again = Checkpoints(tmp_path)
    assert again.latest() == tmp_path / "checkpoint-11"
    assert not again.building.exists()


def test_rotary_rows_of_a_head_are_interleaved() -> None:
    rows = np.arange(8).reshape(8, 1)
    assert permute_rotary(rows, heads=2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out_of_memory"),
        (OSError(28, "No space left on device"), "no_space"),
        (ImportError("no torch"), "trainer_environment"),
        (ValueError("odd"), "training_failed"),
        (TrainingError("why", code="diverged"), "diverged"),
    ],
)
def test_every_failure_has_a_code(error: Exception, code: str) -> None:
    assert describe(error).code == code


def test_the_archive_holds_the_trainer_alone_and_reports_errors_as_a_line(tmp_path: Path) -> None:
    archive = archive_program("trainer", tmp_path)
    assert archive_program("trainer", tmp_path) == archive
    names = zipfile.ZipFile(archive).namelist()
    assert all(name.startswith("perijove_platform/trainer/") for name in names[2:])
    work = tmp_path / "work"
    work.mkdir()
    (work / "config.json").write_text("{")
    read, write = os.pipe()  # kept open: the platform lives
    command = [sys.executable, "-I", str(archive), str(work), str(tmp_path)]
    ended = subprocess.run(command, stdin=read, capture_output=True, text=True, check=False, timeout=60)
    os.close(read)
    os.close(write)
    assert ended.returncode == 1
    line = json.loads(ended.stdout)
    assert (line["type"], line["code"]) == ("error", "invalid_config")
    assert "Traceback" in ended.stderr
