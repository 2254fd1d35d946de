"""Reports as lines of a pod's log."""

from typing import Any

import pytest
from perijove_platform.runner.log_lines import line_of

STEP = {"type": "metrics", "step": 5, "total_steps": 32, "epoch": 1.0}


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ({"type": "message", "level": "warn", "message": "3 examples were cut"}, "3 examples were cut"),
        ({"type": "progress", "phase": "load", "message": "Reading the base model"}, "Reading the base model"),
        ({"type": "error", "code": "diverged", "message": "The loss became nan"}, "The loss became nan"),
        (STEP | {"train_loss": 1.20341}, "step 5 of 32, loss 1.2034"),
        (STEP | {"valid_loss": 2}, "step 5 of 32, validation loss 2.0000"),
        (STEP | {"train_loss": None, "valid_loss": "much"}, "step 5 of 32"),
        ({"type": "checkpoint", "step": 8, "path": "checkpoints/checkpoint-8"}, "checkpoint of step 8 written"),
        ({"type": "plan", "total_steps": 32}, None),
        ({"type": "message"}, None),
        ({"type": "metrics", "step": "five", "total_steps": 32}, None),
        ({}, None),
    ],
)
def test_what_is_for_people_is_a_line(report: dict[str, Any], line: str | None) -> None:
    assert line_of(report) == line


def test_a_message_is_bounded() -> None:
    line = line_of({"type": "message", "message": "x" * 1_000_000})
    assert line is not None
    assert len(line) < 5_000
