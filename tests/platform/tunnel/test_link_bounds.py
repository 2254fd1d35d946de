"""What an end does to another that is slow, gone or means ill: nothing grows without bound, nobody waits for ever."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from perijove_platform.tunnel import ChannelClosed, CloseCode, Limits, Link, ProtocolError, Refused, Stream, StreamReset
from perijove_platform.tunnel.frames import MAX_PAYLOAD_BYTES, FrameType, decode, encode, encode_json

KIB = 1024


class Channel:
    """One end in the hands of the test: what it sends is kept, what it receives is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.given: asyncio.Queue[bytes | ChannelClosed] = asyncio.Queue()
        self.blocked = asyncio.Event()
        self.blocked.set()
        self.code: int | None = None

    async def send(self, message: bytes) -> None:
        await self.blocked.wait()
        self.sent.append(message)

    async def receive(self) -> bytes:
        message = await self.given.get()
        if isinstance(message, ChannelClosed):
            raise message
        return message

    async def close(self, code: int = CloseCode.NORMAL) -> None:
        self.code = code

    def frames(self, kind: FrameType) -> list[Any]:
        return [frame for message in self.sent for frame in decode(message) if frame.kind is kind]


async def wait_for_ever(stream: Stream, _: Mapping[str, Any]) -> None:
    stream.accept()
    await asyncio.sleep(3600)


@contextlib.asynccontextmanager
async def serving(link: Link) -> AsyncIterator[tuple[Channel, asyncio.Task[None]]]:
    channel = Channel()
    task = asyncio.create_task(link.serve(channel, 0))
    await asyncio.sleep(0)
    try:
        yield channel, task
    finally:
        link.close()
        await asyncio.gather(task, return_exceptions=True)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_end_that_acknowledges_nothing_is_cut_off() -> None:
    async with serving(Link(initiator=True, limits=Limits(replay_bytes=64 * KIB))) as (channel, task):
        for number in range(2000):  # each makes this end answer, and none of the answers is acknowledged
            channel.given.put_nowait(encode(FrameType.OPEN, 2 * number + 2, number + 1, b"{}"))
        with pytest.raises(ProtocolError, match="acknowledges nothing"):
            await task
        assert channel.code == CloseCode.PROTOCOL_ERROR


async def test_questions_that_pile_up_are_answered_once() -> None:
    async with serving(Link(initiator=True)) as (channel, _):
        channel.blocked.clear()
        for _ in range(10_000):
            channel.given.put_nowait(encode(FrameType.PING))
        await settle()
        channel.blocked.set()
        await settle()
        assert 1 <= len(channel.frames(FrameType.PONG)) < 100


async def test_single_bytes_that_nobody_reads_do_not_take_many_times_their_size() -> None:
    streams: list[Stream] = []

    async def keep(stream: Stream, _: Mapping[str, Any]) -> None:
        streams.append(stream)
        stream.accept()
        await asyncio.sleep(3600)

    data = random.Random(2).randbytes(20_000)
    async with serving(Link(initiator=True, accept=keep)) as (channel, _):
        channel.given.put_nowait(encode(FrameType.OPEN, 2, 1, b"{}"))
        frames = (encode(FrameType.DATA, 2, number + 2, data[number : number + 1]) for number in range(len(data)))
        channel.given.put_nowait(b"".join(frames))
        await settle()
        assert len(streams[0]._inbox) < 20
        received = b""
        while len(received) < len(data):
            received += await streams[0].read()
        assert received == data


async def test_what_is_written_before_the_other_end_answers_reaches_it() -> None:
    link = Link(initiator=True)
    async with serving(link) as (channel, _):
        stream = link.begin({"to": "x"})
        await stream.write(b"body")
        stream.finish()
        await settle()
        assert [bytes(frame.payload) for frame in channel.frames(FrameType.DATA)] == [b"body"]
        assert channel.frames(FrameType.FIN)
        channel.given.put_nowait(encode(FrameType.OPENED, 1, 1, b'{"status": 200}'))
        await stream.wait_opened()
        assert stream.info == {"status": 200}


async def test_an_end_that_was_all_read_is_an_end_whatever_follows() -> None:
    link = Link(initiator=True)
    async with serving(link) as (channel, _):
        stream = link.begin({})
        answer = encode(FrameType.OPENED, 1, 1, b"{}") + encode(FrameType.DATA, 1, 2, b"all")
        reset = encode(FrameType.RESET, 1, 4, encode_json({"code": "closed", "message": "over"}))
        channel.given.put_nowait(answer + encode(FrameType.FIN, 1, 3) + reset)
        await stream.wait_opened()
        assert (await stream.read(), await stream.read()) == (b"all", b"")
        with pytest.raises(StreamReset, match="over"):
            await stream.write(b"more")


async def test_a_target_that_is_given_up_while_it_is_dialled_is_dialled_no_further() -> None:
    cancelled = asyncio.Event()

    async def dial(stream: Stream, _: Mapping[str, Any]) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    link = Link(initiator=True, accept=dial)
    async with serving(link) as (channel, _):
        channel.given.put_nowait(encode(FrameType.OPEN, 2, 1, b"{}"))
        await settle()
        channel.given.put_nowait(encode(FrameType.RESET, 2, 2, encode_json({"code": "cancelled", "message": ""})))
        async with asyncio.timeout(30):
            await cancelled.wait()
        assert link.streams == 0


async def test_a_target_that_accepts_what_was_given_up_is_told() -> None:
    async with serving(link := Link(initiator=True)):
        stream = link.begin({})
        stream.reset()
        with pytest.raises(StreamReset):
            stream.accept()


async def test_a_target_that_fails_resets_its_stream_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(stream: Stream, _: Mapping[str, Any]) -> None:
        raise KeyError("x")

    async with serving(Link(initiator=True, accept=fail)) as (channel, _):
        channel.given.put_nowait(encode(FrameType.OPEN, 2, 1, b"{}"))
        await settle()
        assert b"internal_error" in bytes(channel.frames(FrameType.RESET)[0].payload)
        assert "A stream failed at this end" in caplog.text


async def test_a_writer_that_is_cancelled_leaves_its_credit_and_its_turn_to_others() -> None:
    link = Link(initiator=True, limits=Limits(replay_bytes=256 * KIB, unsent_bytes=32 * KIB))
    async with serving(link) as (channel, _):
        channel.blocked.clear()
        stream, other = link.begin({}), link.begin({})
        await stream.write(bytes(8 * KIB))
        await settle()  # that is on its way now, and the next is not
        await stream.write(bytes(32 * KIB))
        waiting = [asyncio.create_task(stream.write(bytes(8 * KIB))) for _ in range(3)]
        behind = asyncio.create_task(other.write(b"other"))
        await settle()
        assert not any(task.done() for task in (*waiting, behind))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        channel.blocked.set()
        async with asyncio.timeout(30):
            await behind
            await stream.write(bytes(24 * KIB))  # all that its first window still allows
        await settle()
        assert sum(len(frame.payload) for frame in channel.frames(FrameType.DATA)) == 64 * KIB + 5


async def test_a_stream_that_fails_when_its_turn_has_come_gives_the_turn_on() -> None:
    link = Link(initiator=True, limits=Limits(replay_bytes=16 * KIB))
    async with serving(link) as (channel, _):
        first, second = link.begin({}), link.begin({})
        await first.write(bytes(20 * KIB))
        failing, waiting = asyncio.create_task(first.write(b"a")), asyncio.create_task(second.write(b"b"))
        await settle()
        assert not waiting.done()
        last = max(frame.sequence for frame in channel.frames(FrameType.DATA))
        # The acknowledgement gives the first its turn, and the reset that comes with it takes the stream away.
        reset = encode(FrameType.RESET, first.id, 1, encode_json({"code": "gone", "message": ""}))
        channel.given.put_nowait(encode(FrameType.ACK, 0, last) + reset)
        async with asyncio.timeout(30):
            await waiting
        with pytest.raises(StreamReset):
            await failing


async def test_a_link_that_is_closed_ends_its_channel_and_one_that_is_given_up_fails_its_streams() -> None:
    link = Link(initiator=True)
    async with serving(link) as (channel, task):
        link.close()
        with pytest.raises(ChannelClosed):
            await task
        assert channel.code == CloseCode.GIVEN_UP
        with pytest.raises(StreamReset):
            link.begin({})
    link = Link(initiator=True)
    async with serving(link) as (channel, task):
        stream = link.begin({})
        channel.given.put_nowait(ChannelClosed("over", CloseCode.GIVEN_UP))
        with pytest.raises(StreamReset) as caught:
            await stream.read()
        assert (caught.value.code, link.closed) == ("link_lost", True)


async def test_what_to_dial_must_fit_into_a_frame() -> None:
    async with serving(link := Link(initiator=True)):
        with pytest.raises(Refused) as caught:
            link.begin({"path": "x" * MAX_PAYLOAD_BYTES})
        assert (caught.value.code, link.streams) == ("bad_target", 0)


async def test_streams_that_are_opened_and_dropped_while_the_channel_is_cut_are_refused_at_last() -> None:
    link = Link(initiator=True, limits=Limits(replay_bytes=64 * KIB))
    with pytest.raises(Refused, match="cannot be reached"):
        for _ in range(10_000):
            link.begin({"to": "x" * 100}).reset()
    assert link.held_bytes < 128 * KIB
    link.close()


async def test_deep_json_is_refused() -> None:
    link = Link(initiator=True, accept=wait_for_ever)
    async with serving(link) as (channel, task):
        channel.given.put_nowait(encode(FrameType.OPEN, 2, 1, b"[" * 100_000))
        with pytest.raises(ProtocolError):
            await task


async def test_numbers_of_streams_begin_again_when_they_are_used_up() -> None:
    link = Link(initiator=True)
    async with serving(link):
        first = link.begin({})
        link._next_id = 2**32 - 1
        assert [link.begin({}).id, link.begin({}).id] == [2**32 - 1, 3]
        assert first.id == 1
