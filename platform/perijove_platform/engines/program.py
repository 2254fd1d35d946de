"""What a runtime has to know of an engine program in order to run it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from perijove_platform.engines.config import EngineConfig


class EngineProgram(Protocol):
    """An engine that runs as a process; to add one, implement this (see ``docs/developers/engines.md``)."""

    name: str

    def command(self) -> Sequence[str]:
        """The program and its arguments, the same for every model: the configuration comes by standard input."""
        ...

    def estimate_bytes(self, config: EngineConfig) -> int:
        """Memory that the engine will take. Blocking: it reads the model's header.

        Raises:
            ValueError: the model cannot be served; the message says why, for a person.
            OSError: it cannot be read.
        """
        ...

    def explain(self, log_lines: Sequence[str]) -> str | None:
        """Why it ended, from the last lines of its log; ``None`` when they do not tell."""
        ...
