"""One byte stream of a link."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perijove_platform.tunnel.frames import MAX_DATA_BYTES, FrameType, ProtocolError, encode_json

if TYPE_CHECKING:
    from perijove_platform.tunnel.link import Link

FIRST_WINDOW_BYTES = 64 * 1024
MAX_WINDOW_BYTES = 1024 * 1024


class StreamReset(ConnectionError):
    """The stream ended before its time.

    Attributes:
        code: for programs, such as ``link_lost`` or ``dial_failed``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Refused(StreamReset):
    """The other end did not open the stream."""


class Stream:
    """A byte stream in both directions; made by `Link.open` or given to the link's `accept`.

    Attributes:
        id: odd when the platform opened it, even when the agent did.
        info: what the accepting end said when it opened.
    """

    def __init__(self, link: "Link", stream_id: int) -> None:
        self.id = stream_id
        self.info: Mapping[str, Any] = {}
        self._link = link
        self._credit = FIRST_WINDOW_BYTES
        self._credit_given: asyncio.Event = asyncio.Event()
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._readable = asyncio.Event()
        self._window = FIRST_WINDOW_BYTES
        self._consumed = 0
        self._in_flight = 0
        self._ended_here = False
        self._ended_there = False
        self._failure: StreamReset | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def window(self) -> int:
        """Bytes that this end has room for."""
        return self._window

    @property
    def failure(self) -> StreamReset | None:
        return self._failure

    async def read(self, max_bytes: int = MAX_WINDOW_BYTES) -> bytes:
        """The next bytes, at least one; empty at the end.

        Raises:
            StreamReset: the stream broke; what had arrived before has been read.
        """
        while not self._inbox:
            if self._failure is not None:
                raise self._failure
            if self._ended_there:
                return b""
            self._readable.clear()
            await self._readable.wait()
        chunk = self._inbox.popleft()
        if len(chunk) > max_bytes:
            self._inbox.appendleft(chunk[max_bytes:])
            chunk = chunk[:max_bytes]
        self._inbox_bytes -= len(chunk)
        self._grant(len(chunk))
        return chunk

    def _grant(self, read: int) -> None:
        """Give credit for what was read, in halves of the window; more to a reader that keeps up."""
        self._consumed += read
        if self._ended_there or self._failure is not None or self._consumed < self._window // 2:
            return
        more = 0
        if not self._inbox and self._window < MAX_WINDOW_BYTES:
            more = self._link.reserve_window(min(self._window, MAX_WINDOW_BYTES - self._window))
            self._window += more
        self._in_flight -= self._consumed
        self._link.send(FrameType.CREDIT, self.id, (self._consumed + more).to_bytes(4, "big"))
        self._consumed = 0

    async def write(self, data: bytes | memoryview) -> None:
        """Send bytes; waits while the other end or the link has no room.

        Raises:
            StreamReset: the stream broke.
            BrokenPipeError: this end has finished.
        """
        view = memoryview(data)
        while view:
            if self._ended_here:
                raise BrokenPipeError("This end of the stream has finished.")
            while self._credit <= 0 and self._failure is None:
                self._credit_given.clear()
                await self._credit_given.wait()
            if self._failure is not None:
                raise self._failure
            size = min(len(view), self._credit, MAX_DATA_BYTES)
            # Taken before the wait: two writers must not spend the same credit.
            self._credit -= size
            await self._link.room()
            if self._failure is not None:
                raise self._failure
            self._link.send(FrameType.DATA, self.id, view[:size])
            view = view[size:]

    def finish(self) -> None:
        """No more bytes from this end; the other may go on."""
        if self._ended_here or self._failure is not None:
            return
        self._ended_here = True
        self._link.send(FrameType.FIN, self.id)
        self._forget_when_over()

    def reset(self, code: str = "cancelled", message: str = "The other end closed the stream.") -> None:
        """End the stream in both directions; the other end's reads and writes raise `StreamReset`."""
        if self._failure is not None or (self._ended_here and self._ended_there):
            return
        self._link.send(FrameType.RESET, self.id, encode_json({"code": code, "message": message}))
        self.fail(StreamReset(code, message))

    def accept(self, info: Mapping[str, Any] | None = None) -> None:
        """Say that what the other end asked for has been opened."""
        self.opened.set_result(None)
        self._link.send(FrameType.OPENED, self.id, encode_json(info or {}))

    # What the link calls when frames arrive.

    def on_data(self, payload: memoryview) -> None:
        self._in_flight += len(payload)
        if self._in_flight > self._window:
            raise ProtocolError(f"Stream {self.id} was sent more than it had granted.")
        if self._ended_there:
            raise ProtocolError(f"Stream {self.id} was sent data after its end.")
        if self._failure is not None or not payload:
            return
        self._inbox.append(bytes(payload))
        self._inbox_bytes += len(payload)
        self._readable.set()

    def on_opened(self, info: Mapping[str, Any]) -> None:
        self.info = info
        if not self.opened.done():
            self.opened.set_result(None)

    def on_credit(self, granted: int) -> None:
        self._credit += granted
        self._credit_given.set()

    def on_fin(self) -> None:
        self._ended_there = True
        self._readable.set()
        self._forget_when_over()

    def fail(self, failure: StreamReset) -> None:
        """The stream is over, here: whoever reads, writes or waits for its opening is told."""
        if self._failure is not None:
            return
        self._failure = failure
        if not self.opened.done():
            self.opened.set_exception(Refused(failure.code, failure.message))
            self.opened.exception()  # seen, even when nobody waits
        self._readable.set()
        self._credit_given.set()
        self._link.forget(self)

    def _forget_when_over(self) -> None:
        if self._ended_here and self._ended_there:
            self._link.forget(self)
