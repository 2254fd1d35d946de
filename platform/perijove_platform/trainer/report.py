"""What the trainer tells the platform: one JSON object a line on standard output.

========== =========================================================================================
type       fields
========== =========================================================================================
message    ``level`` (info, warn), ``message``: an event for the job's history
plan       ``total_steps``, ``examples``, and the hyperparameters once "auto" has been decided
progress   ``phase``, ``message``: what it is doing now; replaces the one before
metrics    ``step``, ``total_steps``, ``epoch``, ``train_loss``, ``learning_rate``, ``eta_seconds``, …
checkpoint ``step``, ``total_steps``, ``epoch``, ``path`` (relative to the working folder), ``metrics``
result     ``adapter`` (path), ``metrics_file``, ``trained_tokens``, ``steps``; the last line of a success
error      ``code``, ``message``, ``param``; the last line of a failure
========== =========================================================================================
"""

import json
import math
import os
import threading
from typing import Any


class Reporter:
    """Owns the real standard output; after it is made, prints of libraries go to standard error (the log)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def send(self, type: str, **fields: Any) -> None:
        """Write one line. Numbers that JSON lacks (NaN, infinities) become null."""
        line = json.dumps({"type": type, **{key: _plain(value) for key, value in fields.items()}}, allow_nan=False)
        with self._lock:
            self._lines.write(line + "\n")

    def message(self, message: str, level: str = "info") -> None:
        self.send("message", level=level, message=message)

    def progress(self, phase: str, message: str) -> None:
        self.send("progress", phase=phase, message=message)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
