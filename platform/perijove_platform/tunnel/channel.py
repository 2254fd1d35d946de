"""What a link needs of whatever carries it."""

import enum
from typing import Protocol


class CloseCode(enum.IntEnum):
    """Why an end closes a channel; in the range that WebSocket leaves to applications."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 4400
    OTHER_CLUSTER = 4403  # the agent's credential is that of another Kubernetes cluster
    DUPLICATE = 4409  # the replica has a link of this agent already
    TOO_MANY_LINKS = 4429  # the cluster has as many as there can be
    GIVEN_UP = 4410  # this end keeps nothing of the link: it must not be resumed


class ChannelClosed(ConnectionError):
    """The channel is cut.

    Attributes:
        code: the other end's reason, when it gave one.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Channel(Protocol):
    """A way to send whole messages, in order, until it is cut."""

    async def send(self, message: bytes) -> None:
        """Raises `ChannelClosed`; waits while the network has no room."""

    async def receive(self) -> bytes:
        """Raises `ChannelClosed`."""

    async def close(self, code: int = CloseCode.NORMAL) -> None:
        """Never raises and waits a few seconds at most, however the other end is."""
