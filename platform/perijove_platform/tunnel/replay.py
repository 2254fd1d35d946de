"""What has been sent and may have to be sent again."""

from collections import deque
from typing import NamedTuple

from perijove_platform.tunnel.frames import FrameType, ProtocolError, encode

# What Python takes for a frame besides its bytes: a bound on frames of one byte has to be one on memory as well.
FRAME_COST_BYTES = 128


class _Kept(NamedTuple):
    sequence: int
    frame: bytes

    @property
    def cost(self) -> int:
        return len(self.frame) + FRAME_COST_BYTES


class ReplayBuffer:
    """The sequenced frames of one direction until the other end has acknowledged them, in order.

    Attributes:
        held_bytes: the memory of all frames in it.
        unsent_bytes: of those that the present channel has not been given yet.
    """

    def __init__(self) -> None:
        self._unacknowledged: deque[_Kept] = deque()
        self._unsent: deque[_Kept] = deque()
        self._last = 0
        self.held_bytes = 0
        self.unsent_bytes = 0

    def add(self, kind: FrameType, stream: int, payload: bytes | memoryview = b"") -> None:
        """Raises `ValueError` when the payload is too large."""
        kept = _Kept(self._last + 1, encode(kind, stream, self._last + 1, payload))
        self._last += 1
        self._unsent.append(kept)
        self.held_bytes += kept.cost
        self.unsent_bytes += kept.cost

    def take(self, max_bytes: int) -> list[bytes]:
        """The next frames to send, at least one if there is any, together at most `max_bytes`."""
        taken: list[bytes] = []
        size = 0
        while self._unsent and (not taken or size + len(self._unsent[0].frame) <= max_bytes):
            kept = self._unsent.popleft()
            self._unacknowledged.append(kept)
            taken.append(kept.frame)
            size += len(kept.frame)
            self.unsent_bytes -= kept.cost
        return taken

    def acknowledge(self, sequence: int) -> None:
        """Forget everything up to and including `sequence`.

        Raises:
            ProtocolError: that frame has never been sent.
        """
        while self._unacknowledged and self._unacknowledged[0].sequence <= sequence:
            self.held_bytes -= self._unacknowledged.popleft().cost
        sent = self._unsent[0].sequence - 1 if self._unsent else self._last
        if sequence > sent:
            raise ProtocolError(f"Frame {sequence} was acknowledged, the last one sent is {sent}.")

    def rewind(self, received: int) -> None:
        """On a new channel: send again what the other end, which has received up to `received`, lacks.

        Raises:
            ProtocolError: it claims to have received what was never sent, or lacks what it had acknowledged.
        """
        self.acknowledge(received)
        first = self._unacknowledged or self._unsent
        if (first[0].sequence if first else self._last + 1) != received + 1:
            raise ProtocolError(f"The other end wants to go on after frame {received}, which is no longer kept.")
        self._unsent.extendleft(reversed(self._unacknowledged))
        self._unacknowledged.clear()
        self.unsent_bytes = self.held_bytes
