"""The platform as the Jupyter server sees it: where it answers, how it is, and how to start it again."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from perijove_platform.discovery import Connection

State = Literal["starting", "ready", "failed", "unreachable"]


class NotReady(Exception):
    """The platform cannot be asked now; the message says why and what to do."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class CannotRestart(Exception):
    """This platform is not this Jupyter server's to restart; the message says whose it is."""


@dataclass(frozen=True)
class PlatformStatus:
    """What ``GET perijove/status`` answers.

    Attributes:
        reason: why the state is not ``ready``.
        remedy: what the reader can do about it.
    """

    state: State
    embedded: bool
    reason: str | None = None
    remedy: str | None = None
    version: str | None = None
    base_url: str | None = None

    def to_public(self) -> dict[str, Any]:
        return asdict(self)


class PlatformLink(Protocol):
    """A platform that the panels talk to through this Jupyter server."""

    def connection(self) -> Connection:
        """Where it answers now.

        Raises:
            NotReady: nowhere.
        """
        ...

    async def key_refused(self) -> None:
        """The platform did not accept the key: read it again."""
        ...

    async def status(self) -> PlatformStatus: ...

    async def restart(self) -> None:
        """Stop and start it; returns before it has started.

        Raises:
            CannotRestart: it belongs to somebody else.
        """
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...
