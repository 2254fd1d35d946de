"""The platform's state on the wire."""

from typing import Literal

from perijove_platform.schemas import Response


class Engine(Response):
    """A model's engine process; `memory_bytes` is resident memory."""

    model: str
    state: Literal["loading", "ready", "stopped", "failed"]
    reason: str | None
    memory_bytes: int | None


class Status(Response):
    object: Literal["platform.status"] = "platform.status"
    version: str
    uptime_seconds: float
    memory_bytes: int
    disk_free_bytes: int
    engines: list[Engine]
