"""One byte stream of a link."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol, Self

from perijove_platform.tunnel.frames import MAX_DATA_BYTES, FrameType, ProtocolError, encode_json

FIRST_WINDOW_BYTES = 64 * 1024
MAX_WINDOW_BYTES = 1024 * 1024
SMALL_CHUNK_BYTES = 4 * 1024
MAX_REASON_CHARACTERS = 4 * 1024


class StreamReset(ConnectionError):
    """The stream ended before its time.

    Attributes:
        code: for programs, such as ``link_lost`` or ``dial_failed``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def again(self) -> Self:
        """The same, to be raised: one that is raised twice would keep the traceback of both."""
        return type(self)(self.code, self.message)


class Refused(StreamReset):
    """The other end did not open the stream."""


class Signal:
    """Wakes all who wait for it. An `asyncio.Event` takes twenty times the memory, and a link has thousands."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: tuple[asyncio.Future[None], ...] = ()

    async def wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting = (*self._waiting, waiter)
        try:
            await waiter
        finally:
            self._waiting = tuple(other for other in self._waiting if other is not waiter)

    def wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class Carrier(Protocol):
    """What a stream needs of its link: `link.Link`."""

    def send(self, kind: FrameType, stream: int, payload: bytes = b"") -> None:
        """Queue a frame that takes no credit."""

    async def send_data(self, stream: "Stream", payload: memoryview) -> None:
        """Queue bytes; waits while the link has no room."""

    def reserve_window(self, size: int) -> int:
        """How many of `size` bytes a stream's window may grow by."""

    def forget(self, stream: "Stream") -> None:
        """The stream is over."""


class Stream:
    """A byte stream in both directions; made by `Link.open` or given to the link's `accept`.

    Attributes:
        id: odd when the platform opened it, even when the agent did.
        info: what the accepting end said when it opened.
    """

    __slots__ = (
        "_consumed", "_credit", "_credit_given", "_ended_here", "_ended_there", "_failure", "_in_flight", "_inbox",
        "_link", "_readable", "_window", "id", "info", "opened",
    )  # fmt: skip

    def __init__(self, link: Carrier, stream_id: int) -> None:
        self.id = stream_id
        self.info: Mapping[str, Any] = {}
        self._link = link
        self._credit = FIRST_WINDOW_BYTES
        self._credit_given = Signal()
        self._inbox: deque[bytes] = deque()
        self._readable = Signal()
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

    async def wait_opened(self) -> None:
        """Wait until the other end has opened what was asked for; a caller that is cancelled gives the stream up.

        Raises:
            Refused: the other end cannot or will not.
            StreamReset: the link is lost.
        """
        try:
            await asyncio.shield(self.opened)
        except asyncio.CancelledError:
            self.reset()
            raise

    async def read(self, max_bytes: int = MAX_WINDOW_BYTES) -> bytes:
        """The next bytes, at least one; empty at the end.

        Raises:
            StreamReset: the stream broke; what had arrived before has been read.
        """
        while not self._inbox:
            if self._ended_there:
                return b""
            if self._failure is not None:
                raise self._failure.again()
            await self._readable.wait()
        chunk = self._inbox.popleft()
        if len(chunk) > max_bytes:
            self._inbox.appendleft(chunk[max_bytes:])
            chunk = chunk[:max_bytes]
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
        view = memoryview(data).cast("B")
        while view:
            if self._ended_here:
                raise BrokenPipeError("This end of the stream has finished.")
            while self._credit <= 0 and self._failure is None:
                await self._credit_given.wait()
            if self._failure is not None:
                raise self._failure.again()
            size = min(len(view), self._credit, MAX_DATA_BYTES)
            # Taken before the wait: two writers must not spend the same credit.
            self._credit -= size
            try:
                await self._link.send_data(self, view[:size])
            except BaseException:
                self._credit += size
                self._credit_given.wake()
                raise
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
        reason = {"code": code, "message": message[:MAX_REASON_CHARACTERS]}
        self._link.send(FrameType.RESET, self.id, encode_json(reason))
        self.fail(StreamReset(code, message))

    def accept(self, info: Mapping[str, Any] | None = None) -> None:
        """Say that what the other end asked for has been opened.

        Raises:
            StreamReset: the other end has given it up meanwhile.
            ValueError: `info` is larger than a frame.
        """
        if self._failure is not None:
            raise self._failure.again()
        self._link.send(FrameType.OPENED, self.id, encode_json(info or {}))
        self.opened.set_result(None)

    # What the link calls when frames arrive.

    def on_data(self, payload: memoryview) -> None:
        self._in_flight += len(payload)
        if self._in_flight > self._window:
            raise ProtocolError(f"Stream {self.id} was sent more than it had granted.")
        if self._ended_there:
            raise ProtocolError(f"Stream {self.id} was sent data after its end.")
        if self._failure is not None or not payload:
            return
        if self._inbox and len(self._inbox[-1]) + len(payload) <= SMALL_CHUNK_BYTES:
            # Single bytes that nobody reads must not take fifty times their size.
            self._inbox[-1] += payload
        else:
            self._inbox.append(bytes(payload))
        self._readable.wake()

    def on_opened(self, info: Mapping[str, Any]) -> None:
        self.info = info
        if not self.opened.done():
            self.opened.set_result(None)

    def on_credit(self, granted: int) -> None:
        self._credit += granted
        self._credit_given.wake()

    def on_fin(self) -> None:
        self._ended_there = True
        self._readable.wake()
        self._forget_when_over()

    def on_reset(self, reason: Mapping[str, Any]) -> None:
        kind = StreamReset if self.opened.done() else Refused
        self.fail(kind(str(reason.get("code")), str(reason.get("message"))[:MAX_REASON_CHARACTERS]))

    def fail(self, failure: StreamReset) -> None:
        """The stream is over, here: whoever reads, writes or waits for its opening is told."""
        if self._failure is not None:
            return
        self._failure = failure
        if not self.opened.done():
            self.opened.set_exception(failure.again())
            self.opened.exception()  # seen, even when nobody waits
        self._readable.wake()
        self._credit_given.wake()
        self._link.forget(self)

    def _forget_when_over(self) -> None:
        if self._ended_here and self._ended_there:
            self._link.forget(self)
