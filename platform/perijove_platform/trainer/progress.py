"""Reports each step of trl's trainer, and says when to write a checkpoint."""

import math
import threading
import time
from typing import Any

from transformers import TrainerCallback

from perijove_platform.trainer.checkpoints import Checkpoints
from perijove_platform.trainer.config import TrainerConfig
from perijove_platform.trainer.errors import TrainingError
from perijove_platform.trainer.report import Reporter

STEP_METRICS = {
    "loss": "train_loss",
    "mean_token_accuracy": "train_mean_token_accuracy",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "eval_loss": "valid_loss",
    "eval_mean_token_accuracy": "valid_mean_token_accuracy",
}
"""trl's name of a figure → OpenAI's, or ours where OpenAI has none."""


class ProgressCallback(TrainerCallback):  # type: ignore[misc]  # transformers is not in the checking environment
    """Turns what happens in the training loop into reports.

    Args:
        stop: once it is set, the training ends after the next step and its checkpoint.

    Attributes:
        stopped: whether it has ended for that reason.
    """

    def __init__(
        self,
        reporter: Reporter,
        checkpoints: Checkpoints,
        config: TrainerConfig,
        total_steps: int,
        stop: threading.Event,
    ) -> None:
        self.stopped = False
        self._stop = stop
        self._reporter = reporter
        self._checkpoints = checkpoints
        self._config = config
        self._total_steps = total_steps
        self._started = time.monotonic()
        self._first_step = 0
        self._saved_step = 0
        self._saved_at = time.monotonic()
        self._metrics: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._started = self._saved_at = time.monotonic()
        self._first_step = self._saved_step = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        due = time.monotonic() - self._saved_at >= self._config.checkpoint_seconds
        if steps := self._config.checkpoint_steps:
            due = due or state.global_step % steps == 0
        if self._stop.is_set() and state.global_step < self._total_steps:
            due = self.stopped = control.should_training_stop = True
        if due:
            control.should_save = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_save = state.global_step != self._saved_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        metrics = {ours: logs[theirs] for theirs, ours in STEP_METRICS.items() if theirs in logs}
        if not metrics:
            return
        if not math.isfinite(metrics.get("train_loss", 0.0)):
            message = (
                f"The loss became {metrics['train_loss']} at step {state.global_step}: the training diverged. "
                "Try a smaller learning_rate_multiplier."
            )
            raise TrainingError(message, code="diverged", param="hyperparameters.learning_rate_multiplier")
        self._metrics.update(metrics)
        self._reporter.send("metrics", **self._position(state), eta_seconds=self._eta(state.global_step), **metrics)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        path = self._checkpoints.publish(state.global_step)
        self._saved_step, self._saved_at = state.global_step, time.monotonic()
        self._reporter.send(
            "checkpoint",
            **self._position(state),
            path=f"{self._checkpoints.folder.name}/{path.name}",
            metrics={"step": state.global_step, **self._metrics},
        )

    def _position(self, state: Any) -> dict[str, Any]:
        return {"step": state.global_step, "total_steps": self._total_steps, "epoch": round(float(state.epoch), 4)}

    def _eta(self, step: int) -> float | None:
        done = step - self._first_step
        if done <= 0:
            return None
        return round((time.monotonic() - self._started) / done * (self._total_steps - step), 1)
