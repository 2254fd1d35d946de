"""Two ends of a link over channels that break."""

import asyncio
import contextlib
import hashlib
import os
import random
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from perijove_platform.tunnel import ChannelClosed, Limits, Link, ProtocolError, Refused, Stream, StreamReset
from perijove_platform.tunnel import link as link_module
from perijove_platform.tunnel.frames import FrameType, decode, encode
from tunnel_ends import until

MIB = 1024 * 1024


class Pipe:
    """One end of an in-memory channel that can be cut at any message."""

    def __init__(self, outgoing: "asyncio.Queue[bytes | None]", incoming: "asyncio.Queue[bytes | None]") -> None:
        self._outgoing, self._incoming = outgoing, incoming
        self.lose_after: int | None = None
        self.closed = False

    async def send(self, message: bytes) -> None:
        if self.lose_after is not None:
            self.lose_after -= 1
            if self.lose_after <= 0:
                await self.close()
        if self.closed:
            raise ChannelClosed("cut")
        await self._outgoing.put(message)

    async def receive(self) -> bytes:
        message = None if self.closed else await self._incoming.get()
        if message is None:
            self.closed = True
            raise ChannelClosed("cut")
        return message

    async def close(self, code: int = 1000) -> None:
        self.closed = True
        for queue in (self._outgoing, self._incoming):
            while not queue.empty():  # what is on its way is lost
                queue.get_nowait()
            queue.put_nowait(None)


def pipes() -> tuple[Pipe, Pipe]:
    there: asyncio.Queue[bytes | None] = asyncio.Queue(64)
    back: asyncio.Queue[bytes | None] = asyncio.Queue(64)
    return Pipe(there, back), Pipe(back, there)


async def echo(stream: Stream, target: Mapping[str, Any]) -> None:
    if target.get("refuse"):
        stream.reset("dial_failed", "Nothing answers there.")
        return
    stream.accept({"dialled": target.get("to")})
    while data := await stream.read():
        await stream.write(data)
    stream.finish()


async def serve(link: Link, channel: Pipe, peer: Link) -> None:
    with contextlib.suppress(ChannelClosed):
        await link.serve(channel, peer.received)


@contextlib.asynccontextmanager
async def linked(limits: Limits | None = None, *, accept: Any = echo) -> AsyncIterator[tuple[Link, Link]]:
    platform, agent = Link(initiator=True, limits=limits), Link(initiator=False, accept=accept, limits=limits)
    a, b = pipes()
    tasks = [asyncio.create_task(serve(platform, a, agent)), asyncio.create_task(serve(agent, b, platform))]
    try:
        yield platform, agent
    finally:
        platform.close()
        agent.close()
        await a.close()
        await asyncio.gather(*tasks)


async def exchange(link: Link, data: bytes) -> bytes:
    stream = await link.open({"to": "echo"})

    async def send() -> None:
        await stream.write(data)
        stream.finish()

    sending = asyncio.create_task(send())
    received = bytearray()
    while chunk := await stream.read():
        received += chunk
    await sending
    return bytes(received)


async def test_streams_carry_bytes_both_ways_and_leave_nothing() -> None:
    async with linked() as (platform, agent):
        blobs = [os.urandom(size) for size in (0, 1, 65536, 3 * MIB + 7) for _ in range(8)]
        assert await asyncio.gather(*(exchange(platform, blob) for blob in blobs)) == blobs
        assert (platform.streams, agent.streams) == (0, 0)
        await until(lambda: (platform.held_bytes, agent.held_bytes) == (0, 0))


async def test_what_cannot_be_dialled_is_refused_with_a_reason() -> None:
    async with linked() as (platform, agent):
        with pytest.raises(Refused, match="Nothing answers") as caught:
            await platform.open({"refuse": True})
        assert caught.value.code == "dial_failed"
        assert (await platform.open({"to": "x"})).info == {"dialled": "x"}
        with pytest.raises(Refused):
            await agent.open({})


async def test_a_reader_that_stops_holds_up_its_own_stream_only() -> None:
    async with linked() as (platform, agent):
        slow = await platform.open({"to": "slow"})
        writing = asyncio.create_task(slow.write(bytes(64 * MIB)))
        assert await exchange(platform, b"x" * 4 * MIB) == b"x" * 4 * MIB
        assert not writing.done()
        assert agent.held_bytes + platform.held_bytes < 4 * MIB
        slow.reset()
        with pytest.raises(StreamReset):
            await writing


async def test_a_reset_is_told_with_its_reason() -> None:
    async def fail_later(stream: Stream, _: Mapping[str, Any]) -> None:
        stream.accept()
        await stream.read()
        stream.reset("pod_gone", "The pod has ended.")

    async with linked(accept=fail_later) as (platform, _):
        stream = await platform.open({})
        await stream.write(b"hello")
        with pytest.raises(StreamReset, match="The pod has ended") as caught:
            await stream.read()
        assert caught.value.code == "pod_gone"
        with pytest.raises(StreamReset):
            await stream.write(b"more")


async def test_the_number_of_streams_is_bounded() -> None:
    async with linked(Limits(streams=3)) as (platform, _):
        streams = [await platform.open({}) for _ in range(3)]
        with pytest.raises(Refused) as caught:
            await platform.open({})
        assert caught.value.code == "too_many_streams"
        streams[0].reset()
        await platform.open({})


async def test_nothing_is_lost_or_doubled_when_the_channel_is_cut_a_hundred_times() -> None:
    rng = random.Random(4)
    platform, agent = Link(initiator=True), Link(initiator=False, accept=echo)
    cuts = 0

    async def redial() -> None:
        nonlocal cuts
        while True:
            a, b = pipes()
            if cuts < 100:
                rng.choice((a, b)).lose_after = rng.randint(1, 4)
            await asyncio.gather(serve(platform, a, agent), serve(agent, b, platform))
            cuts += 1

    redialling = asyncio.create_task(redial())
    data = [rng.randbytes(10 * MIB) for _ in range(5)]
    answers = await asyncio.gather(*(exchange(platform, part) for part in data))
    redialling.cancel()
    assert [hashlib.sha256(a).digest() for a in answers] == [hashlib.sha256(d).digest() for d in data]
    assert cuts >= 100


async def test_a_silent_channel_counts_as_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(link_module, "time", SimpleNamespace(monotonic=lambda: now))
    link = Link(initiator=True, limits=Limits(ping_seconds=0.05, silence_seconds=0.2))
    mine, theirs = pipes()
    serving = asyncio.create_task(link.serve(mine, 0))
    await asyncio.sleep(0)
    now = 0.1
    assert next(decode(await theirs.receive())).kind is FrameType.PING
    now = 0.3
    with pytest.raises(ChannelClosed, match="Nothing was heard"):
        await serving


async def test_a_link_that_is_given_up_fails_its_streams() -> None:
    async with linked() as (platform, _):
        stream = await platform.open({})
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        platform.close("link_lost", "The cluster has been away too long.")
        with pytest.raises(StreamReset, match="too long"):
            await reading
        with pytest.raises(StreamReset):
            await platform.open({})


@pytest.mark.parametrize(
    "message",
    [
        b"\x01",
        b"\x63" + bytes(16),
        encode(FrameType.DATA, 1, 5, b"from the future"),
        encode(FrameType.OPEN, 3, 1, b"{}"),
        encode(FrameType.OPEN, 2, 1, b"no JSON"),
        encode(FrameType.OPEN, 2, 1, b"[]"),
        encode(FrameType.ACK, 0, 9),
        encode(FrameType.OPEN, 2, 1, b"{}") + encode(FrameType.DATA, 2, 2, bytes(65536)) * 1
        + encode(FrameType.DATA, 2, 3, b"beyond its credit"),
        bytes(12) + b"\xff" * 5,
    ],
)  # fmt: skip
async def test_an_end_that_breaks_the_rules_is_cut_off(message: bytes) -> None:
    async def wait(stream: Stream, _: Mapping[str, Any]) -> None:
        stream.accept()
        await asyncio.sleep(60)

    link = Link(initiator=True, accept=wait)
    mine, theirs = pipes()
    await theirs.send(message)
    with pytest.raises(ProtocolError):
        await link.serve(mine, 0)
    link.close()


async def test_going_on_where_nothing_is_kept_is_refused() -> None:
    link = Link(initiator=True)
    with pytest.raises(ProtocolError):
        await link.serve(pipes()[0], 7)
