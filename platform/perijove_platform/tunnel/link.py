"""A link: streams that live on while the channel beneath them is cut and dialled again."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from perijove_platform.tunnel.channel import Channel, ChannelClosed, CloseCode
from perijove_platform.tunnel.frames import (
    BATCH_BYTES,
    HEADER,
    MAX_PAYLOAD_BYTES,
    SEQUENCED,
    Frame,
    FrameType,
    ProtocolError,
    decode,
    decode_json,
    encode,
    encode_json,
)
from perijove_platform.tunnel.replay import ReplayBuffer
from perijove_platform.tunnel.stream import FIRST_WINDOW_BYTES, Refused, Stream, StreamReset

ACKNOWLEDGE_BYTES = 256 * 1024
ACKNOWLEDGE_SECONDS = 0.05
REASON_SECONDS = 0.2
STREAM_IDS = 1 << 32
Accept = Callable[[Stream, Mapping[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Bounds of one end.

    Attributes:
        replay_bytes: kept for sending again; senders wait when it is full.
        unsent_bytes: waiting for the channel; senders wait, so that a short message is not queued behind megabytes.
        window_bytes: room that all streams together may offer beyond their first.
        streams: at the same time.
        ping_seconds: of silence, after which the other end is asked whether it is there.
        silence_seconds: after which the channel counts as cut.
    """

    replay_bytes: int = 8 * 1024 * 1024
    unsent_bytes: int = 512 * 1024
    window_bytes: int = 64 * 1024 * 1024
    streams: int = 8192
    ping_seconds: float = 3.0
    silence_seconds: float = 8.0


class Link:
    """One end.

    Args:
        initiator: whether this end's streams have odd numbers. The platform's end is, the agent's is not.
        accept: called, as a task of its own, for each stream that the other end opens, with what it asks for. It calls
            `Stream.accept` or `Stream.reset`; it is cancelled when the other end resets the stream.

    Attributes:
        received: number of the last sequenced frame that arrived; what the other end needs to know to go on.
    """

    def __init__(self, *, initiator: bool, accept: Accept | None = None, limits: Limits | None = None) -> None:
        self._accept = accept
        self._limits = limits or Limits()
        self._streams: dict[int, Stream] = {}
        self._next_id = 1 if initiator else 2
        self._replay = ReplayBuffer()
        self._room: deque[asyncio.Future[None]] = deque()
        self._work = asyncio.Event()
        self._urgent: dict[FrameType, bytes] = {}
        self._windows = 0
        self._unacknowledged_bytes = 0
        self._acknowledgement: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._failure: StreamReset | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._serving = False
        self.received = 0

    @property
    def closed(self) -> bool:
        """Whether it has been given up."""
        return self._failure is not None

    @property
    def streams(self) -> int:
        """How many there are."""
        return len(self._streams)

    @property
    def held_bytes(self) -> int:
        """In the replay buffer."""
        return self._replay.held_bytes

    async def open(self, target: Mapping[str, Any]) -> Stream:
        """Open a stream to what `target` names.

        Raises:
            Refused: the other end cannot or will not, or there are too many streams.
            StreamReset: the link is lost.
        """
        stream = self.begin(target)
        await stream.wait_opened()
        return stream

    def begin(self, target: Mapping[str, Any]) -> Stream:
        """Ask for a stream and do not wait: what is written before the other end answers reaches it, too.

        So an HTTP request's body is sent before `OPENED` brings the response's head; see `Stream.wait_opened`.

        Raises:
            Refused: there are too many streams.
            StreamReset: the link is lost.
        """
        wanted = encode_json(target)
        if len(wanted) > MAX_PAYLOAD_BYTES:
            raise Refused("bad_target", f"What to dial takes {len(wanted)} bytes: at most {MAX_PAYLOAD_BYTES}.")
        if self._failure is not None:
            raise self._failure.again()
        if self._replay.held_bytes > 1.5 * self._limits.replay_bytes:
            raise Refused("too_many_streams", "The other end of the link cannot be reached at the moment. Try again.")
        if len(self._streams) >= self._limits.streams:
            raise Refused("too_many_streams", f"The link has {self._limits.streams} streams. Close some first.")
        stream = Stream(self, self._free_id())
        self._streams[stream.id] = stream
        self.send(FrameType.OPEN, stream.id, wanted)
        return stream

    def _free_id(self) -> int:
        while True:
            stream_id = self._next_id
            self._next_id = (self._next_id + 2) % STREAM_IDS
            if stream_id not in self._streams:
                return stream_id

    async def serve(self, channel: Channel, peer_received: int) -> None:
        """Carry the streams over `channel` until it is cut or the link is closed; then `channel` is closed.

        Args:
            peer_received: the other end's `received`, as its handshake told.

        Raises:
            ChannelClosed: it was cut; serve the next one, unless the link is `closed`.
            ProtocolError: the other end broke the rules; the link is closed.
        """
        if self._serving:
            raise RuntimeError("The link is being served.")
        self._serving = True
        code = CloseCode.GOING_AWAY
        try:
            if self._failure is not None:
                raise ChannelClosed("The link has been given up.")
            self._replay.rewind(peer_received)
            await self._carry(channel)
        except ChannelClosed as error:
            if error.code == CloseCode.GIVEN_UP:
                self.close("link_lost", "The other end has ended the link.")
            raise
        except ProtocolError:
            code = CloseCode.PROTOCOL_ERROR
            self.close("link_lost", "The other end of the link broke its rules.")
            raise
        finally:
            self._serving = False
            if code is CloseCode.GOING_AWAY and self._failure is not None:
                code = CloseCode.GIVEN_UP
            await channel.close(code)

    async def _carry(self, channel: Channel) -> None:
        self._urgent.clear()
        self._heard = time.monotonic()
        self._work.set()
        receiving = asyncio.create_task(self._receive(channel))
        workers = [receiving, asyncio.create_task(self._send(channel)), asyncio.create_task(self._pulse())]
        try:
            done, _ = await asyncio.wait([*workers, self._ended], return_when=asyncio.FIRST_COMPLETED)
            if self._ended in done:
                raise ChannelClosed("The link has been given up.")
            await asyncio.wait([receiving], timeout=REASON_SECONDS)  # it knows why the other end closed, if it did
            for task in (receiving, *done):
                if task.done():
                    task.result()
        finally:
            if self._acknowledgement is not None:
                self._acknowledgement.cancel()
                self._acknowledgement = None
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def close(self, code: str = "link_lost", message: str = "The link to the cluster is lost.") -> None:
        """Give the link up: every stream fails, and the other end is told if it can be."""
        if self._failure is not None:
            return
        self._failure = StreamReset(code, message)
        for stream in list(self._streams.values()):
            stream.fail(StreamReset(code, message))
        for task in self._tasks.values():
            task.cancel()
        self._wake_writers()
        self._ended.set_result(None)

    # What streams call.

    def send(self, kind: FrameType, stream: int, payload: bytes | memoryview = b"") -> None:
        """Queue a sequenced frame."""
        if self._failure is None:
            self._replay.add(kind, stream, payload)
            self._work.set()
            self._wake_writers()

    async def send_data(self, stream: Stream, payload: memoryview) -> None:
        """Queue data when it is its turn.

        Raises:
            StreamReset: the stream broke meanwhile.
        """
        await self._turn()
        if stream.failure is not None:
            self._wake_writers()
            raise stream.failure.again()
        self.send(FrameType.DATA, stream.id, payload)

    async def _turn(self) -> None:
        """Wait for room: first come, first served."""
        while self._failure is None and (self._room or self._full()):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done():
                    self._wake_writers()
                raise
            if not self._full():
                return

    def reserve_window(self, size: int) -> int:
        """Room for a stream's window; as much as is left of what streams share, which may be none."""
        granted = max(0, min(size, self._limits.window_bytes - self._windows))
        self._windows += granted
        return granted

    def forget(self, stream: Stream) -> None:
        if self._streams.pop(stream.id, None) is not None:
            self._windows -= stream.window - FIRST_WINDOW_BYTES

    def _full(self) -> bool:
        replay, limits = self._replay, self._limits
        return replay.held_bytes >= limits.replay_bytes or replay.unsent_bytes >= limits.unsent_bytes

    def _wake_writers(self) -> None:
        """Give the next one its turn; it gives the turn on when it has queued its frame."""
        while self._room and (self._failure is not None or not self._full()):
            turn = self._room.popleft()
            if not turn.done():
                turn.set_result(None)
                if self._failure is None:
                    return

    # The channel's two directions.

    async def _send(self, channel: Channel) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._urgent or self._replay.unsent_bytes:
                frames = [*self._urgent.values()]
                self._urgent.clear()
                await channel.send(b"".join([*frames, *self._replay.take(BATCH_BYTES)]))
                self._wake_writers()

    async def _receive(self, channel: Channel) -> None:
        while True:
            message = await channel.receive()
            self._heard = time.monotonic()
            for frame in decode(message):
                self._handle(frame)
            if self._replay.held_bytes > 2 * self._limits.replay_bytes:
                raise ProtocolError("The other end makes this one answer and acknowledges nothing.")

    async def _pulse(self) -> None:
        """Ask a silent end whether it is there, and end with the channel when it is not."""
        while True:
            await asyncio.sleep(self._limits.ping_seconds / 4)
            silence = time.monotonic() - self._heard
            if silence > self._limits.silence_seconds:
                raise ChannelClosed(f"Nothing was heard for {silence:.0f} s.")
            if silence > self._limits.ping_seconds:
                self._say(FrameType.PING)

    def _acknowledge(self) -> None:
        if self._acknowledgement is not None:
            self._acknowledgement.cancel()
            self._acknowledgement = None
        self._unacknowledged_bytes = 0
        self._say(FrameType.ACK, self.received)

    def _say(self, kind: FrameType, sequence: int = 0) -> None:
        """Of each kind only the latest waits to be sent."""
        self._urgent[kind] = encode(kind, sequence=sequence)
        self._work.set()

    def _handle(self, frame: Frame) -> None:
        if frame.kind not in SEQUENCED:
            self._handle_unsequenced(frame)
            return
        if frame.sequence <= self.received:
            return
        if frame.sequence != self.received + 1:
            raise ProtocolError(f"Frame {frame.sequence} came after frame {self.received}.")
        self.received = frame.sequence
        self._unacknowledged_bytes += HEADER.size + len(frame.payload)
        if self._unacknowledged_bytes >= ACKNOWLEDGE_BYTES:
            self._acknowledge()
        elif self._acknowledgement is None:
            loop = asyncio.get_running_loop()
            self._acknowledgement = loop.call_later(ACKNOWLEDGE_SECONDS, self._acknowledge)
        if frame.kind is FrameType.OPEN:
            self._on_open(frame)
        elif (stream := self._streams.get(frame.stream)) is not None:  # else it has been reset here
            self._on_frame(stream, frame)

    def _handle_unsequenced(self, frame: Frame) -> None:
        if frame.kind is FrameType.ACK:
            self._replay.acknowledge(frame.sequence)
            self._wake_writers()
        elif frame.kind is FrameType.PING:
            self._say(FrameType.PONG)

    def _on_open(self, frame: Frame) -> None:
        if frame.stream in self._streams or frame.stream % 2 == self._next_id % 2:
            raise ProtocolError(f"Stream {frame.stream} cannot be opened by the other end.")
        target = decode_json(frame.payload)
        stream = Stream(self, frame.stream)
        self._streams[stream.id] = stream
        if self._accept is None or len(self._streams) > self._limits.streams:
            stream.reset("too_many_streams", "This end opens no more streams.")
            return
        task = asyncio.create_task(self._run_accept(self._accept, stream, target))
        self._tasks[stream.id] = task
        task.add_done_callback(lambda task: self._tasks.pop(stream.id) if self._tasks.get(stream.id) is task else None)

    async def _run_accept(self, accept: Accept, stream: Stream, target: Mapping[str, Any]) -> None:
        try:
            accepting = accept(stream, target)
            del target  # there may be thousands of streams, for hours
            await accepting
        except StreamReset:
            return
        except Exception as error:
            _log.exception("A stream failed at this end.")
            stream.reset("internal_error", f"The other end failed: {type(error).__name__}.")
        finally:
            stream.reset("closed", "The other end closed the stream without an end.")

    def _on_frame(self, stream: Stream, frame: Frame) -> None:
        match frame.kind:
            case FrameType.DATA:
                stream.on_data(frame.payload)
            case FrameType.CREDIT:
                if len(frame.payload) != 4:
                    raise ProtocolError("Credit is a number of 4 bytes.")
                stream.on_credit(int.from_bytes(frame.payload, "big"))
            case FrameType.FIN:
                stream.on_fin()
            case FrameType.OPENED:
                stream.on_opened(decode_json(frame.payload))
            case FrameType.RESET:
                stream.on_reset(decode_json(frame.payload))
                if (task := self._tasks.get(stream.id)) is not None:
                    task.cancel()
