"""The container's termination message: what Kubernetes keeps of a pod that has gone, also of one that was killed."""

import contextlib
import json
from pathlib import Path

from perijove_platform.runner.contract import ExitCode
from perijove_platform.runner.memory import Memory

_MAX_BYTES = 4096
_GROWN = 1.02


class LastWords:
    """Keeps the message current.

    Args:
        path: the file that Kubernetes reads; where there is none, nothing is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = 0

    def memory(self, memory: Memory) -> None:
        """Written anew when the peak has grown noticeably."""
        peak = memory.peak or 0
        if peak > self._told * _GROWN:
            self._told = peak
            self._write(None, None, memory)

    def ended(self, code: ExitCode, message: str, memory: Memory) -> None:
        self._write(code.name.lower(), message, memory)

    def _write(self, code: str | None, message: str | None, memory: Memory) -> None:
        said = {"exit": code, "message": message, "memory_limit_bytes": memory.limit, "memory_peak_bytes": memory.peak}
        if message is not None:
            said["message"] = message[:1000]
        text = json.dumps(said).encode()
        if len(text) <= _MAX_BYTES and self._path.is_file():
            with contextlib.suppress(OSError):
                self._path.write_bytes(text)
