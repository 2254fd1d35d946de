"""The program's reports as lines of the pod's log, for whoever follows that instead of the job's events."""

from collections.abc import Mapping
from typing import Any

_MAX_MESSAGE = 4000
_LOSSES = (("train_loss", "loss"), ("valid_loss", "validation loss"))


def line_of(report: Mapping[str, Any]) -> str | None:
    """``step 5 of 32, loss 1.2034``; ``None`` for a report that is not for people, or is not what it should be."""
    match report:
        case {"type": "message" | "progress" | "error", "message": str(message)}:
            return message[:_MAX_MESSAGE]
        case {"type": "metrics", "step": int(step), "total_steps": int(total)}:
            losses = (f", {name} {report[key]:.4f}" for key, name in _LOSSES if _is_number(report.get(key)))
            return f"step {step} of {total}{''.join(losses)}"
        case {"type": "checkpoint", "step": int(step)}:
            return f"checkpoint of step {step} written"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
